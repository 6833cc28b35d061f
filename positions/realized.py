"""What was realized on each exchange day, added up from the fills: the one source of every P&L by day.

Overview, P&L page, calendar, daily bars, loss limits and locks all ask here, so they cannot disagree. A day's P&L is the
gross result of its exit executions less the fees of all its executions, as the broker's statement counts; what a trade made
as a whole belongs to the day it closed, and is in `analytics.py`. Executions that no position of ours took (trades made
elsewhere) are left out: what their shares cost is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, QuerySet, Sum

from events.exchange_time import day_start, exchange_date
from positions.exact_sql import HourOf, TenThousandths, money_of
from positions.models import FillRecord
from positions.restated import unrealized_before

ZERO = Decimal(0)
_SUMS = {
    "fills": Count("*"),
    "gross": Sum(TenThousandths("realized_pnl")),
    "fees": Sum(TenThousandths("commission")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Realized:
    """What some executions realized: gross of fees, the fees (a cost is positive), and how many executions there were."""

    gross: Decimal = ZERO
    fees: Decimal = ZERO
    fills: int = 0

    @property
    def net(self) -> Decimal:
        return self.gross - self.fees

    def __add__(self, other: Realized) -> Realized:
        return Realized(gross=self.gross + other.gross, fees=self.fees + other.fees, fills=self.fills + other.fills)


def counted_fills(account: str, *, since: datetime | None = None, before: datetime | None = None) -> QuerySet[FillRecord]:
    """Executions of the account's positions that stand, by the time at which they were executed."""
    found = FillRecord.objects.filter(account=account, superseded=False).exclude(position_id="").order_by()
    if since is not None:
        found = found.filter(fill_time__gte=since)
    if before is not None:
        found = found.filter(fill_time__lt=before)
    return found


def realized(account: str, *, since: datetime | None = None, before: datetime | None = None) -> Realized:
    """The sum over all executions from `since` on and before `before`."""
    sums = counted_fills(account, since=since, before=before).aggregate(**_SUMS)
    return _realized(sums["fills"], sums["gross"], sums["fees"])


def realized_by_day(account: str, *, first: date | None = None, last: date | None = None) -> dict[date, Realized]:
    """Exchange day → what its executions realized, for each day from `first` to `last` on which there were any, oldest first.

    The database adds up hours, and the exchange's days are made of whole ones, whatever the clocks do.
    """
    found = counted_fills(
        account,
        since=day_start(first) if first is not None else None,
        before=day_start(last + timedelta(days=1)) if last is not None else None,
    )
    hours = found.annotate(hour=HourOf("fill_time")).values_list("hour").annotate(**_SUMS)
    days: dict[date, Realized] = {}
    for hour, fills, gross, fees in hours.iterator(chunk_size=5000):
        day = exchange_date(datetime.fromtimestamp(hour * 3600, UTC))
        days[day] = days.get(day, Realized()) + _realized(fills, gross, fees)
    return dict(sorted(days.items()))


def pnl_since(account: str, moment: datetime, unrealized: float) -> float:
    """P&L since a midnight of the exchange: realized after fees since then, plus what the unrealized (now `unrealized`) has changed."""
    return float(realized(account, since=moment).net) + unrealized - unrealized_before(account, moment)


def _realized(fills: int, gross: int | None, fees: int | None) -> Realized:
    return Realized(gross=money_of(gross), fees=money_of(fees), fills=fills)
