"""Alarms as rows: the worker keeps them in step with what stands, pages list them, a person acknowledges them.

An episode is one row. Trouble that comes back before anybody acknowledged it is the same episode again; afterwards it is a new
one. Nothing here depends on Celery or Redis, and a restarted worker goes on with the rows it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from events.clock import utc_now
from positions.models import AlarmRecord

SHOWN = 30
TOUCH_EVERY = timedelta(seconds=30)  # `last_seen` of a standing alarm is written no more often


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something wrong now, `since` when; it becomes an alarm once it has lasted `after` seconds, and keeps a standing one alive."""

    kind: str
    about: str
    text: str
    page: str = ""
    since: datetime
    after: float = 0.0


def keep_in_step(
    fence: Callable[[], None], epoch: int, troubles: Sequence[Trouble], *, blind: Collection[str] = (), now: datetime | None = None
) -> list[AlarmRecord]:
    """Raise, go on with and end alarms; returns those just raised. Kinds in `blind` cannot be judged now and are left alone."""
    now = now or utc_now()
    raised = []
    with transaction.atomic():
        fence()
        standing = {(a.kind, a.about): a for a in AlarmRecord.objects.filter(ended_at=None)}
        found = {(t.kind, t.about[:200]): t for t in troubles}
        for key, trouble in found.items():
            known = standing.get(key)
            if known is not None:
                _go_on(known, trouble, now)
            elif (now - trouble.since).total_seconds() >= trouble.after:
                raised.append(_raise(trouble, epoch, now))
        over = [a.pk for key, a in standing.items() if key not in found and a.kind not in blind]
        AlarmRecord.objects.filter(pk__in=over).update(ended_at=now)
    return raised


def waiting() -> QuerySet[AlarmRecord]:
    """What nobody has acknowledged, the oldest first: it is the loudest."""
    return AlarmRecord.objects.filter(acknowledged_at=None).order_by("first_seen", "id")


def waiting_rows(now: datetime | None = None) -> list[dict[str, object]]:
    """The same as the page's frame and the live feed show them."""
    now = now or utc_now()
    return [alarm.as_row(now, settings.ALARM_ESCALATE_SECONDS) for alarm in waiting()[:SHOWN]]


def acknowledge(alarm_id: int, *, by: str, note: str, now: datetime | None = None) -> bool:
    """Somebody has seen it and says so; False when it was acknowledged already. It goes on standing until its cause is gone."""
    said = {"acknowledged_at": now or utc_now(), "acknowledged_by": by[:150], "note": note[:300]}
    return bool(AlarmRecord.objects.filter(pk=alarm_id, acknowledged_at=None).update(**said))


def _go_on(alarm: AlarmRecord, trouble: Trouble, now: datetime) -> None:
    if alarm.text != trouble.text[:500] or now - alarm.last_seen >= TOUCH_EVERY:
        AlarmRecord.objects.filter(pk=alarm.pk).update(text=trouble.text[:500], last_seen=now)


def _raise(trouble: Trouble, epoch: int, now: datetime) -> AlarmRecord:
    """A new row, or the unacknowledged one of the same trouble once more."""
    again = AlarmRecord.objects.filter(Q(kind=trouble.kind, about=trouble.about[:200], acknowledged_at=None)).first()
    if again is not None:
        changed = {"ended_at": None, "last_seen": now, "text": trouble.text[:500], "times": F("times") + 1, "epoch": epoch}
        AlarmRecord.objects.filter(pk=again.pk).update(**changed)
        again.refresh_from_db()
        return again
    return AlarmRecord.objects.create(
        kind=trouble.kind,
        about=trouble.about[:200],
        text=trouble.text[:500],
        page=trouble.page[:100],
        first_seen=trouble.since,
        last_seen=now,
        epoch=epoch,
    )
