"""Order events from orders: each carries the order's new state."""

from __future__ import annotations

from typing import Any

from events.order import CancelEvent, FillEvent, NewOrderEvent, OrderEvent, OrderGroupEvent, OrderState, OrderStatusEvent, RejectEvent
from positions.domain import packing
from positions.domain.ledger import Execution, split_exec_id
from positions.domain.order import Order
from positions.domain.ports import ExecutionReport
from positions.domain.pricing import signed


def made(order: Order) -> NewOrderEvent:
    return NewOrderEvent(**_state(order), time_in_force=order.tif)


def grouped(orders: list[Order], group_type: str, group_id: str) -> OrderGroupEvent:
    """Orders that belong together: `group_type` is bracket or oca."""
    return OrderGroupEvent(**_state(orders[0]), group_type=group_type, group_id=group_id, related_orders=[o.order_id for o in orders])


def changed(order: Order, previous: OrderState, *, reason: str = "", metadata: dict[str, Any] | None = None) -> OrderEvent:
    """The event that fits where the order now is: rejected, cancelled, or any other change."""
    state = _state(order, metadata)
    if order.state is not previous and order.state in (OrderState.REJECTED, OrderState.DENIED):
        return RejectEvent(**state, reason=reason or order.message, error_code=order.code, error_message=order.message)
    if order.state is not previous and order.state in (OrderState.CANCELED, OrderState.EXPIRED):
        ended = reason or order.reason or order.message
        return CancelEvent(**state, reason=ended, filled_quantity=order.filled_quantity, cancel_time=order.finished_at)
    return OrderStatusEvent(
        **state,
        previous_status=previous,
        pending=order.pending,
        filled_quantity=order.filled_quantity,
        remaining_quantity=order.remaining_quantity,
        average_price=order.average_price,
        reason=reason,
    )


def filled(
    order: Order,
    execution: Execution,
    report: ExecutionReport,
    *,
    before: Execution | None,
    realized_pnl: float,
    recovered: bool,
    reason: str,
) -> FillEvent:
    """One execution, its correction (`corrects` names what it replaces) or its bust (metadata "busted")."""
    commission = execution.commission
    return FillEvent(
        **_state(order, {"busted": execution.busted, "reason": reason, "exec_base": split_exec_id(execution.exec_id)[0]}),
        fill_price=float(execution.price),
        fill_quantity=float(execution.quantity),
        cumulative_quantity=order.filled_quantity,
        remaining_quantity=order.remaining_quantity,
        fill_time=execution.time,
        commission=None if commission is None else float(commission),
        fill_id=execution.exec_id,
        is_partial=order.remaining_quantity > 0,
        side=order.side,
        revision=execution.revision,
        corrects=before.exec_id if before is not None else "",
        account=report.account or order.account,
        order_ref=order.order_ref,
        perm_id=order.perm_id,
        currency=execution.currency,
        realized_pnl=realized_pnl,
        recovered=recovered,
    )


def data_of(order: Order) -> dict[str, Any]:
    """The order's state, for an event of it that was made before the state was complete."""
    data: dict[str, Any] = _state(order)["order_data"]
    return data | {"position_id": order.position_id}  # the event may be told of no position


def _state(order: Order, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "order_id": order.order_id,
        "signal_id": order.signal_id,
        "position_id": order.position_id,
        "symbol": order.symbol,
        "status": order.state,
        "order_type": order.order_type,
        "quantity": signed(order.side, order.quantity),
        "limit_price": order.limit_price,
        "stop_price": order.stop_price,
        "create_time": order.created_at,
        "update_time": order.updated_at,
        "version": order.version,
        "metadata": metadata or {},
    }
    return fields | {"order_data": packing.order_data(order.to_dict(), fields)}
