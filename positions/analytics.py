"""Questions about closed positions, asked of the database: which ones, on which exchange day, grouped how.

The one source of every figure about closed trades: the statistics of the P&L page, the positions page and the CSV export all
start from `closed_positions()` and add up the same Decimal columns, so they cannot disagree. A position counts on the
exchange day (US Eastern) on which it closed, with everything it realized over its life, after commissions. Positions
that never filled are not results and are left out. P&L by day is what executions realized on it (`realized.py`), which is
another question: a position sold in parts realizes on several days and closes on one. Equity and bars are in `curves.py`.
"""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum
from django.db.models.expressions import Combinable

from events.exchange_time import day_start, exchange_date
from positions.domain.performance import Performance, Totals, figures
from positions.exact_sql import HourOf, TenThousandths, money_of
from positions.models import PositionRecord
from positions.realized import Realized, realized_by_day

ZERO = Decimal(0)
WON, LOST = Q(realized_pnl__gt=0), Q(realized_pnl__lt=0)
FINITE = Q(r_multiple__gt=-1e300, r_multiple__lt=1e300)


class Period(StrEnum):
    """The ranges of the P&L page, by exchange date, each ending today."""

    TODAY = "today"
    WEEK = "wtd"
    MONTH = "mtd"
    YEAR = "ytd"
    TWELVE_MONTHS = "1y"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodWords:
    """`label` for a tab, `words` say which days are meant."""

    label: str
    words: str


