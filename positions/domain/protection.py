"""Is what we hold protected at the broker? Pure questions about a position and its orders; nothing is sent here.

Covered means: orders the broker has confirmed close every share held, stops first, exits already at the broker counted too.
A stop that is being moved still rests where it was. A stop nobody has confirmed covers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from events.order import OrderRole, OrderSide, OrderState, PendingRequest
from positions.domain.order import Order
from positions.domain.position import Position

UNANSWERED_SECONDS = 5.0  # a change of the stop that is not confirmed for so long is wrong, not pending
_WORKS = frozenset({OrderState.PENDING_NEW, OrderState.HELD, OrderState.WORKING})


def resting_stops(orders: Sequence[Order]) -> list[Order]:
    """Stops that the broker has confirmed and has not suspended."""
    return [order for order in orders if order.role is OrderRole.STOP and order.state in _WORKS and not order.external]


def covered(position: Position, orders: Sequence[Order]) -> float:
    """Shares that confirmed stops and exits on the right side would close."""
    side = OrderSide.SELL if position.held > 0 else OrderSide.BUY
    leaving = [order for order in orders if order.role is OrderRole.EXIT and order.state in _WORKS and not order.oca_group]
    return sum(order.remaining_quantity for order in (*resting_stops(orders), *leaving) if order.side is side)


def is_bare(position: Position, orders: Sequence[Order]) -> bool:
    return bool(position.held) and covered(position, orders) + 1e-9 < abs(position.held)


class Fault(StrEnum):
    """What can be wrong with a stop."""

    MISSING = "missing"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    WRONG_SIDE = "wrong_side"
    WRONG_PRICE = "wrong_price"


def fault_of(position: Position, orders: Sequence[Order], now: datetime) -> Fault | None:
    """The worst thing wrong between what is held and the stops at the broker; None when all is well.

    While an entry works, its child stop is larger than what is held so far: the broker lets it close no more than that.
    """
    if not position.held:
        return None
    stops = resting_stops(orders)
    side = OrderSide.SELL if position.held > 0 else OrderSide.BUY
    if any(stop.side is not side for stop in stops):
        return Fault.WRONG_SIDE
    if not stops and covered(position, orders) <= 0:
        return Fault.MISSING
    if is_bare(position, orders):
        return Fault.TOO_SMALL
    entering = any(order.role is OrderRole.ENTRY and order.is_live and not order.reopened for order in orders)
    if not entering and sum(stop.remaining_quantity for stop in stops) > abs(position.held) + 1e-9:
        return Fault.TOO_LARGE
    moving = [stop for stop in stops if stop.pending is PendingRequest.REPLACE]
    late = any((now - stop.updated_at).total_seconds() > UNANSWERED_SECONDS for stop in moving)
    return Fault.WRONG_PRICE if late else None
