"""Why workers ended, remembered: what ends one again and again is set aside, and trading is halted.

A worker whose memory can no longer be trusted ends, and the next one learns everything anew from rows and broker. Whatever
breaks it each time would keep the desk from ever living. Runs in the worker's database thread; every write is fenced.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Max, Q

from events.clock import utc_now
from events.failstop import Breakdown
from events.models import SetAside, WorkerEnd

TIMES, WITHIN = 3, timedelta(minutes=10)
# A report is the same for ever and is skipped for ever. A section is our own code: it gets another chance.
SECTION_REST = timedelta(hours=1)


def record_end(fence: Callable[[], None], epoch: int, breakdown: Breakdown) -> None:
    """The last thing such a worker writes."""
    with transaction.atomic():
        fence()
        WorkerEnd.objects.create(
            at=utc_now(),
            epoch=epoch,
            section=breakdown.section[:80],
            cause=breakdown.cause[:200],
            error=breakdown.error[:500],
            content=breakdown.content,
        )


def last_end(epoch: int) -> WorkerEnd | None:
    """How the worker before this one ended, if it ended so."""
    return WorkerEnd.objects.filter(epoch=epoch - 1).first()


def load_set_aside(fence: Callable[[], None], epoch: int) -> tuple[frozenset[str], list[str]]:
    """(causes set aside, why trading must be halted for those that are new). Call at start."""
    now = utc_now()
    with transaction.atomic():
        fence()
        SetAside.objects.filter(kind=SetAside.Kind.CAUSE, until__lte=now).delete()
        known = set(SetAside.objects.filter(kind=SetAside.Kind.CAUSE).values_list("key", flat=True))
        often = (
            WorkerEnd.objects.filter(at__gte=now - WITHIN)
            .values("cause")
            .annotate(times=Count("id"), newest=Max("id"))
            .filter(times__gte=TIMES)
            .order_by("newest")
        )
        reasons = []
        for row in often:
            if row["cause"] not in known:
                known.add(row["cause"])
                reasons.append(_set_aside(row["newest"], row["times"], epoch))
    return frozenset(known), reasons


def waiting() -> list[SetAside]:
    """What the Broker page shows, the newest first."""
    return list(SetAside.objects.filter(Q(until=None) | Q(until__gt=utc_now()))[:50])


def _set_aside(end_id: int, times: int, epoch: int) -> str:
    end = WorkerEnd.objects.get(pk=end_id)
    now = utc_now()
    reason = f"{end.cause} ended the worker {times} times and was set aside: {end.error}"[:500]
    SetAside.objects.create(
        key=end.cause,
        kind=SetAside.Kind.CAUSE,
        at=now,
        until=now + SECTION_REST if end.cause.startswith("section ") else None,
        epoch=epoch,
        reason=reason,
        content=end.content,
    )
    return reason
