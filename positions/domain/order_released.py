"""What orders of a released position still execute: it moves the shares that were let go, and makes no position of ours.

When a position is released, the cancels of its stop and target are on their way, and one of them may fill first. What it sells
then are the shares that are counted as held elsewhere from now on. Where the broker held fewer than we did, the execution is
the explanation that was missing. Only what goes beyond both has opened another side, which has to be shown and protected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from positions.domain.ledger import Execution
from positions.domain.order import Order
from positions.domain.position import Position
from positions.domain.pricing import signed
from positions.domain.tracker import PositionTracker

GONE = "gone_when_released"  # in the metadata: signed shares that the broker held more (or, < 0, fewer) than we did


def counted(order: Order, execution: Execution | None) -> float:
    """Signed shares; nothing of a bust."""
    return 0.0 if execution is None or execution.busted else signed(order.side, float(execution.quantity))


def is_released(position: Position | None, execution: Execution, tracker: PositionTracker) -> bool:
    """The position was released before it, and no position of ours took it when it came."""
    return position is not None and position.released and tracker.holder_of(execution.exec_id, "") is None


def parts(order: Order, moved: float, there: float, *, orders: Iterable[Order], tracker: PositionTracker) -> tuple[float, float]:
    """`moved` shares in two parts: what changes the `there` shares held elsewhere, and what is left for a position of ours.

    `orders` are the position's; their ledgers hold the execution already. A revision that takes shares back gives them back there.
    """
    position = tracker.position(order.position_id)
    gone = float(position.metadata.get(GONE, 0.0))
    late = sum(counted(o, e) for o in orders for e in o.ledger.executions if o.is_exit and is_released(position, e, tracker))
    left = moved - (_explained(gone, late) - _explained(gone, late - moved))
    if signed(order.side, 1.0) * moved < 0:
        return left, 0.0
    shared = math.copysign(min(abs(left), abs(there)), left) if left * there < 0 else 0.0
    return shared, left - shared


def _explained(gone: float, late: float) -> float:
    """How much of the `gone` shares executions of `late` shares account for."""
    return math.copysign(min(abs(gone), abs(late)), gone) if gone * late > 0 else 0.0
