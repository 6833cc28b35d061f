"""What one report of the broker does to one order. Facts go into the order; the caller tells the bus.

Statuses move the life of an order, never its filled quantity: executions do that. A word that only makes sense once the
ledger agrees (Filled, Cancelled with fills) waits for the executions.
"""

from __future__ import annotations

from datetime import datetime

from events.order import OrderState, OrderType, PendingRequest
from positions.domain.order import Order
from positions.domain.order_states import NEVER_SENT, REFUSALS, REQUEST_REFUSED, Trigger, is_notice, wire_trigger
from positions.domain.ports import ErrorReport, OrderReport

DUPLICATE_ID = 103
CANNOT_CANCEL = (10147, 10148)  # there is nothing, or nothing left, to cancel
_CANCELED = ("Cancelled", "ApiCancelled")
_WITH_LIMIT = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LOC)
_WITH_STOP = (OrderType.STOP, OrderType.STOP_LIMIT)


def read_report(order: Order, report: OrderReport, now: datetime) -> bool:
    """Enter an openOrder or orderStatus; True if a pending replace was confirmed."""
    if report.from_query and order.updated_at > report.received_at:
        return False  # the order changed after this list was read: the list is older than what we know
    _take_ids(order, report)
    confirmed = False if report.completed else _take_values(order, report)
    if report.filled > order.accounted_quantity:
        order.short_since = order.short_since or now
    if report.status in _CANCELED:
        _end(order, report)
    elif report.status == "Filled":
        _full(order, report, now)
    elif report.status == "PendingCancel":
        if order.pending is not PendingRequest.CANCEL and not order.is_terminal:
            order.ask_cancel("asked for at the broker")
    else:
        _live(order, report)
    return confirmed


def read_error(order: Order, report: ErrorReport) -> str:
    """Enter an error on the order's id. Returns "" or what should be asked of the broker because of it.

    A number that is neither a notice nor a known answer is an objection: the next fresh reading says what it refused.
    """
    code, message = report.code, report.message
    if is_notice(code):
        return ""
    if order.is_terminal:
        _explain(order, code, message)
        return ""
    if order.state is OrderState.SENDING:
        if code == DUPLICATE_ID:
            order.move(Trigger.SILENCE, code=str(code), message=message)
            return "the broker says it already has this order id"
        if code in REFUSALS:
            order.move(Trigger.WIRE_REJECTED, code=str(code), message=message)
            return ""
    if order.pending is not PendingRequest.NONE and code in REQUEST_REFUSED:
        order.code, order.message = str(code), message
        order.refuse_request(for_good=code in REFUSALS)
        return f"{code} answered our request"
    if code in REFUSALS and order.state is OrderState.SUSPENDED:
        order.move(Trigger.WIRE_REJECTED, code=str(code), message=message)
        return ""
    order.take_objection(str(code), message)
    return ""


def _explain(order: Order, code: int, message: str) -> None:
    """An error after the end: the reason of a cancellation that nobody asked for. Else it answers what crossed the end."""
    unasked = order.state is OrderState.CANCELED and not order.cancel_asked and not order.filled_quantity
    if unasked and code not in REQUEST_REFUSED - REFUSALS and order.code in ("", NEVER_SENT):
        order.move(Trigger.WIRE_REJECTED, code=str(code), message=message)


def after_execution(order: Order) -> None:
    """The ledger grew: what waited for it may now hold."""
    if order.accounted_quantity >= (order.ended_filled or 0):
        order.short_since = None
        if order.ended_as and not order.is_terminal:
            order.move(Trigger(order.ended_as))


def _take_ids(order: Order, report: OrderReport) -> None:
    if report.perm_id and report.perm_id != order.perm_id:
        order.perm_id = report.perm_id
        order.touch()
    if report.status and (report.status, report.why_held) != (order.ib_status, order.why_held):
        order.ib_status, order.why_held = report.status, report.why_held
        order.touch()


def _take_values(order: Order, report: OrderReport) -> bool:
    """Confirm what we asked for; take over what the broker changed by itself (an OCA reduction, a hand in TWS)."""
    said = {"quantity": report.quantity}
    if order.order_type in _WITH_LIMIT:
        said["limit_price"] = report.limit_price
    if order.order_type in _WITH_STOP:
        said["stop_price"] = report.stop_price
    for name, value in said.items():
        if not value or name in order.desired or _same(value, getattr(order, name)):
            continue
        setattr(order, name, value)
        order.touch()
    if order.pending is not PendingRequest.REPLACE or not order.desired:
        return False
    if not all(_same(said.get(name), wanted) for name, wanted in order.desired.items()):
        return False
    for name, wanted in order.desired.items():
        setattr(order, name, wanted)
    order.clear_pending()
    return True


def _live(order: Order, report: OrderReport) -> None:
    if order.state is OrderState.FILLED:
        return  # whatever comes after the last fill is stale
    trigger = wire_trigger(report.status, why_held=report.why_held, refused=_objected(order), from_query=report.from_query)
    if trigger is None:
        order.anomalies += 1
    elif trigger is Trigger.WIRE_REJECTED:
        order.move(trigger, code=order.objection["code"], message=order.objection["message"])
    else:
        order.move(trigger)


def _full(order: Order, report: OrderReport, now: datetime) -> None:
    """Filled, says the broker; it is when our executions say so too."""
    if order.is_terminal:
        return
    if 0 < report.filled < order.quantity and not report.remaining and not order.ledger.revised:
        order.quantity = report.filled  # its OCA group had shrunk it, and we had not heard
        order.touch()
    if order.filled_quantity >= order.quantity:
        order.settle()
        return
    order.ended_filled = max(report.filled, order.quantity)
    order.short_since = order.short_since or now
    if order.state is OrderState.SENDING:
        order.move(Trigger.WIRE_WORKING)


def _end(order: Order, report: OrderReport) -> None:
    """Cancelled: rejected if a refusal explains it, expired if the day's end does, and only once the fills are in."""
    refused = _objected(order) and not order.filled_quantity
    expired = "expired" in report.completed_status.lower()
    trigger = Trigger.WIRE_REJECTED if refused else Trigger.WIRE_EXPIRED if expired else Trigger.WIRE_CANCELED
    if report.filled > order.accounted_quantity:
        order.ended_as, order.ended_filled = trigger.value, report.filled
        if order.state is OrderState.SENDING:
            order.move(Trigger.WIRE_PENDING)
        return
    if not order.is_terminal:
        order.move(trigger, code=order.objection.get("code", ""), message=order.objection.get("message", ""))


def _objected(order: Order) -> bool:
    """An error of the broker's explains its end, and no wish of ours does."""
    return bool(order.objection) and not order.cancel_asked


def _same(one: float | None, other: float | None) -> bool:
    """Equal to well under any price increment; the wire rounds."""
    return one is not None and other is not None and abs(one - other) < 1e-6
