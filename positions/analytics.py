"""Questions about closed positions, asked of the database: which ones, on which exchange day, grouped how.

The one source of every realized figure: the P&L page, the calendar, the positions page and the CSV export all start
from `closed_positions()` and add up the same Decimal columns, so they cannot disagree. A position counts on the
exchange day (US Eastern) on which it closed, with everything it realized over its life, after commissions. Positions
that never filled are not results and are left out. Equity and bars are in `curves.py`.
"""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Count, QuerySet, Sum

from positions.domain.performance import Performance, measure
from positions.exact_sql import EpochSeconds, TenThousandths, money_of
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


class ClosedRow(NamedTuple):
    """What the figures need of one closed position; `day` is the exchange day it closed on. A tuple: years have 20,000 of them."""

    signal_id: str
    symbol: str
    day: date
    net: Decimal
    commission: Decimal
    r_multiple: float | None


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
    """The rows in the order they closed."""
    numbers = (EpochSeconds("close_time"), TenThousandths("realized_pnl"), TenThousandths("commission"))
    values = found.order_by("close_time", "position_id").values_list("signal_id", "symbol", *numbers, "r_multiple")
    days: dict[int, date] = {}  # of an hour since 1970: the exchange's midnight is always on a whole hour
    rows = []
    for signal_id, symbol, at, net, commission, r_multiple in values.iterator(chunk_size=5000):
        day = days.get(at // 3600)
        if day is None:
            day = days[at // 3600] = exchange_date(datetime.fromtimestamp(at, UTC))
        rows.append(ClosedRow(signal_id, symbol, day, money_of(net), money_of(commission), r_multiple))
    return rows


def performance_of(rows: Iterable[ClosedRow]) -> Performance:
    return measure(rows)


def count_and_net(found: QuerySet[PositionRecord]) -> tuple[int, Decimal]:
    """How many positions were found, and the exact sum of their realized P&L."""
    totals = found.order_by().aggregate(count=Count("*"), net=Sum(TenThousandths("realized_pnl")))
    return totals["count"], money_of(totals["net"])


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

# closed positions → {signal id: label}. The floors above know what a signal was; the money stays here.
Labels = Callable[[QuerySet[PositionRecord]], Mapping[str, str]]
_breakdowns: dict[str, Labels] = {}
UNLABELLED = "No signal"


def register_breakdown(title: str, labels: Labels) -> None:
    """Offer a way to group closed positions by what their signals were. Called once, from an AppConfig.ready()."""
    _breakdowns[title] = labels


def breakdowns(closed: QuerySet[PositionRecord], rows: Sequence[ClosedRow]) -> list[tuple[str, list[Group]]]:
    """(title, groups in label order) for every registered breakdown; positions without a known signal come last.

    `rows` are those of `closed`.
    """
    found = []
    for title, labels in _breakdowns.items():
        known = labels(closed)
        groups = _grouped(rows, lambda row, known=known: known.get(row.signal_id, UNLABELLED))  # type: ignore[misc]
        found.append((title, sorted(groups, key=lambda group: (group.label == UNLABELLED, group.label))))
    return found
