"""What an end between two events of one change left half told, put right once after a restore.

An order's row and its position's row are told by two events, and the worker may end between them. The order's ledger is
the truth: an execution it holds belongs into its position. What ended without a fill takes its position along.
"""

from __future__ import annotations

import logging
from decimal import Decimal

from events.position import PositionStatus
from positions.domain.ledger import Execution
from positions.domain.order import Order
from positions.domain.order_core import OrderCore
from positions.domain.order_hearing import OrderHearing
from positions.domain.ports import ExecutionReport
from positions.domain.position import Position
from positions.domain.position_events import Before

log = logging.getLogger(__name__)


class OrderMending:
    """Runs under the manager's lock. `due` is set by a restore; only positions that live were restored, so only they are mended."""

    def __init__(self, core: OrderCore, hearing: OrderHearing) -> None:
        self.core = core
        self.hearing = hearing
        self.due = False

    async def run(self) -> int:
        """How many executions and positions were put right; running it again changes nothing."""
        if not self.due:
            return 0
        self.due = False
        mended = 0
        for order in list(self.core.book):
            position = self.core.tracker.find(order.position_id)
            if order.external or position is None or position.status is PositionStatus.CLOSED:
                continue
            for execution in order.ledger.executions:
                mended += await self._take_in(order, execution)
            if order.is_terminal:
                await self.hearing.after(order)
        for position in self.core.tracker.active():
            mended += await self._end_orderless(position)
        return mended

    async def _take_in(self, order: Order, execution: Execution) -> bool:
        core = self.core
        positions = core.tracker.active()
        base_known = any(position.knows_fill(f"{execution.base}.0") for position in positions)
        known = any(position.knows_fill(execution.exec_id) for position in positions) or (execution.busted and not base_known)
        if not known:
            log.warning("%s was told of its order and not of its position; put right", execution.exec_id)
            before = execution if base_known else None
            await self.hearing.fills.tell(order, _report(order, execution), before, recovered=True)
        if execution.commission is not None:
            await core.tell(core.tracker.add_commission(order.position_id, execution.exec_id, float(execution.commission)))
        return not known

    async def _end_orderless(self, position: Position) -> bool:
        """Planned and told, but its orders never were: the wish, if it still holds, makes another."""
        if position.status is not PositionStatus.OPENING or position.held or self.core.book.of_position(position.position_id):
            return False
        before = Before.of(position)
        position.abandon("the worker stopped before its orders were written down")
        await self.core.tracker.announce(position, before, position.reason)
        return True


def _report(order: Order, execution: Execution) -> ExecutionReport:
    """The execution in the broker's terms, as far as the ledger keeps them."""
    average = order.ledger.average_price or Decimal(0)
    return ExecutionReport(
        exec_id=execution.exec_id,
        order_ref=order.order_ref,
        ib_order_id=order.ib_order_id,
        client_id=order.client_id,
        perm_id=order.perm_id,
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        quantity=float(execution.quantity),
        price=float(execution.price),
        cumulative_quantity=order.filled_quantity,
        average_price=float(average),
        time=execution.time,
        received_at=execution.time,
    )
