"""One week of what limits and people did to trading, for reading afterwards: who, when, what, why. Read only, from the rows as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Q

from events.exchange_time import EXCHANGE_ZONE
from events.models import CommandRecord, EventRecord
from events.refusal_words import refusal_title
from events.wording import class_words
from positions.models import AlarmRecord, ErrorTrade, LimitChange, OrderRecord, PositionRecord, RiskLock
from signals.models import SignalRecord

MOST_OF_A_KIND = 500
OVERRIDES = ("AdoptHolding", "ReleasePosition", "AcknowledgeDifference", "ResolveDoubt")
KINDS = ("limit change", "override", "refusal", "reject", "halt", "lock", "error trade", "alarm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    at: datetime
    kind: str  # one of KINDS
    what: str
    who: str
    why: str


def monday_of(word: str) -> date | None:
    """The Monday of "2026-W48"; None when there is no such week."""
    try:
        return date.fromisoformat(f"{word}-1") if len(word) == len("2026-W48") else None
    except ValueError:
        return None


def week_word(day: date) -> str:
    return f"{day:%G}-W{day:%V}"


def lines_of(account: str, monday: date) -> list[Line]:
    """Everything of that exchange week, of the account and of the whole desk, the newest first; of each kind the newest MOST_OF_A_KIND."""
    began = datetime.combine(monday, time(), EXCHANGE_ZONE)
    span = (began, datetime.combine(monday + timedelta(days=7), time(), EXCHANGE_ZONE))
    found = [line for read in READERS for line in read(account, *span)]
    return sorted((line for line in found if span[0] <= line.at < span[1]), key=lambda line: line.at, reverse=True)


def _limits(_: str, began: datetime, ended: datetime) -> Iterator[Line]:
    for row in LimitChange.objects.filter(at__gte=began, at__lt=ended)[:MOST_OF_A_KIND]:
        yield Line(at=row.at, kind="limit change", what=str(row), who=row.changed_by, why=row.reason)


def _commands(account: str, began: datetime, ended: datetime) -> Iterator[Line]:
    """Wishes that were refused, and those that set aside what the desk had found."""
    wanted = Q(state=CommandRecord.State.REFUSED) | Q(name__in=OVERRIDES)
    found = CommandRecord.objects.filter(wanted, account=account, created_at__gte=began, created_at__lt=ended).select_related("created_by")
    rows = list(found[:MOST_OF_A_KIND])
    symbols = dict(PositionRecord.objects.filter(account=account, pk__in={row.position_id for row in rows}).values_list("pk", "symbol"))
    for row in rows:
        who = row.created_by.get_username() if row.created_by else "the desk"
        about = row.payload.get("symbol") or symbols.get(row.position_id, "")
        if row.state == CommandRecord.State.REFUSED:
            yield Line(
                at=row.created_at,
                kind="refusal",
                what=f"{class_words(row.name)} {about}".strip(),
                who=who,
                why=_because(row.code, row.reason),
            )
        else:
            yield Line(
                at=row.created_at,
                kind="override",
                what=f"{class_words(row.name)} {about}".strip(),
                who=who,
                why=str(row.payload.get("reason") or ""),
            )


def _because(code: str, words: str) -> str:
    """The sentence with its title; either may be missing."""
    return ": ".join(part for part in (refusal_title(code), words) if part)


def _edited(_: str, began: datetime, ended: datetime) -> Iterator[Line]:
    """Approvals with other numbers than the card proposed."""
    decided = SignalRecord.objects.filter(state="approved", decided_at__gte=began, decided_at__lt=ended).order_by("-decided_at")
    for row in decided[:MOST_OF_A_KIND]:
        if row.decided_at is not None and (edited := row.decision.get("edited")):
            now = ", ".join(f"{name} {row.decision.get(_KEPT[name], '')}" for name in edited if name in _KEPT)
            yield Line(at=row.decided_at, kind="override", what=f"{row.symbol} approved with {now}", who=row.decided_by, why="")


_KEPT = {"quantity": "quantity", "stop": "stop_loss", "target": "take_profit"}


def _rejects(account: str, began: datetime, ended: datetime) -> Iterator[Line]:
    """Orders that IB refused, or that we refused at the last moment."""
    rows = OrderRecord.objects.filter(account=account, state__in=("rejected", "denied"), updated_at__gte=began, updated_at__lt=ended).defer(
        "data"
    )
    for row in rows.order_by("-updated_at")[:MOST_OF_A_KIND]:
        who = "IB" if row.state == "rejected" else "the desk"
        yield Line(at=row.updated_at, kind="reject", what=str(row), who=who, why=_because(row.code, row.message))


def _switches(_: str, began: datetime, ended: datetime) -> Iterator[Line]:
    rows = EventRecord.objects.filter(event_type="TradingStateEvent", timestamp__gte=began, timestamp__lt=ended)
    for row in rows[:MOST_OF_A_KIND]:
        data = row.data
        what = f"trading {data.get('state', '')}, was {data.get('previous_state', '')}".replace("_", " ")
        yield Line(at=row.timestamp, kind="halt", what=what, who=str(data.get("changed_by") or ""), why=str(data.get("reason") or ""))


def _locks(account: str, began: datetime, ended: datetime) -> Iterator[Line]:
    for row in RiskLock.objects.filter(Q(since__range=(began, ended)) | Q(cleared_at__range=(began, ended)), account=account)[
        :MOST_OF_A_KIND
    ]:
        yield Line(at=row.since, kind="lock", what=f"{row.what} locked ({refusal_title(row.code)})", who="the desk", why=row.reason)
        if row.cleared_at is not None:
            yield Line(
                at=row.cleared_at,
                kind="lock",
                what=f"{row.what} cleared ({refusal_title(row.code)})",
                who=row.cleared_by,
                why=row.clear_reason,
            )


def _errors(account: str, began: datetime, ended: datetime) -> Iterator[Line]:
    for row in ErrorTrade.objects.filter(Q(marked_at__range=(began, ended)) | Q(settled_at__range=(began, ended)), account=account)[
        :MOST_OF_A_KIND
    ]:
        yield Line(at=row.marked_at, kind="error trade", what=f"{row.symbol} marked", who=row.marked_by, why=row.note)
        if row.settled_at is not None:
            yield Line(at=row.settled_at, kind="error trade", what=f"{row.symbol} settled", who=row.settled_by, why=row.outcome)


def _alarms(_: str, began: datetime, ended: datetime) -> Iterator[Line]:
    for row in AlarmRecord.objects.filter(first_seen__gte=began, first_seen__lt=ended)[:MOST_OF_A_KIND]:
        who = f"acknowledged by {row.acknowledged_by}" if row.acknowledged_at else "nobody yet"
        yield Line(at=row.first_seen, kind="alarm", what=row.text, who=who, why=row.note)


READERS = (_limits, _commands, _edited, _rejects, _switches, _locks, _errors, _alarms)
