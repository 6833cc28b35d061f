"""An exit's last look before the socket: no order that closes shares may be larger than what is held.

A stop or target can fill while the exit's row is being written. Its execution then lies, heard and unread, in our own queue,
and the exit would trade what is held no more: the group it joins has ended with that fill, so nothing says that the broker will help.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from events.order import OrderSide, OrderState
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.order_core import NOT_DURABLE, OrderCore
from positions.domain.order_hearing import OrderHearing
from positions.domain.ports import ExecutionReport

log = logging.getLogger(__name__)

NOTHING_LEFT = Denied(
    code="nothing_left",
    message="Nothing is left to close: another order of the position, its stop perhaps, filled first.",
    what_to_do="Nothing to do: the position's page shows the fill.",
)


class OrderFitting:
    """Runs under the manager's lock, when the orders' rows are durable and nothing of them was written to the socket."""

    def __init__(self, core: OrderCore, hearing: OrderHearing) -> None:
        self.core = core
        self.hearing = hearing

    async def fit(self, exits: Sequence[Order]) -> Denied | None:
        """Make the exits of one position as small as what is left of it; the Denied says that nothing is, or not durably so.

        A smaller order is written down again before it leaves. Each turn has heard something that was not known before, so a
        close is never given up while shares are left, only made to fit them.
        """
        while await self.hearing.drain():
            self.core.need_trust()
            left = self._left(exits[0])
            if left < 1e-9:
                return NOTHING_LEFT
            large = [order for order in exits if order.remaining_quantity > left]
            for order in large:
                await self._shrink(order, order.filled_quantity + left)
            if large and not await self._write_down():
                return NOT_DURABLE
        return None

    def overtaken(self, order_ref: str) -> bool:
        """Whether this is an exit on its way out, and an execution of the position it closes waits unread."""
        order = self.core.book.named(order_ref)
        if order is None or not order.is_exit or order.state is not OrderState.SENDING:
            return False
        unread = (self.core.book.find(report) for report in self.hearing.queue if isinstance(report, ExecutionReport))
        return any(executed is not None and executed.position_id == order.position_id for executed in unread)

    def _left(self, order: Order) -> float:
        """Shares of the position that an order on this side can close."""
        position = self.core.tracker.find(order.position_id)
        if position is None or not position.is_active:
            return 0.0
        return max(0.0, position.held if order.side is OrderSide.SELL else -position.held)

    async def _shrink(self, order: Order, quantity: float) -> None:
        log.warning("%s leaves with %g shares: the rest was closed while it was written down", order, quantity)
        previous, version = order.state, order.version
        order.quantity = quantity
        order.touch()
        await self.core.tell_order(order, previous, version, reason="less is left to close")

    async def _write_down(self) -> bool:
        try:
            await self.core.commit()
        except Exception:  # whatever the journal's trouble is, nothing has left and nothing may
            log.exception("an exit was not sent: its smaller row is not durable")
            return False
        return True
