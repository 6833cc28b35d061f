"""What the account is worth: cash as IB says it plus all it holds at the last price, shown together with the positions' marks.

IB repeats account values only every few minutes or on change, so cash and shares follow the executions in between, both in
one step, in the order the wire told them; the next word from IB replaces the estimate. IB tells us of executions under our
client id only, but of all cash: when that moves by more than executions explain, somebody may have bought elsewhere, and
until a new picture has come nobody knows what the account is worth. A purchase would look like a loss, and lock.

The day's P&L is what was realized since midnight of the exchange plus the change of the unrealized, so deposits do not count
and the number agrees with the positions page.

The row is shown four times a second, so what the database alone knows (`read_past`) is read once a minute and after each
fill. In between a fill and that reading the row rests: it would miss the profit that has just been realized.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import Sum

from events.bus import EventBus
from events.clock import monotonic, utc_now
from events.exchange_time import EXCHANGE_ZONE, exchange_date
from events.feed import Feed
from events.order import OrderSide
from events.position import PositionStatus
from events.system import EquityEvent
from positions.domain.ledger import split_exec_id
from positions.domain.ports import BrokerSnapshot, CommissionReport, ExecutionReport
from positions.domain.tracker import PositionTracker
from positions.models import PositionRecord
from positions.realized import realized
from positions.restated import unrealized_before
from tradingsite.worker.database import Database
from tradingsite.worker.marks import Marks, price_of

SAME_ROW_SECONDS = 5.0  # a row that says the same again is sent this often, so that pages know it is fresh
EXPLAINED = 0.001  # of what the account is worth: fees and interest move cash by less without an execution
CASH_KEYS = ("TotalCashValue", "TotalCashBalance", "TotalCashBalance.BASE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Net P&L in account currency: realized ever, realized today, and the unrealized the day began with. Good `until` the day ends."""

    realized: float
    realized_today: float
    unrealized_before: float
    until: datetime


