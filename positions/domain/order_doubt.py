"""What a person decides about an order in doubt, where no reading of the broker can prove its fate.

The evidence must not speak against it: a complete reading, younger than the sending, that does not show the order, and
shares that agree. A cancel goes out all the same: should the order be there, it ends.
"""

from __future__ import annotations

import logging
from typing import Any

from events.order import OrderState
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.order_core import OrderCore
from positions.domain.order_hearing import OrderHearing
from positions.domain.order_reconcile import OrderReconcile
from positions.domain.order_states import NEVER_SENT, Trigger
from positions.domain.ports import BrokerError
from positions.domain.reconcile import APART, mentions

log = logging.getLogger(__name__)

OVER = "over"


def was_seen(order: Order) -> bool:
    """The broker has had it: it gave it a number, or executed some of it."""
    return bool(order.perm_id or order.filled_quantity)


class OrderDoubt:
    """Runs under the manager's lock, after everything heard so far was processed."""

    def __init__(self, core: OrderCore, hearing: OrderHearing, compared: OrderReconcile) -> None:
        self.core = core
        self.hearing = hearing
        self.compared = compared

    async def resolve(self, order_id: str, verdict: str, *, reason: str, by: str) -> Order | Denied:
        """End the order, and with `never_sent` all of its family that is in doubt; or why the evidence does not allow it."""
        order = self.core.book.orders.get(order_id)
        denied = self._may_end(order, verdict)
        if denied is not None or order is None:
            return denied or _denied("unknown_order", "There is no such order.", "Reload the page.")
        if verdict == NEVER_SENT:
            family = [member for member in self.core.book.of_intent(order.intent_id) if member.state is OrderState.IN_DOUBT]
            trigger, code, words = Trigger.NEVER_SENT, NEVER_SENT, "It never reached IB"
        else:
            family, trigger, code, words = [order], Trigger.WIRE_CANCELED, "resolved", "It is over at IB"
        for member in family or [order]:
            await self._make_sure(member)
            await self.core.move(member, trigger, code=code, message=f"{words}, says {by}: {reason}", reason=f"resolved by {by}")
            await self.hearing.after(member)
        self.core.ask_reconcile(f"{order.symbol} was resolved by hand")
        return order

    def _may_end(self, order: Order | None, verdict: str) -> Denied | None:
        if order is None or order.external:
            return _denied("unknown_order", "There is no such order of ours.", "Reload the page.")
        if order.state is not OrderState.IN_DOUBT:
            return _denied("not_in_doubt", f"The order is {order.state.value.replace('_', ' ')}.", "Nothing to resolve.")
        last, sent = self.compared.last, order.sent_at
        if last is None or (sent is not None and last.taken_at - sent < APART):
            return _denied("not_compared", "IB's lists have not been read since it was sent.", "Wait for the next comparison.")
        family = [member for member in self.core.book.of_intent(order.intent_id) if member.state is OrderState.IN_DOUBT] or [order]
        if any(mentions(last, member) for member in family):
            return _denied("listed", "IB lists it.", "Wait for the next comparison.")
        if order.symbol in self.compared.gaps:
            return _denied("differs", f"The shares of {order.symbol} differ.", "Resolve that difference first.")
        if verdict == NEVER_SENT and any(was_seen(member) for member in family):
            return _denied("was_seen", "IB has confirmed it once, so it did reach IB.", "Say that it is over instead.")
        if verdict == OVER and not was_seen(order):
            return _denied("never_seen", "IB has never confirmed it.", "Say that it never reached IB instead.")
        return None

    async def _make_sure(self, order: Order) -> None:
        try:
            await self.core.broker.cancel(order.ib_order_id)
        except BrokerError as error:
            log.warning("%s was resolved without a cancel: %s", order, error)


def _denied(code: str, message: str, what_to_do: str, **values: Any) -> Denied:
    return Denied(code=code, message=message, what_to_do=what_to_do, values=values)
