"""All positions, by id and by symbol: who marks them, who applies fills to them, and who tells the bus.

Prices come two ways. `update_position_price` marks one position and tells the bus at once. A `PriceEvent` on the bus
marks a symbol: one dictionary look-up and two comparisons against the band in which nothing but the price can change
(`marks.py`); the positions read it when asked, and `flush()` tells the bus what moved since the last flush.

Unknown ids raise UnknownPosition. Call from one event loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from events.bus import EventBus
from events.clock import utc_now
from events.exchange_time import exchange_date
from events.market import PriceEvent
from events.order import FillEvent
from events.position import PositionEvent, PositionStatus
from positions.domain import position_events
from positions.domain.errors import DuplicateId, UnknownPosition
from positions.domain.fill_book import FillBook
from positions.domain.holding import realized_on
from positions.domain.levels import check_levels
from positions.domain.marks import Mark
from positions.domain.position import Position
from positions.domain.position_events import Before
from positions.domain.pricing import checked_price, checked_quantity, is_price
from positions.domain.stock import StockPosition

LEAST_MOVE = 0.01  # a smaller change of unrealized P&L, in the contract's currency, is not news


class PositionTracker:
    """Active and closed positions. Emits PositionOpenEvent, PositionUpdateEvent and PositionCloseEvent."""

    def __init__(self, event_bus: EventBus, *, now: Callable[[], datetime] = utc_now, account: str = "") -> None:
        self.event_bus = event_bus
        self.account = account
        self._now = now
        self._active: dict[str, Position] = {}  # position_id → position, planned ones too
        self._closed: dict[str, Position] = {}  # position_id → position
        self._marks: dict[str, Mark] = {}  # symbol → its last price and active positions
        self._told: dict[str, float] = {}  # position_id → unrealized P&L the bus was last told
        self._fills = FillBook(self)
        self._listening = False
        self.bad_prices = 0  # prices refused because they were not finite and positive

    # ---- the bus ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen to prices and fills; harmless when repeated."""
        if not self._listening:
            self._listening = True
            await self.event_bus.subscribe(PriceEvent, self.on_price)
            await self.event_bus.subscribe(FillEvent, self.on_fill)

    async def stop(self) -> None:
        if self._listening:
            self._listening = False
            await self.event_bus.unsubscribe(PriceEvent, self.on_price)
            await self.event_bus.unsubscribe(FillEvent, self.on_fill)

    def on_price(self, event: PriceEvent) -> None:
        """The hot path; see the head of the file."""
        mark = self._marks.get(event.symbol)
        if mark is None:
            return
        price = event.price
        if price is not None and mark.low <= price <= mark.high:
            mark.price = price
            mark.tick = event
            return
        self._outside(mark, price, event)

    async def on_fill(self, event: FillEvent) -> None:
        """Apply a fill somebody else announced; one already applied changes nothing."""
        await self._tell(self.apply(event))

    async def flush(self) -> list[Position]:
        """Tell the bus of every position whose unrealized P&L moved by more than a cent since it last heard."""
        moved = self.moved()
        for position in moved:
            await self.event_bus.emit(position_events.updated(position, Before.of(position), reason="price"))
        return moved

    def moved(self) -> list[Position]:
        """The positions `flush` would tell of, each at a new version; for a caller that sends rows itself."""
        moved = []
        for position in self._active.values():
            if self._is_news(position):
                position.bump()
                self._told[position.position_id] = position.unrealized_pnl
                moved.append(position)
        return moved

    # ---- making and finding -----------------------------------------------------------------------------------------

    async def create_stock_position(
        self,
        symbol: str,
        quantity: float = 0,
        entry_price: float | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        strategy: str = "",
        metadata: dict[str, Any] | None = None,
        order_id: str | None = None,
        position_id: str | None = None,
        signal_id: str = "",
    ) -> StockPosition:
        """Open at once when quantity and entry price are given; else planned, keeping quantity, stop and target."""
        await self.start()
        if entry_price is not None:
            checked_price(entry_price, "entry price")
            check_levels(-1 if quantity < 0 else 1, entry_price, stop_loss, take_profit)
        position = self.plan(
            symbol,
            quantity,
            stop_loss=stop_loss,
            take_profit=take_profit,
            strategy=strategy,
            metadata=metadata,
            position_id=position_id,
            signal_id=signal_id,
        )
        if quantity and entry_price is not None:
            await position.open(quantity, entry_price, order_id)
            self._watch(position)
        await self._tell([position_events.opened(position)])
        return position

    def plan(
        self,
        symbol: str,
        quantity: float = 0,
        *,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        strategy: str = "",
        metadata: dict[str, Any] | None = None,
        position_id: str | None = None,
        signal_id: str = "",
    ) -> StockPosition:
        """A planned position, tracked but not announced: its maker announces it when its orders are durable.

        Raises DuplicateId when a position, open or closed, has that id.
        """
        if quantity:
            checked_quantity(quantity)
        if position_id and self.find(position_id) is not None:
            raise DuplicateId(f"a position with the id {position_id!r} exists already")
        position = StockPosition(
            symbol, position_id, signal_id=signal_id, strategy=strategy, account=self.account, metadata=metadata, now=self._now
        )
        position.plan(quantity, stop_loss=stop_loss, take_profit=take_profit)
        self._track(position)
        return position

    def restore(self, positions: Iterable[dict[str, Any]]) -> None:
        """Rebuild from rows of `Position.to_dict`, at start."""
        for row in positions:
            position = StockPosition.from_dict(row, now=self._now)
            for entry in position.fills:
                self._fills.note_holder(entry, position)
            if position.status is PositionStatus.CLOSED:
                self._closed[position.position_id] = position
            else:
                self._track(position)

    async def get_position(self, position_id: str) -> Position:
        """Active or closed; raises UnknownPosition."""
        return self.position(position_id)

    async def get_positions_for_symbol(self, symbol: str) -> list[Position]:
        """Active positions of the symbol."""
        return self.of_symbol(symbol)

    async def get_all_positions(self) -> list[Position]:
        """All active (and planned) positions."""
        return list(self._active.values())

    async def get_closed_positions(self) -> list[Position]:
        """Closed positions, oldest first."""
        return list(self._closed.values())

    async def has_open_positions(self, symbol: str | None = None) -> bool:
        """Whether anything is opening, held or closing, in `symbol` or at all."""
        candidates = self._active.values() if symbol is None else self.of_symbol(symbol)
        return any(position.is_active for position in candidates)

    def position(self, position_id: str) -> Position:
        """As `get_position`, without awaiting."""
        found = self.find(position_id)
        if found is None:
            raise UnknownPosition(f"no position has the id {position_id!r}")
        return found

    def find(self, position_id: str) -> Position | None:
        """Active or closed, or None."""
        return self._active.get(position_id) or self._closed.get(position_id)

    def of_symbol(self, symbol: str) -> list[Position]:
        """Active (and planned) positions of the symbol, in O(of them)."""
        mark = self._marks.get(symbol)
        return list(mark.positions) if mark else []

    def active(self) -> list[Position]:
        """All active (and planned) positions, without awaiting."""
        return list(self._active.values())

    def closed(self) -> list[Position]:
        """Closed positions, oldest first, without awaiting."""
        return list(self._closed.values())

    def unmeant(self) -> list[Position]:
        """Open positions on the other side than the one whose fills made them: nobody asked for them."""
        return self._fills.unmeant()

    def last_price(self, symbol: str) -> float | None:
        """The last price heard for a symbol with positions."""
        mark = self._marks.get(symbol)
        return mark.price if mark else None

    # ---- changing ---------------------------------------------------------------------------------------------------

    async def update_position_price(self, position_id: str, price: float) -> None:
        """Mark one position; the bus hears of it if its unrealized P&L moved by more than a cent."""
        position = self.position(position_id)
        before = Before.of(position)
        await position.update_price(price)
        self._rearm(position.symbol)
        if self._is_news(position):
            await self._tell([position_events.updated(position, before, reason="price")])

    async def update_all_positions_price(self, symbol: str, price: float) -> None:
        """Mark every position held in `symbol`."""
        checked_price(price)
        for position in self.of_symbol(symbol):
            await self.update_position_price(position.position_id, price)

    async def close_position(self, position_id: str, exit_price: float, reason: str | None = None, order_id: str | None = None) -> None:
        """Close in one call, without an order of ours; the desk itself closes through the order manager."""
        position = self.position(position_id)
        before = Before.of(position)
        await position.close(exit_price, reason, order_id)
        self._retire(position)
        await self._tell([position_events.closed(position, before, exit_price=exit_price, reason=reason or "")])

    async def adjust_position(
        self,
        position_id: str,
        quantity: float | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        reason: str = "",
    ) -> None:
        """None leaves a part alone."""
        position = self.position(position_id)
        before = Before.of(position)
        await position.adjust(quantity, stop_loss, take_profit)
        await self.announce(position, before, reason or "adjusted")

    async def update_stop_loss(self, position_id: str, price: float, reason: str = "") -> None:
        """Set the stop of the record."""
        position = self.position(position_id)
        before = Before.of(position)
        await position.update_stop_loss(price, reason)
        await self.announce(position, before, reason or "stop moved")

    async def update_take_profit(self, position_id: str, price: float, reason: str = "") -> None:
        """Set the target of the record."""
        position = self.position(position_id)
        before = Before.of(position)
        await position.update_take_profit(price, reason)
        await self.announce(position, before, reason or "target moved")

    async def announce(self, position: Position, before: Before, reason: str) -> None:
        """Tell the bus of a change somebody made to `position`, and file it where it now belongs."""
        if position.status is PositionStatus.CLOSED:
            self._retire(position)
            await self._tell([position_events.closed(position, before, exit_price=position.exit_price, reason=reason)])
            return
        self._rearm(position.symbol)
        await self._tell([position_events.updated(position, before, reason=reason)])

    # ---- fills: see fill_book.py --------------------------------------------------------------------------------------

    def apply(self, fill: FillEvent) -> list[PositionEvent]:
        """Put a fill, a correction or a bust into its position; returns what the bus should hear."""
        return self._fills.apply(fill)

    def add_commission(self, position_id: str, fill_id: str, commission: float) -> list[PositionEvent]:
        """Book a fee that came after its fill, also on a closed position; returns what the bus should hear."""
        return self._fills.add_commission(position_id, fill_id, commission)

    def would_realize(self, position_id: str, symbol: str, quantity: float, price: float) -> float:
        """The gross P&L of a fill (signed) that is meant for this position, wherever its shares go."""
        return self._fills.would_realize(position_id, symbol, quantity, price)

    def gains_of(self, position: Position) -> dict[str, float]:
        """Base id of each fill that counts, in the position, what it follows and what follows it → the gross P&L it realized."""
        return self._fills.gains_of(position)

    def holder_of(self, fill_id: str, position_id: str) -> Position | None:
        """The position that took the fill, else the one it was meant for."""
        return self._fills.holder_of(fill_id, position_id)

    def file(self, position: Position) -> None:
        """Put a position that a fill has changed where it now belongs."""
        if position.status is PositionStatus.CLOSED:
            self._retire(position)
        elif self._closed.pop(position.position_id, None) is not None:
            self._track(position)
        else:
            self._rearm(position.symbol)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _outside(self, mark: Mark, price: float | None, event: PriceEvent) -> None:
        """A price that makes an extreme or crosses a level, the first after a change, or no price at all."""
        if not is_price(price):
            self.bad_prices += price is not None
            return
        mark.price, mark.tick = price, event
        low, high = -math.inf, math.inf
        for position in mark.positions:
            position.observe(price)
            inner_low, inner_high = position.watch_band(price)
            low, high = max(low, inner_low), min(high, inner_high)
        mark.low, mark.high = low, high

    def _is_news(self, position: Position) -> bool:
        if position.status is PositionStatus.CLOSED:
            return False
        told = self._told.get(position.position_id, 0.0)
        # Half a thousandth of a cent of slack: 0.01 in binary is not more than 0.01.
        return abs(position.unrealized_pnl - told) > LEAST_MOVE + 5e-6

    def _track(self, position: Position) -> None:
        self._active[position.position_id] = position
        mark = self._marks.setdefault(position.symbol, Mark(position.symbol))
        mark.positions.append(position)
        self._watch(position)

    def _watch(self, position: Position) -> None:
        mark = self._marks[position.symbol]
        position.attach(mark)
        mark.disarm()

    def _rearm(self, symbol: str) -> None:
        self._marks[symbol].disarm()

    def _retire(self, position: Position) -> None:
        if self._active.pop(position.position_id, None) is None:
            return
        self._closed[position.position_id] = position
        self._told.pop(position.position_id, None)
        mark = self._marks[position.symbol]
        mark.positions.remove(position)
        mark.disarm()

    async def _tell(self, events: Iterable[PositionEvent]) -> None:
        for event in events:
            if event.position_id in self._active:
                self._told[event.position_id] = event.unrealized_pnl
            await self.event_bus.emit(event)

    # ---- summary ----------------------------------------------------------------------------------------------------

    async def get_position_summary(self) -> dict[str, Any]:
        """Totals over active positions, realized P&L of today (exchange day) and of all, and by symbol."""
        today = exchange_date(self._now())
        by_symbol: dict[str, dict[str, float]] = {}
        for position in self._active.values():
            if position.held:
                row = by_symbol.setdefault(position.symbol, {"count": 0, "value": 0.0, "unrealized_pnl": 0.0})
                row["count"] += 1
                row["value"] += abs(position.held) * (position.current_price or position.entry_price or 0.0)
                row["unrealized_pnl"] += position.unrealized_pnl
        everything = [*self._active.values(), *self._closed.values()]
        return {
            "total_positions": sum(position.is_active for position in self._active.values()),
            "total_value": sum(row["value"] for row in by_symbol.values()),
            "total_unrealized_pnl": sum(row["unrealized_pnl"] for row in by_symbol.values()),
            "total_realized_pnl": sum(position.realized_pnl for position in everything),
            "total_realized_pnl_today": sum(realized_on(position.fills, today) for position in everything),
            "by_symbol": by_symbol,
        }
