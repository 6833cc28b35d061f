"""Time series for charts, never more points than a chart can show: the equity curve and a position's candles.

The equity table grows for ever, so the curve is not read and thinned but sought: the range is cut into equal steps and
the last point at or before each step is one seek in the (account, at) index, 2,000 seeks in one statement. The cost
follows the points shown, not the rows stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.db import connection

from events.exchange_time import day_start, exchange_date
from positions.domain.flow_adjusted import FlowAdjusted
from positions.domain.performance import Falls, deepest_falls
from positions.exchange_days import sessions_between
from positions.models import EquityPoint, MinuteBar

MAX_POINTS = 2000
MAX_BARS = 1500
MOST_SCANNED = 100_000  # twice what thinning leaves of many years
BAR_STEPS = (60, 300, 900, 3600, 14400, 86400)  # seconds a candle may span
EVERY_POINT_SPAN = timedelta(days=2)  # a longer range is always sought in equal steps
MAX_BAR_SPAN = timedelta(days=60)
_TABLE = EquityPoint._meta.db_table
_STORED = Decimal("0.0001")  # the scale of money columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Equity at moments: `at` in epoch seconds, strictly rising, beside `equity` in account currency."""

    at: list[int]
    equity: list[Decimal]

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """`at` is the start in epoch seconds."""

    at: int
    open: float
    high: float
    low: float
    close: float
    volume: int


def equity_curve(account: str, *, first: date | None, last: date, points: int = MAX_POINTS) -> Curve:
    """Equity of the account over the exchange days `first` to `last`, both included, in at most `points` points."""
    mine = EquityPoint.objects.filter(account=account)
    start = day_start(first) if first else mine.order_by("at").values_list("at", flat=True).first()
    newest = mine.order_by("-at").values_list("at", flat=True).first()
    if start is None or newest is None:
        return Curve(at=[], equity=[])
    end = min(day_start(last + timedelta(days=1)) - timedelta(microseconds=1), newest)
    within = mine.filter(at__gte=start, at__lte=end).order_by("at")
    # The past is thinned and today is not: beyond a couple of days only equal steps draw both to the same scale.
    if end - start <= EVERY_POINT_SPAN and not within[points : points + 1].values_list("id", flat=True).exists():
        return _curve((int(at.timestamp()), equity) for at, equity in within.values_list("at", "equity"))
    step = (end - start) / points
    return _curve(_seek(account, [*(start + step * n for n in range(1, points)), end], start))


def from_opening(curve: Curve, *, account: str, first: date | None) -> Curve:
    """The curve begun with what the account was worth when the range opened, so that its rise is the range's result."""
    if first is None:
        return curve
    start = day_start(first)
    before = _last_before(account, start)
    at = int(start.timestamp())
    if before is None or (curve.at and curve.at[0] <= at):
        return curve
    return Curve(at=[at, *curve.at], equity=[before[1], *curve.equity])


def _last_before(account: str, moment: datetime) -> tuple[datetime, Decimal] | None:
    """When the newest point before the moment is from, and its equity."""
    return EquityPoint.objects.filter(account=account, at__lt=moment).order_by("-at").values_list("at", "equity").first()


def session_ends(account: str, *, first: date | None, last: date, adjusted: FlowAdjusted) -> list[float]:
    """The index of equity at the end of each day the exchange trades on which any point was stored, oldest first.

    What moves between sessions, as the simulated market does at the weekend, belongs to the next one.
    """
    if first is None:
        oldest = EquityPoint.objects.filter(account=account).order_by("at").values_list("at", flat=True).first()
        if oldest is None:
            return []
        first = exchange_date(oldest)
    ends = [day_start(day + timedelta(days=1)) - timedelta(microseconds=1) for day in sessions_between(first, last)]
    if not ends:
        return []
    sought = _seek(account, ends, day_start(first))
    return [adjusted.index(datetime.fromtimestamp(at, UTC), float(equity)) for at, equity in sought]


