"""A broker's statement in our words, and the way a file can fail to be one. Pure: no database, no wall clock.

Amounts are Decimal in the statement's currency; quantities are signed shares; a commission is a cost, positive. `lines` are
the places of the rows in the file, counted from 1: every row of a file is in exactly one of the lists below.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

ZERO = Decimal(0)
MOST_ROWS = 50_000
STATEMENT_ZONE = ZoneInfo("America/New_York")  # statements print exchange time
EVENING = 20  # o'clock at the exchange: from then on trades are booked under the next trade date

Lines = tuple[int, ...]


class BadStatement(ValueError):
    """The file is refused; the text says why, for the person who gave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTrade:
    """One execution, or (exec_id "") one order as activity statements list them. `realized` is net of commissions.

    `day` is IB's trade date, `report_day` the day whose statement first said it, `at` the time of the execution: an evening's
    trade is booked under the next trade date, a cancellation under the trade date of what it cancels. `commission` is None
    where it was charged in another currency than the trade's or stands on an earlier statement. `booked` is how IB made it
    without an execution ("assigned"). `closes` is IB's word whether it opened ("O") or closed ("C") shares, "" when not said.
    """

    exec_id: str
    symbol: str
    day: date
    at: datetime
    quantity: Decimal
    price: Decimal
    commission: Decimal | None
    realized: Decimal | None
    currency: str = "USD"
    report_day: date | None = None
    booked: str = ""
    closes: str = ""
    is_cancel: bool = False
    trade_id: str = ""
    transaction_id: str = ""
    original_trade_id: str = ""
    original_transaction_id: str = ""
    lines: Lines = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementCash:
    """Money that moved without an execution: deposits, dividends, interest, fees."""

    kind: str
    text: str
    amount: Decimal
    currency: str
    day: date | None
    section: str = "Cash"
    lines: Lines = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementAction:
    """Shares that moved without a trade: a corporate action or a transfer. It concerns every one of `symbols`."""

    kind: str
    text: str
    symbols: frozenset[str]
    quantity: Decimal | None
    day: date | None
    section: str = "Corporate Actions"
    lines: Lines = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPosition:
    """A holding at the end of `day`."""

    symbol: str
    quantity: Decimal
    day: date | None
    lines: Lines = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementBalance:
    """US dollars at the end of `day`."""

    amount: Decimal
    day: date | None
    lines: Lines = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Rows of one section that are not compared, and why, as the end of "They are …"."""

    section: str
    reason: str
    lines: Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Everything of a file, of one account.

    `trades` stand; `cancelled` were taken back within the file (quantity 0, what remains of their fees); `cancels` take back
    trades that the file does not list. `skipped` counts trades that are not US-dollar stocks. `notes` say what the file lacks.
    """

    source: str
    account: str
    first: date | None
    last: date | None
    trades: tuple[StatementTrade, ...]
    cancelled: tuple[StatementTrade, ...] = ()
    cancels: tuple[StatementTrade, ...] = ()
    cash: tuple[StatementCash, ...] = ()
    actions: tuple[StatementAction, ...] = ()
    positions: tuple[StatementPosition, ...] = ()
    balances: tuple[StatementBalance, ...] = ()
    position_days: frozenset[date] = frozenset()  # the days whose positions are listed, also where nothing is held
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: int = 0
    rows: int = 0

    @property
    def days(self) -> list[date]:
        """Its own day when it is of one; else the trade dates within its period, else the period's end."""
        if self.first is not None and self.first == self.last:
            return [self.first]
        found = sorted({t.day for t in (*self.trades, *self.cancelled) if self.covers(t.day)})
        return found or [day for day in (self.last or self.first,) if day is not None]

    def covers(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def reported_on(self, trade: StatementTrade) -> date:
        """The day whose statement says it: its report date, else for a trade before the file's period the period's end."""
        if trade.report_day is not None:
            return trade.report_day
        return trade.day if self.covers(trade.day) or self.last is None else self.last

    @property
    def evenings_are_next_day(self) -> bool:
        """Whether this file books the trades of an evening under the next trade date, as IB does."""
        return not any(is_evening(t.at) and t.day == exchange_day(t.at) for t in self.trades)


def exchange_day(at: datetime) -> date:
    return (at if at.tzinfo is STATEMENT_ZONE else at.astimezone(STATEMENT_ZONE)).date()


def is_evening(at: datetime) -> bool:
    return (at if at.tzinfo is STATEMENT_ZONE else at.astimezone(STATEMENT_ZONE)).hour >= EVENING


def trade_date(at: datetime) -> date:
    """The trade date under which IB books an execution. An evening is only traded before a day of trading: no calendar is needed."""
    return exchange_day(at) + timedelta(days=is_evening(at))


def trade_date_within(at: datetime, first: date | None, last: date | None) -> date:
    """The same for a row that does not say it: a file does not list trades of the day after its period."""
    day, own = trade_date(at), exchange_day(at)
    return own if last is not None and day > last and (first is None or own >= first) else day
