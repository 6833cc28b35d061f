"""Questions about closed positions, asked of the database: which ones, on which exchange day, grouped how.

The one source of every realized figure: the P&L page, the calendar, the positions page and the CSV export all start
from `closed_positions()` and add up the same Decimal columns, so they cannot disagree. A position counts on the
exchange day (US Eastern) on which it closed, with everything it realized over its life, after commissions. Positions
that never filled are not results and are left out. Equity and bars are in `curves.py`.
"""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from positions.domain.performance import Performance, Result, measure
from positions.models import PositionRecord

EXCHANGE_ZONE = ZoneInfo("America/New_York")
ZERO = Decimal(0)


class Period(StrEnum):
    """The ranges of the P&L page, by exchange date, each ending today."""

    TODAY = "today"
    WEEK = "wtd"
    MONTH = "mtd"
    YEAR = "ytd"
    TWELVE_MONTHS = "1y"
    MAX = "max"


PERIOD_LABELS: dict[Period, str] = {
    Period.TODAY: "Today",
    Period.WEEK: "WTD",
    Period.MONTH: "MTD",
    Period.YEAR: "YTD",
    Period.TWELVE_MONTHS: "1Y",
    Period.MAX: "Max",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedRow:
    """What the figures need of one closed position; `day` is the exchange day it closed on."""

    position_id: str
    signal_id: str
    symbol: str
    day: date
    net: Decimal
    commission: Decimal
    r_multiple: float | None

    @property
    def result(self) -> Result:
        return Result(net=self.net, commission=self.commission, r_multiple=self.r_multiple)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotal:
    """One exchange day: net realized P&L, positions closed, how many of them won. `day` None pads a calendar row."""

    day: date | None
    net: Decimal = ZERO
    count: int = 0
    wins: int = 0
    shade: int = 0  # 1..4, how large beside the month's largest day; 0 = nothing closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    days: tuple[DayTotal, ...]
    net: Decimal
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The figures of one symbol, one confidence bucket, ...; `key` is the raw value, `label` what is printed."""

    label: str
    performance: Performance


# --- exchange days -------------------------------------------------------------------------------------------------


def exchange_date(at: datetime) -> date:
    """The calendar date at the exchange of an aware moment."""
    return at.astimezone(EXCHANGE_ZONE).date()


def day_start(day: date) -> datetime:
    """Midnight at the exchange that begins `day`, as aware UTC (23 or 25 hours apart when the clocks change)."""
    return datetime.combine(day, time.min, tzinfo=EXCHANGE_ZONE).astimezone(UTC)


def first_day(period: Period, today: date) -> date | None:
    """The first exchange day of the range, None for the beginning of history. Weeks begin on Monday."""
    match period:
        case Period.TODAY:
            return today
        case Period.WEEK:
            return today - timedelta(days=today.weekday())
        case Period.MONTH:
            return today.replace(day=1)
        case Period.YEAR:
            return today.replace(month=1, day=1)
        case Period.TWELVE_MONTHS:
            return today - timedelta(days=365)
        case Period.MAX:
            return None


# --- closed positions ----------------------------------------------------------------------------------------------


def closed_positions(*, first: date | None = None, last: date | None = None) -> QuerySet[PositionRecord]:
    """Positions that held something and closed on an exchange day from `first` to `last`, both included."""
    found = PositionRecord.objects.filter(status="closed", open_time__isnull=False, close_time__isnull=False)
    if first is not None:
        found = found.filter(close_time__gte=day_start(first))
    if last is not None:
        found = found.filter(close_time__lt=day_start(last + timedelta(days=1)))
    return found


def closed_rows(found: QuerySet[PositionRecord]) -> list[ClosedRow]:
    """The rows in the order they closed. Added up in Python: SQLite sums decimals as floats."""
    columns = ("position_id", "signal_id", "symbol", "close_time", "realized_pnl", "commission", "r_multiple")
    values = found.order_by("close_time", "position_id").values_list(*columns)
    return [
        ClosedRow(
            position_id=position_id,
            signal_id=signal_id,
            symbol=symbol,
            day=exchange_date(close_time),
            net=net,
            commission=commission,
            r_multiple=r_multiple,
        )
        for position_id, signal_id, symbol, close_time, net, commission, r_multiple in values.iterator(chunk_size=2000)
    ]


def performance_of(rows: Iterable[ClosedRow]) -> Performance:
    return measure(row.result for row in rows)


def net_of(found: QuerySet[PositionRecord]) -> Decimal:
    """The exact sum of realized P&L of the positions found."""
    return sum(found.order_by().values_list("realized_pnl", flat=True).iterator(chunk_size=2000), ZERO)


# --- by day, month, group ------------------------------------------------------------------------------------------


def daily_totals(rows: Iterable[ClosedRow]) -> list[DayTotal]:
    """One total for each exchange day on which something closed, oldest first."""
    by_day: defaultdict[date, list[Decimal]] = defaultdict(list)
    for row in rows:
        by_day[row.day].append(row.net)
    return [_day_total(day, nets) for day, nets in sorted(by_day.items())]


def _day_total(day: date, nets: Sequence[Decimal]) -> DayTotal:
    return DayTotal(day=day, net=sum(nets, ZERO), count=len(nets), wins=sum(net > 0 for net in nets))


def month_calendar(totals: Iterable[DayTotal], year: int, month: int) -> list[Week]:
    """The month as weeks of seven days from Monday; days outside the month are blank."""
    by_day = {total.day: total for total in totals if total.day and (total.day.year, total.day.month) == (year, month)}
    largest = max((abs(total.net) for total in by_day.values()), default=ZERO)
    weeks = []
    for dates in calendar.Calendar(firstweekday=calendar.MONDAY).monthdatescalendar(year, month):
        days = tuple(_shaded(day, by_day.get(day), largest) if day.month == month else DayTotal(day=None) for day in dates)
        weeks.append(Week(days=days, net=sum((day.net for day in days), ZERO), count=sum(day.count for day in days)))
    return weeks


def _shaded(day: date, total: DayTotal | None, largest: Decimal) -> DayTotal:
    if total is None:
        return DayTotal(day=day)
    shade = 1 + min(3, int(abs(total.net) / largest * 4)) if largest else 1
    return DayTotal(day=day, net=total.net, count=total.count, wins=total.wins, shade=shade)


def by_symbol(rows: Iterable[ClosedRow]) -> list[Group]:
    """Figures per symbol, the best net first."""
    groups = _grouped(rows, lambda row: row.symbol)
    return sorted(groups, key=lambda group: (-group.performance.net, group.label))


def _grouped(rows: Iterable[ClosedRow], label: Callable[[ClosedRow], str]) -> list[Group]:
    gathered: defaultdict[str, list[ClosedRow]] = defaultdict(list)
    for row in rows:
        gathered[label(row)].append(row)
    return [Group(label=name, performance=performance_of(members)) for name, members in gathered.items()]


# --- breakdowns that floors above know ------------------------------------------------------------------------------

# signal ids → {signal id: label}. The floors above know what a signal was; the money stays here.
Labels = Callable[[Collection[str]], Mapping[str, str]]
_breakdowns: dict[str, Labels] = {}
UNLABELLED = "No signal"


def register_breakdown(title: str, labels: Labels) -> None:
    """Offer a way to group closed positions by what their signals were. Called once, from an AppConfig.ready()."""
    _breakdowns[title] = labels


def breakdowns(rows: Sequence[ClosedRow]) -> list[tuple[str, list[Group]]]:
    """(title, groups in label order) for every registered breakdown; positions without a known signal come last."""
    signal_ids = {row.signal_id for row in rows if row.signal_id}
    found = []
    for title, labels in _breakdowns.items():
        known = labels(signal_ids)
        groups = _grouped(rows, lambda row, known=known: known.get(row.signal_id, UNLABELLED))  # type: ignore[misc]
        found.append((title, sorted(groups, key=lambda group: (group.label == UNLABELLED, group.label))))
    return found