PERIODS: dict[Period, PeriodWords] = {
    Period.TODAY: PeriodWords(label="Today", words="Today"),
    Period.WEEK: PeriodWords(label="WTD", words="This week from Monday"),
    Period.MONTH: PeriodWords(label="MTD", words="This calendar month"),
    Period.YEAR: PeriodWords(label="YTD", words="This calendar year"),
    Period.TWELVE_MONTHS: PeriodWords(label="1Y", words="The last 365 days"),
    Period.MAX: PeriodWords(label="Max", words="Everything"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotal:
    """One exchange day: what its executions realized net of fees, and the trades that closed on it, how many of them won.

    `day` None pads a calendar row.
    """

    day: date | None
    net: Decimal = ZERO
    fees: Decimal = ZERO
    fills: int = 0
    count: int = 0  # trades closed, whenever their parts were sold
    wins: int = 0
    shade: int = 0  # 1..4, how large beside the month's largest day; 0 = nothing happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    days: tuple[DayTotal, ...]
    net: Decimal
    count: int
    fills: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The figures of one symbol, one confidence bucket, ...; `key` is the raw value, `label` what is printed."""

    label: str
    performance: Performance


# --- ranges ----------------------------------------------------------------------------------------------------------


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


def closed_positions(account: str, *, first: date | None = None, last: date | None = None) -> QuerySet[PositionRecord]:
    """Positions of the account that held something and closed on an exchange day from `first` to `last`, both included."""
    found = PositionRecord.objects.filter(account=account, status="closed", open_time__isnull=False, close_time__isnull=False)
    if first is not None:
        found = found.filter(close_time__gte=day_start(first))
    if last is not None:
        found = found.filter(close_time__lt=day_start(last + timedelta(days=1)))
    return found


def count_and_net(found: QuerySet[PositionRecord]) -> tuple[int, Decimal]:
    """How many positions were found, and the exact sum of their realized P&L."""
    totals = found.order_by().aggregate(count=Count("*"), net=Sum(TenThousandths("realized_pnl")))
    return totals["count"], money_of(totals["net"])


# --- by day, month, group ------------------------------------------------------------------------------------------


def daily_totals(account: str, *, first: date | None = None, last: date | None = None) -> list[DayTotal]:
    """One total for each exchange day on which something was executed or closed, oldest first."""
    money = realized_by_day(account, first=first, last=last)
    trades = _closed_by_day(closed_positions(account, first=first, last=last))
    return [_day_total(day, money.get(day, Realized()), trades.get(day, (0, 0))) for day in sorted(money.keys() | trades.keys())]


def _day_total(day: date, money: Realized, trades: tuple[int, int]) -> DayTotal:
    return DayTotal(day=day, net=money.net, fees=money.fees, fills=money.fills, count=trades[0], wins=trades[1])


def _closed_by_day(found: QuerySet[PositionRecord]) -> dict[date, tuple[int, int]]:
    """Exchange day → (trades closed, how many of them won). As in `realized_by_day` the database adds up hours."""
    sums = {"count": Count("*"), "wins": Count("close_time", filter=WON)}
    hours = found.order_by().annotate(hour=HourOf("close_time")).values_list("hour").annotate(**sums)
    days: dict[date, tuple[int, int]] = {}
    for hour, count, wins in hours.iterator(chunk_size=5000):
        day = exchange_date(datetime.fromtimestamp(hour * 3600, UTC))
        before = days.get(day, (0, 0))
        days[day] = (before[0] + count, before[1] + wins)
    return days


def month_calendar(totals: Iterable[DayTotal], year: int, month: int) -> list[Week]:
    """The month as weeks of seven days from Monday; days outside the month are blank."""
    by_day = {total.day: total for total in totals if total.day and (total.day.year, total.day.month) == (year, month)}
    largest = max((abs(total.net) for total in by_day.values()), default=ZERO)
    weeks = []
    for dates in calendar.Calendar(firstweekday=calendar.MONDAY).monthdatescalendar(year, month):
        days = tuple(_shaded(day, by_day.get(day), largest) if day.month == month else DayTotal(day=None) for day in dates)
        net, count, fills = sum((day.net for day in days), ZERO), sum(day.count for day in days), sum(day.fills for day in days)
        weeks.append(Week(days=days, net=net, count=count, fills=fills))
    return weeks


def _shaded(day: date, total: DayTotal | None, largest: Decimal) -> DayTotal:
    if total is None:
        return DayTotal(day=day)
    shade = 1 + min(3, int(abs(total.net) / largest * 4)) if largest else 1
    return replace(total, shade=shade)


def totals_by(found: QuerySet[PositionRecord], key: Combinable) -> dict[Any, Totals]:
    """The sums of the positions of each value of `key`, added up by the database."""
    net = TenThousandths("realized_pnl")
    sums = {
        "count": Count("*"),
        "wins": Count("close_time", filter=WON),
        "losses": Count("close_time", filter=LOST),
        "gross_profit": Sum(net, filter=WON),
        "gross_loss": Sum(net, filter=LOST),
        "commissions": Sum(TenThousandths("commission")),
        "best": Max(net),
        "worst": Min(net),
        "r_sum": Sum("r_multiple", filter=FINITE),
        "r_count": Count("r_multiple", filter=FINITE),
    }
    return {row[0]: _totals(*row[1:]) for row in found.order_by().annotate(key=key).values_list("key").annotate(**sums)}


def _totals(count: int, wins: int, losses: int, profit: int, loss: int, fees: int, best: int, worst: int, r: float, rs: int) -> Totals:
    return Totals(
        count=count,
        wins=wins,
        losses=losses,
        gross_profit=money_of(profit),
        gross_loss=money_of(loss),
        commission=money_of(fees),
        best=money_of(best),
        worst=money_of(worst),
        r_sum=r or 0.0,
        r_count=rs,
    )


def totals_by_symbol(found: QuerySet[PositionRecord]) -> dict[str, Totals]:
    return totals_by(found, F("symbol"))


def by_symbol(totals: Mapping[str, Totals]) -> list[Group]:
    """Figures per symbol, the best net first."""
    groups = [Group(label=symbol, performance=figures(total)) for symbol, total in totals.items()]
    return sorted(groups, key=lambda group: (-group.performance.net, group.label))


def performance_of(totals: Mapping[Any, Totals]) -> Performance:
    """The figures of all of them together."""
    return figures(sum(totals.values(), Totals()))


# --- breakdowns that floors above know ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A way to group positions. `key` makes an expression over positions; `label` names its values, of which None is no signal."""

    key: Callable[[], Combinable]
    label: Callable[[Any], str]


_breakdowns: dict[str, Breakdown] = {}
UNLABELLED = "No signal"


def register_breakdown(title: str, breakdown: Breakdown) -> None:
    """Offer a way to group closed positions by what their signals were. Called once, from an AppConfig.ready()."""
    _breakdowns[title] = breakdown


def breakdowns(found: QuerySet[PositionRecord]) -> list[tuple[str, list[Group]]]:
    """(title, groups in label order) for every registered breakdown; positions without a known signal come last."""
    return [(title, _groups(totals_by(found, breakdown.key()), breakdown.label)) for title, breakdown in _breakdowns.items()]


def _groups(totals: Mapping[Any, Totals], label: Callable[[Any], str]) -> list[Group]:
    gathered: defaultdict[str, Totals] = defaultdict(Totals)
    for key, total in totals.items():
        gathered[UNLABELLED if key is None else label(key)] += total
    groups = [Group(label=name, performance=figures(total)) for name, total in gathered.items()]
    return sorted(groups, key=lambda group: (group.label == UNLABELLED, group.label))