class Equity:
    """Account values, the live equity row, and the EquityEvents that become points. `ask_picture` is called with the reason when
    only a new picture of the account can tell what it is worth."""

    def __init__(self, bus: EventBus, tracker: PositionTracker, marks: Marks, feed: Feed, database: Database) -> None:
        self.account = ""
        self.values: dict[str, float] = {}
        self.row: dict[str, Any] = {}
        self.ask_picture: Callable[[str], None] = lambda why: None
        self._bus = bus
        self._tracker = tracker
        self._marks = marks
        self._feed = feed
        self._database = database
        self._cash: float | None = None
        self._shares: dict[str, float] = {}  # symbol → all that the account holds of it, ours or not
        self._costs: dict[str, float] = {}  # symbol → a price it was bought at, for want of a newer one
        self._moved: dict[str, tuple[int, float]] = {}  # execution's base id → (revision, the cash it moved in this session)
        self._traded: dict[str, tuple[int, float]] = {}  # … its shares, with a sign
        self._fees: dict[str, tuple[int, float]] = {}  # … and its fee
        self.picture_at: datetime | None = None  # of the last complete picture
        self._picture_is_old = False
        self._past: Past | None = None
        self._past_is_old = False  # a fill was heard that the database may not hold yet
        self._sent_at = float("-inf")

    # --- heard ---

    def on_account(self, key: str, value: float) -> None:
        self.values[key] = value
        if key != "TotalCashValue":
            return
        worth, moved = self.worth, value - (self._cash if self._cash is not None else value)
        if worth is not None and abs(moved) > EXPLAINED * abs(worth):
            self._picture_is_old = True
            self.ask_picture(f"cash moved by {moved:+,.2f} without an execution")
        self._cash = value

    def on_execution(self, report: ExecutionReport) -> None:
        self._past_is_old = True
        if self._cash is None or report.from_query:
            return
        busted = report.liquidation == 1
        shares = 0.0 if busted else report.quantity if report.side is OrderSide.BUY else -report.quantity
        self._cash += _difference(self._moved, report.exec_id, -shares * report.price)
        self._shares[report.symbol] = self._shares.get(report.symbol, 0.0) + _difference(self._traded, report.exec_id, shares)
        self._costs.setdefault(report.symbol, report.price)
        if busted:
            self._cash += _difference(self._fees, report.exec_id, 0.0)

    def on_commission(self, report: CommissionReport) -> None:
        self._past_is_old = True
        if self._cash is not None:
            self._cash += _difference(self._fees, report.exec_id, -report.commission)

    def on_snapshot(self, snapshot: BrokerSnapshot) -> None:
        """A complete picture: cash and holdings as of now."""
        self.values, self.picture_at = dict(snapshot.account_values), snapshot.taken_at
        cash = next((self.values[key] for key in CASH_KEYS if key in self.values), None)
        self._cash = cash if cash is not None else self._cash
        self._picture_is_old = False
        self._shares = {p.symbol: p.quantity for p in snapshot.positions}
        self._costs = {p.symbol: p.average_cost for p in snapshot.positions}

    # --- said ---

    @property
    def worth(self) -> float | None:
        """Cash plus holdings; None while there is no picture that holds."""
        if self._cash is None or self._picture_is_old:
            return None
        marked = {p.symbol: p.current_price for p in self._tracker.active()}
        return self._cash + sum(shares * self._price(symbol, marked.get(symbol)) for symbol, shares in self._shares.items())

    def _price(self, symbol: str, marked: float | None) -> float:
        tick = self._marks.quotes.get(symbol)
        return marked or (price_of(tick) if tick else None) or self._costs.get(symbol, 0.0)

    def show(self) -> None:
        """The live row from what is in memory. Call it with the marks, several times a second; nothing is read or stored."""
        now = utc_now()
        if self._past is None or self._past_is_old or now >= self._past.until:
            return
        row = self._compute(self._past, now)
        if row is None or (_money(row) == _money(self.row) and monotonic() - self._sent_at < SAME_ROW_SECONDS):
            return
        self._put(row)

    async def point(self) -> None:
        """Read the past again, show the row, and journal it as a point."""
        now = utc_now()
        self._past_is_old = False
        self._past = await self._database.run(read_past, self.account, start_of_day(now))
        row = self._compute(self._past, now)
        if row is None:
            return
        self._put(row)
        if self.account:
            money: dict[str, Any] = _money(row)
            await self._bus.emit(EquityEvent(account=self.account, timestamp=now, **money))

    def _put(self, row: dict[str, Any]) -> None:
        self.row, self._sent_at = row, monotonic()
        self._feed.put("equity", "now", row)

    def _compute(self, past: Past, now: datetime) -> dict[str, Any] | None:
        worth = self.worth
        if worth is None:
            return None
        unrealized = sum(p.unrealized_pnl for p in self._tracker.active())
        return {
            "at": now.isoformat(),
            "equity": round(worth, 4),
            "cash": round(self._cash or 0.0, 4),
            "unrealized_pnl": round(unrealized, 4),
            "realized_pnl": round(past.realized, 4),
            "day_pnl": round(past.realized_today + unrealized - past.unrealized_before, 4),
            "open_risk": round(sum(p.open_risk for p in self._tracker.active()), 4),
        }


def _difference(known: dict[str, tuple[int, float]], exec_id: str, moved: float) -> float:
    """What this word about an execution adds to cash; a correction only its difference, an older revision nothing."""
    base, revision = split_exec_id(exec_id)
    before = known.get(base, (0, 0.0) if revision == 1 else (0, moved))  # what it corrects was heard by an earlier session
    if revision <= before[0]:
        return 0.0
    known[base] = (revision, moved)
    return moved - before[1]


def _money(row: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in row.items() if key != "at"}


def start_of_day(now: datetime) -> datetime:
    """Midnight of the exchange."""
    return datetime.combine(exchange_date(now), time(), EXCHANGE_ZONE)


def read_past(account: str, midnight: datetime) -> Past:
    """What fills and points before now say of the day that began at `midnight`."""
    everything = (
        PositionRecord.objects.filter(account=account).exclude(status=PositionStatus.PLANNED).aggregate(total=Sum("realized_pnl"))["total"]
    )
    return Past(
        realized=float(everything or 0),
        realized_today=float(realized(account, since=midnight).net),
        unrealized_before=unrealized_before(account, midnight),
        until=start_of_day(midnight + timedelta(hours=36)),
    )
