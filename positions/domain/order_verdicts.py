"""What the broker's errors refused, by one fresh reading of its lists.

IB's error numbers are an open list, so an error that is no known notice is first an objection (`Order.objection`). The next
reading that was begun after it decides: an order that does not work was refused, in IB's words; where the order works, what
was refused is the change or the cancel that was pending, or nothing at all. With a refused leg go the legs of its family
that were never acknowledged and do not work either: none of them was transmitted. Nothing refused is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from events.order import OrderRole, OrderState, PendingRequest
from positions.domain.order import Order
from positions.domain.order_core import OrderCore
from positions.domain.order_hearing import OrderHearing
from positions.domain.order_states import Trigger
from positions.domain.ports import BrokerError, BrokerSnapshot, OrderReport
from positions.domain.reconcile import JUST_SENT, never_acknowledged

log = logging.getLogger(__name__)

FRESH = timedelta(seconds=1)  # a list asked for so long after an error knows what the error is about
ASK_AGAIN = timedelta(seconds=3)  # a verdict that one reading could not give is asked for again after this
OVER = ("Filled", "Cancelled", "ApiCancelled")
_NAMES = {OrderRole.ENTRY: "entry", OrderRole.STOP: "stop", OrderRole.TARGET: "target", OrderRole.EXIT: "exit"}


class OrderVerdicts:
    """Runs under the manager's lock, after everything heard so far was processed."""

    def __init__(self, core: OrderCore, hearing: OrderHearing) -> None:
        self.core = core
        self.hearing = hearing
        self._asked_at: datetime | None = None

    def due(self, now: datetime) -> bool:
        """Whether a reading begun now would settle something."""
        if self._asked_at is not None and timedelta() <= now - self._asked_at < ASK_AGAIN:
            return False
        return any(_ripe(order, now) or self._goes_with(order, now) is not None for order in self.core.book.working())

    def asked(self, now: datetime) -> None:
        """A reading was asked for."""
        self._asked_at = now

    async def settle(self, reading: BrokerSnapshot, differing: Collection[str]) -> None:
        """`differing` symbols wait: where shares are unexplained, an order that is gone may have filled."""
        began = reading.began_at or reading.taken_at
        judged: set[str] = set()
        for order in [o for o in self.core.book.working() if o.symbol not in differing and _ripe(o, began)]:
            report = self._shown(reading, order)
            if _works(report):
                await self._keep(order)
            elif report is None or report.status != "PendingCancel":
                judged.add(order.order_id)
                await self._refuse(order, order.objection["code"], order.objection["message"], order.objection["pending"])
        for order in [o for o in self.core.book.working() if o.symbol not in differing]:
            refused = self._goes_with(order, began, judged)
            if refused is not None and not _works(self._shown(reading, order)):
                await self._withdraw(order)
                words = f"Its {_NAMES[refused.role]} was refused, so it was not transmitted: {refused.message}"
                await self._refuse(order, refused.code, words, PendingRequest.NONE.value)

    def _shown(self, reading: BrokerSnapshot, order: Order) -> OrderReport | None:
        return next((report for report in reading.open_orders if self.core.book.find(report) is order), None)

    def _goes_with(self, order: Order, at: datetime, judged: Collection[str] = ()) -> Order | None:
        """The refused leg of the order's family, when the order itself was never acknowledged and its answer had its time.

        `judged` orders were refused by the very reading that was begun `at`.
        """
        if not never_acknowledged(order) or order.filled_quantity or not order.intent_id or not _arrived(order, at):
            return None
        family = self.core.book.of_intent(order.intent_id)
        refused = (leg for leg in family if leg.state is OrderState.REJECTED and not leg.filled_quantity)
        return next((leg for leg in refused if leg.order_id in judged or (leg.finished_at and at - leg.finished_at >= FRESH)), None)

    async def _keep(self, order: Order) -> None:
        """It works: its old values stay true, and the words stay on its row."""
        previous, version, words = order.state, order.version, order.objection
        if order.pending is not PendingRequest.NONE and order.pending.value == words["pending"]:
            order.refuse_request()
            reason = f"not {'cancelled' if words['pending'] == PendingRequest.CANCEL else 'changed'}: {words['code']}: {words['message']}"
        else:
            reason = f"it works; {words['code']} was a remark"
        order.code, order.message, order.objection = words["code"], words["message"], {}
        order.touch()
        await self.core.tell_order(order, previous, version, reason=reason)
        await self.core.refresh_stop_state(order.position_id)

    async def _refuse(self, order: Order, code: str, message: str, pending: str) -> None:
        wished = pending == PendingRequest.CANCEL or order.filled_quantity > 0
        trigger = Trigger.WIRE_CANCELED if wished else Trigger.WIRE_REJECTED
        await self.core.move(order, trigger, code=code, message=message, reason=f"{code}: {message}")
        await self.hearing.after(order)

    async def _withdraw(self, order: Order) -> None:
        """A leg that the gateway took and never transmitted may still lie there; nobody is to find it."""
        try:
            await self.core.broker.cancel(order.ib_order_id)
        except BrokerError as error:
            log.warning("%s could not be withdrawn: %s", order, error)


def _works(report: OrderReport | None) -> bool:
    """Whether the broker's list of open orders shows it at work, or on its way there."""
    if report is None or report.status in (*OVER, "PendingCancel") or not report.transmit:
        return False
    return report.status != "Inactive" or "locate" in report.why_held


def _arrived(order: Order, at: datetime) -> bool:
    return order.sent_at is None or at - order.sent_at >= JUST_SENT


def _ripe(order: Order, at: datetime) -> bool:
    """Its objection is old enough for lists asked for at this moment."""
    if not order.objection or order.is_terminal or order.short_since is not None:
        return False
    return at - datetime.fromisoformat(order.objection["at"]) >= FRESH and _arrived(order, at)
