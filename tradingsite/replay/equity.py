"""Equity points: one for each of their events, less those that housekeeping has thinned; compared stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from django.db.models import Max, Q

from events.clock import utc_now
from events.exchange_time import day_start, exchange_date
from events.models import EventRecord
from events.system import EquityEvent
from positions.models import EquityPoint
from positions.store import exact
from tradingsite.replay import journal
from tradingsite.replay.checkpoint import Segment
from tradingsite.replay.scratch import one_snapshot
from tradingsite.replay.tables import Replay, difference

KEPT_WHOLE = timedelta(days=2)  # equity points younger than this are never thinned
MONEY = ("equity", "cash", "unrealized_pnl", "realized_pnl", "day_pnl", "open_risk")
ROUNDING = Decimal("0.00005")  # the columns hold four decimals
MOST_STRANGERS = 10_000
NAME = EquityPoint.__name__
Point = tuple[str, datetime]  # account, at


def compare_points(points: Mapping[Point, EquityEvent], window: tuple[datetime, datetime], replay: Replay) -> set[Point]:
    """The points of a stretch's events with the table; returns live points in the window (after, up to) that no event here made."""
    live = _live(points)
    replay.rows[NAME] = replay.rows.get(NAME, 0) + len(points)
    thinned = _thinned(points.keys() - live.keys())
    replay.thinned += len(thinned)
    for key, event in points.items():
        if key in live:
            _compare(key, event, live[key], replay)
        elif key not in thinned:
            replay.add(difference(NAME, key, "row", "there", "missing"))
    return _strangers(points, window)


def _accounts() -> list[str]:
    return list(EquityPoint.objects.order_by().values_list("account", flat=True).distinct())


def _live(points: Mapping[Point, EquityEvent]) -> dict[Point, tuple[Any, ...]]:
    found: dict[Point, tuple[Any, ...]] = {}
    for account in {account for account, _ in points}:
        times = [at for each, at in points if each == account]
        for start in range(0, len(times), 500):
            some = EquityPoint.objects.filter(account=account, at__in=times[start : start + 500]).order_by()
            found |= {(account, at): tuple(values) for at, *values in some.values_list("at", *MONEY)}
    return found


def _strangers(points: Mapping[Point, EquityEvent], window: tuple[datetime, datetime]) -> set[Point]:
    """A window that a clock's jump made wide holds the points of many stretches; each of those looks at its own."""
    after, upto = window
    found: set[Point] = set()
    for account in _accounts():
        stretch = EquityPoint.objects.filter(account=account, at__gt=after, at__lte=upto).order_by()
        times = stretch.values_list("at", flat=True)[: MOST_STRANGERS + len(points) + 1]
        found |= {(account, at) for at in times} - points.keys()
    return found if len(found) <= MOST_STRANGERS else set()


def _compare(key: Point, event: EquityEvent, live: tuple[Any, ...], replay: Replay) -> None:
    for name, value in zip(MONEY, live, strict=True):
        told = exact(getattr(event, name) or 0) or Decimal(0)
        if abs(told - value) > ROUNDING:
            replay.add(difference(NAME, key, name, told, value))


def _thinned(missing: set[Point]) -> set[Point]:
    """Old points that housekeeping may have rolled up: a later one of the same account and day is still there."""
    horizon = utc_now() - KEPT_WHOLE
    newest: dict[tuple[str, Any], datetime | None] = {}
    found = set()
    for account, at in missing:
        if at >= horizon:
            continue
        day = (account, exchange_date(at))
        if day not in newest:
            start, end = day_start(day[1]), day_start(day[1] + timedelta(days=1))
            of_day = EquityPoint.objects.filter(account=account, at__gte=start, at__lt=end)
            newest[day] = of_day.aggregate(last=Max("at"))["last"]
        last = newest[day]
        if last is not None and last > at:
            found.add((account, at))
    return found


def made_by(points: set[Point], segments: Iterable[Segment], step: Callable[[], None]) -> set[Point]:
    """Of these points, those that an event of a stretch of their time made."""
    found: set[Point] = set()
    for segment in segments if points else ():
        wanted = {point for point in points - found if segment.first_at <= point[1] <= segment.last_at}
        for record in journal.records(segment) if wanted else ():
            if record[journal.TYPE] == "EquityEvent":
                data = orjson.loads(record[journal.DATA])
                found |= wanted & {(data["account"], datetime.fromisoformat(data["timestamp"]))}
        step()
    return found


def outside(first: datetime | None, last: datetime | None, seq: int) -> set[Point]:
    """Points of before the first event or after the last one up to `seq`, but for those whose events are newer than that."""
    with one_snapshot():
        points = EquityPoint.objects.order_by()
        if first is not None and last is not None:
            points = points.filter(Q(at__lt=first) | Q(at__gt=last))
        found = set(points.values_list("account", "at"))
        later = EventRecord.objects.filter(seq__gt=seq, event_type="EquityEvent").values_list("data__account", "timestamp")
        return found - set(later) if found else found
