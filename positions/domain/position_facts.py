"""What a position is and what it is worth: everything that can be read of it, and nothing that changes it.

`position.py` adds the changes. Numbers out are plain ints and floats.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from events.clock import utc_now
from events.position import PositionStatus
from positions.domain.exit_rules import ExitRules
from positions.domain.holding import EntryKind, Fold, LedgerEntry, in_r
from positions.domain.marks import Mark
from positions.domain.protection_clock import ProtectionClock

S = PositionStatus
HOLDING = frozenset({S.OPEN, S.ADJUSTING, S.CLOSING})
ACTIVE = HOLDING | {S.OPENING}


class PositionFacts:
    """`quantity` is signed; a planned position shows the quantity it plans, every other what it holds."""

    def __init__(
        self,
        symbol: str,
        position_id: str | None = None,
        *,
        signal_id: str = "",
        strategy: str = "",
        account: str = "",
        metadata: dict[str, Any] | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.symbol = symbol
        self.position_id = position_id or str(uuid.uuid4())
        self.signal_id = signal_id
        self.strategy = strategy
        self.account = account
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.planned_quantity: float = 0
        self.initial_stop: float | None = None
        self.stop_state = "none"  # none, pending (asked, not confirmed), resting (at the broker), missing
        self.exit_rules = ExitRules()
        self.protection = ProtectionClock()
        self.order_ids: list[str] = []
        self.history: list[dict[str, Any]] = []  # oldest first: type, version, time, what changed, why, by whom
        self.reason = ""
        self.version = 0
        self.create_time = now()
        self.update_time = self.create_time
        self.open_time: datetime | None = None
        self.close_time: datetime | None = None
        self.mfe = 0.0  # best of realized and unrealized together so far, net, >= 0
        self.mae = 0.0  # worst of them, <= 0
        self._now = now
        self._status = S.PLANNED
        self._stop_loss: float | None = None
        self._take_profit: float | None = None
        self._entries: list[LedgerEntry] = []
        self._fold = Fold()
        self._told_lines = 0  # of the history, how many an event has carried
        self._told_fills: dict[int, dict[str, Any]] = {}  # number of the entry → as an event has carried it
        self._direction = 1
        self._price: float | None = None
        self._price_at: datetime | None = None
        self._low = self._high = 0.0  # extremes of the market since the size last changed; 0 while none was seen
        self._marked = False  # the price is the market's, not only that of a fill
        self._mark: Mark | None = None
        self._seen: object = None  # the tick of `_mark` that `_price` is from

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.symbol} {self.quantity:g} {self._status.value} {self.position_id}>"

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def status(self) -> PositionStatus:
        return self._status

    @property
    def quantity(self) -> float:
        """Signed shares: planned while planned, else held."""
        return self.planned_quantity if self._status is S.PLANNED else self._fold.quantity

    @property
    def held(self) -> float:
        """Signed shares really held."""
        return self._fold.quantity

    @property
    def direction(self) -> int:
        """+1 long, -1 short; kept after the close."""
        return self._direction

    @property
    def is_long(self) -> bool:
        return self.quantity > 0

    @property
    def is_short(self) -> bool:
        return self.quantity < 0

    @property
    def is_active(self) -> bool:
        return self._status in ACTIVE

    @property
    def entry_price(self) -> float | None:
        """Average price of what is (or, after the close, was) held."""
        return self._fold.entry_price

    @property
    def exit_price(self) -> float | None:
        """Average price of what was sold off so far."""
        return self._fold.exit_price

    @property
    def opened_quantity(self) -> float:
        """The largest absolute quantity held."""
        return self._fold.largest

    @property
    def released(self) -> bool:
        """Over without a trade: a person let its shares go."""
        return self._status is S.CLOSED and any(entry.kind is EntryKind.SIZE and not entry.quantity for entry in self._entries)

    @property
    def stop_loss(self) -> float | None:
        return self._stop_loss

    @property
    def take_profit(self) -> float | None:
        return self._take_profit

    @property
    def fills(self) -> tuple[LedgerEntry, ...]:
        return tuple(self._entries)

    # ---- what it is worth -------------------------------------------------------------------------------------------

    @property
    def current_price(self) -> float | None:
        self._catch_up()
        return self._price

    @property
    def price_at(self) -> datetime | None:
        """When the current price was made, by the venue's clock if it said."""
        self._catch_up()
        return self._price_at

    @property
    def unrealized_pnl(self) -> float:
        """Gross, in the contract's currency: (price - entry) * signed quantity."""
        self._catch_up()
        return self._unrealized(self._price)

    @property
    def unrealized_pnl_pct(self) -> float:
        """Unrealized P&L / entry value: a fraction, 0.05 is five percent."""
        value = self.entry_value
        return self.unrealized_pnl / value if value else 0.0

    @property
    def entry_value(self) -> float:
        """|quantity| * entry price, in the contract's currency."""
        return abs(self._fold.quantity) * (self._fold.entry_price or 0.0)

    @property
    def commission(self) -> float:
        """Known fees, positive."""
        return sum(entry.commission for entry in self._entries if not entry.busted)

    @property
    def realized_pnl(self) -> float:
        """Realized so far, net of the commissions known so far."""
        return self._fold.realized - self.commission

    @property
    def risk_taken(self) -> float | None:
        """Σ |fill − stop that rested for it then| × shares of the entries. A moved stop changes nothing of it. None: no stop rested
        for some of them, or one that was in profit already."""
        return self._fold.risk or None

    @property
    def risk_per_share(self) -> float | None:
        """What one R is, per share entered."""
        return in_r(self._fold.risk, self._fold.entered) if self._fold.risk else None

    @property
    def r_multiple(self) -> float | None:
        """(realized, net of fees, + unrealized) / risk taken; None without one: that is not zero R."""
        return in_r(self.realized_pnl + self.unrealized_pnl, self.risk_taken)

    @property
    def open_risk(self) -> float:
        """Lost from entry if the stop fills at its price; without a stop everything. A stop in profit risks nothing."""
        if not self._fold.quantity or self.entry_price is None:
            return 0.0
        if self._stop_loss is None:
            return self.entry_value
        return max(0.0, (self.entry_price - self._stop_loss) * self._fold.quantity)

    def is_against(self, quantity: float) -> bool:
        """Nothing is held, and a fill of `quantity` (signed) would open the side that was not planned."""
        return not self._fold.quantity and bool(self.planned_quantity) and quantity * self._direction < 0

    def realizes(self, quantity: float, price: float) -> float:
        """The gross P&L a fill of `quantity` (signed) at `price` would realize."""
        held, entry = self._fold.quantity, self._fold.entry_price
        if not held or entry is None or (held > 0) == (quantity > 0):
            return 0.0
        return (price - entry) * min(abs(held), abs(quantity)) * (1 if held > 0 else -1)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _unrealized(self, price: float | None) -> float:
        quantity, entry = self._fold.quantity, self._fold.entry_price
        return (price - entry) * quantity if quantity and price is not None and entry is not None else 0.0

    def _catch_up(self) -> None:
        mark = self._mark
        if mark is not None and mark.tick is not self._seen and self._status is not S.CLOSED:
            self._seen = mark.tick
            if mark.price is not None:
                self._price, self._price_at, self._marked = mark.price, mark.at, True
