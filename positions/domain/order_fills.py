"""An execution that is new, corrected or busted: what it makes of positions, what it realized, and how the bus hears of it.

The realized P&L of every fill is what the fills that remain give, in the order they came: a sale whose entry was taken back
opens a short at its price and realizes nothing. So a correction books over what other fills had realized, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from events.failpoints import failpoint
from events.order import FillEvent
from events.position import PositionEvent
from positions.domain import order_events
from positions.domain.fill_book import FOLLOWS
from positions.domain.ledger import Execution
from positions.domain.order import Order, exit_reason
from positions.domain.order_core import OrderCore
from positions.domain.order_released import counted, is_released, parts
from positions.domain.ports import ExecutionReport
from positions.domain.position import Position
from positions.domain.pricing import decimal


class Holdings(Protocol):
    """What is held at the broker by hands other than ours."""

    elsewhere: dict[str, float]

    async def hold_elsewhere(self, symbol: str, quantity: float, *, reason: str) -> None: ...


class OrderFills:
    """Runs under the manager's lock. The execution is in its order's ledger already."""

    def __init__(self, core: OrderCore, holdings: Holdings) -> None:
        self.core = core
        self.holdings = holdings

    async def tell(self, order: Order, report: ExecutionReport, before: Execution | None, *, recovered: bool) -> None:
        """`before` is the revision that this one replaces."""
        core, kept = self.core, order.ledger.current(report.exec_id)
        if kept.busted and before is None:
            return  # a bust of something we never booked: nothing to take back
        shares, price, gain = counted(order, kept), float(kept.price), 0.0
        if before is None:
            gain = core.tracker.would_realize(order.position_id, order.symbol, shares, price)
        order.ledger.book_realized(report.exec_id, decimal(gain))
        fill = order_events.filled(order, kept, report, before=before, realized_pnl=gain, recovered=recovered, reason=exit_reason(order))
        if is_released(core.tracker.find(order.position_id), kept, core.tracker):
            fill, changes = await self._of_the_released(order, fill, shares - counted(order, before))
        else:
            await self._correct_the_released(order, kept, before)
            changes = core.tracker.apply(fill)
        failpoint("fill.applied")
        holder = core.tracker.holder_of(kept.exec_id, "")
        if holder is not None and (before is not None or FOLLOWS in holder.metadata):
            gain = core.tracker.gains_of(holder).get(kept.base, 0.0)
            order.ledger.book_realized(report.exec_id, decimal(gain))
            fill = replace(fill, realized_pnl=gain, order_data=order_events.data_of(order))
        await core.tell([fill, *changes])
        failpoint("fill.told")
        if before is not None and holder is not None:
            await self._book_over(holder)
        if before is not None and kept.commission is not None:
            await core.tell(core.tracker.add_commission(order.position_id, kept.exec_id, float(kept.commission)))

    async def _book_over(self, holder: Position) -> None:
        """The other fills of a corrected position, where they realized something else than is booked."""
        core = self.core
        for base, gain in core.tracker.gains_of(holder).items():
            order = core.book.of_execution(f"{base}.0")
            if order is None or not order.ledger.knows(f"{base}.0"):
                continue
            execution = order.ledger.current(f"{base}.0")
            if abs(float(execution.realized) - gain) < 1e-6:
                continue
            order.ledger.book_realized(execution.exec_id, decimal(gain))
            order.touch()
            result = {"exec_id": execution.exec_id, "realized_pnl": gain}
            await core.bus.emit(order_events.changed(order, order.state, reason="result booked over", metadata={"realized": result}))

    async def _of_the_released(self, order: Order, fill: FillEvent, moved: float) -> tuple[FillEvent, list[PositionEvent]]:
        """The fill as it is told, and what it makes ours: nothing, unless it goes beyond the shares that were let go."""
        core, there = self.core, self.holdings.elsewhere.get(order.symbol, 0.0)
        orders = core.book.of_position(order.position_id)
        shared, ours = parts(order, moved, there, orders=orders, tracker=core.tracker)
        await self.holdings.hold_elsewhere(order.symbol, there + shared, reason="executed by an order of a released position")
        if abs(ours) < 1e-9:
            return replace(fill, position_id="", order_data=order_events.data_of(order)), []
        return fill, core.tracker.apply(replace(fill, fill_quantity=abs(ours)))

    async def _correct_the_released(self, order: Order, kept: Execution, before: Execution | None) -> None:
        """A correction of what a released position was made of corrects the shares that were let go, as far as they are there."""
        holder = self.core.tracker.holder_of(kept.exec_id, "")
        if before is None or holder is None or not holder.released:
            return
        there, moved = self.holdings.elsewhere.get(order.symbol, 0.0), counted(order, kept) - counted(order, before)
        if there * moved < 0 and abs(moved) > abs(there):
            moved = -there
        if moved * holder.direction > 0 or there:
            why = "an execution of a released position was corrected"
            await self.holdings.hold_elsewhere(order.symbol, there + moved, reason=why)