def falls(account: str, *, first: date | None, last: date, adjusted: FlowAdjusted) -> Falls | None:
    """The deepest falls over every stored point of the exchange days `first` to `last`, and what the range opened with.

    Thinning keeps what makes them, so the figure of a range is the same years later. A range with more points than thinning
    ever leaves is judged by those that are drawn.
    """
    within = EquityPoint.objects.filter(account=account, at__lt=day_start(last + timedelta(days=1))).order_by("at")
    opening: list[tuple[datetime, float]] = []
    if first is not None:
        start = day_start(first)
        within = within.filter(at__gte=start)
        before = _last_before(account, start)
        opening = [(before[0], float(before[1]))] if before is not None else []
    if within[MOST_SCANNED : MOST_SCANNED + 1].values_list("id", flat=True).exists():
        drawn = equity_curve(account, first=first, last=last)
        stored = [(datetime.fromtimestamp(at, UTC), float(equity)) for at, equity in zip(drawn.at, drawn.equity, strict=True)]
    else:
        stored = [(at, float(equity)) for at, equity in within.values_list("at", "equity").iterator(chunk_size=5000)]
    return deepest_falls([*opening, *stored], adjusted)


def _seek(account: str, moments: Sequence[datetime], start: datetime) -> list[tuple[int, Decimal]]:
    """(epoch seconds, equity) of the last point at or before each moment, not before `start`, each point once, oldest first.

    One statement, one index seek for each moment; plain columns and no model objects, which would cost more than the seeks.
    """
    marks: Any
    floor: Any
    if connection.vendor == "postgresql":
        seconds, source, floor, marks = "extract(epoch FROM p.at)::bigint", "unnest(%s::timestamptz[]) AS mark(value)", start, list(moments)
    else:
        seconds, source, floor = "CAST(strftime('%%s', p.at) AS INTEGER)", "json_each(%s) AS mark", _sqlite_time(start)
        marks = json.dumps([_sqlite_time(moment) for moment in moments])
    last_before = f"SELECT id FROM {_TABLE} WHERE account = %s AND at <= mark.value AND at >= %s ORDER BY at DESC LIMIT 1"  # noqa: S608 - own name
    statement = (
        f"SELECT {seconds}, p.equity FROM (SELECT DISTINCT ({last_before}) AS id FROM {source}) AS sought"  # noqa: S608 - own names only
        f" JOIN {_TABLE} AS p ON p.id = sought.id ORDER BY p.at"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [account, floor, marks])
        return [(at, Decimal(str(equity)).quantize(_STORED)) for at, equity in cursor.fetchall()]


def _sqlite_time(moment: datetime) -> str:
    """An aware UTC moment as the SQLite backend stores it, so that text order is time order."""
    return moment.isoformat(sep=" ")[:-6]  # without +00:00


def _curve(points: Iterable[tuple[int, Decimal]]) -> Curve:
    """One point a second at most: the later one of the same second wins."""
    by_second = dict(points)
    return Curve(at=list(by_second), equity=list(by_second.values()))


def candles(symbol: str, *, start: datetime, end: datetime) -> tuple[int, list[Candle]]:
    """(seconds a candle spans, candles) from `start` to `end`; longer spans get coarser candles, at most MAX_BARS."""
    start = max(start, end - MAX_BAR_SPAN)
    span = max((end - start).total_seconds(), 0.0)
    step = next((step for step in BAR_STEPS if span / step <= MAX_BARS), BAR_STEPS[-1])
    stored = MinuteBar.objects.filter(symbol=symbol, at__gte=start, at__lte=end).order_by("at")
    minutes = stored.values_list("at", "open", "high", "low", "close", "volume")
    bars = (Candle(at=int(at.timestamp()), open=o, high=h, low=low, close=c, volume=v) for at, o, h, low, c, v in minutes.iterator(2000))
    return step, [_merged(key * step, list(group)) for key, group in groupby(bars, key=lambda bar: bar.at // step)]


def _merged(at: int, bars: Sequence[Candle]) -> Candle:
    return Candle(
        at=at,
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=sum(bar.volume for bar in bars),
    )
