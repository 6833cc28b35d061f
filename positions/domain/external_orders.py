"""Orders that somebody else made at the same account: shown, counted, never touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from events.order import OrderRole, OrderSide, OrderState, OrderType
from positions.domain.order import Order
from positions.domain.ports import ExecutionReport, OrderReport

_TYPES = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP,
    "STP LMT": OrderType.STOP_LIMIT,
    "TRAIL": OrderType.TRAIL,
    "TRAIL LIMIT": OrderType.TRAIL_LIMIT,
    "MOC": OrderType.MOC,
    "LOC": OrderType.LOC,
}


def external_from_report(report: OrderReport, now: Callable[[], datetime]) -> Order | None:
    """None when the report says too little to show anything."""
    if not report.symbol or report.side is None:
        return None
    order = _external(report.perm_id, report.client_id, report.ib_order_id, report.symbol, report.side, report.account, now)
    order.order_type = _TYPES.get(report.order_type, OrderType.MARKET)
    order.quantity = report.quantity or report.filled
    order.limit_price, order.stop_price = report.limit_price, report.stop_price
    order.message = f"reference {report.order_ref}" if report.order_ref else ""
    return order


def external_from_execution(report: ExecutionReport, now: Callable[[], datetime]) -> Order:
    """The order of an execution nobody here sent; its size is not known, only what was executed."""
    order = _external(report.perm_id, report.client_id, report.ib_order_id, report.symbol, report.side, report.account, now)
    order.quantity = max(report.cumulative_quantity, report.quantity)
    order.message = f"reference {report.order_ref}" if report.order_ref else ""
    return order


def _external(
    perm_id: int, client_id: int, ib_order_id: int, symbol: str, side: OrderSide, account: str, now: Callable[[], datetime]
) -> Order:
    name = f"ext-{perm_id}" if perm_id else f"ext-{client_id}-{ib_order_id}"
    order = Order(
        order_id=name,
        order_ref=name,
        symbol=symbol,
        side=side,
        order_type=OrderType.MARKET,
        quantity=0,
        role=OrderRole.EXTERNAL,
        account=account,
        now=now,
    )
    order.external = True
    order.perm_id, order.client_id, order.ib_order_id = perm_id, client_id, ib_order_id
    order.state = OrderState.WORKING  # the broker has it; its next status says where it really is
    return order
