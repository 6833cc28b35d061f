"""Position events from positions: each carries the new state, what it was before, and what is new of history and fills.

Whoever makes one tells it: what it carries of the history no later one will.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from events.position import PositionCloseEvent, PositionEvent, PositionOpenEvent, PositionStatus, PositionUpdateEvent
from positions.domain import packing
from positions.domain.position import Position
from positions.domain.position_row import news


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a position was before a change."""

    status: PositionStatus
    quantity: float
    entry_price: float | None
    stop_loss: float | None
    take_profit: float | None

    @classmethod
    def of(cls, position: Position) -> Before:
        return cls(
            status=position.status,
            quantity=position.held,
            entry_price=position.entry_price,
            stop_loss=position.stop_loss,
            take_profit=position.take_profit,
        )


def opened(position: Position, *, cause: str = "") -> PositionOpenEvent:
    """Planned or opened: the status says which."""
    return PositionOpenEvent(
        **_state(position, cause),
        open_time=position.open_time,
        order_ids=list(position.order_ids),
        stop_loss=position.stop_loss,
        take_profit=position.take_profit,
        strategy=position.strategy,
    )


def updated(position: Position, before: Before, *, reason: str = "", cause: str = "") -> PositionUpdateEvent:
    stop_moved = before.stop_loss != position.stop_loss
    target_moved = before.take_profit != position.take_profit
    return PositionUpdateEvent(
        **_state(position, cause),
        previous_status=before.status,
        previous_quantity=before.quantity,
        previous_entry_price=before.entry_price,
        reason=reason,
        stop_loss_updated=stop_moved,
        new_stop_loss=position.stop_loss if stop_moved else None,
        take_profit_updated=target_moved,
        new_take_profit=position.take_profit if target_moved else None,
    )


def closed(position: Position, before: Before, *, exit_price: float | None, reason: str = "", cause: str = "") -> PositionCloseEvent:
    """Wholly, or in part when something is still held."""
    return PositionCloseEvent(
        **_state(position, cause),
        close_time=position.close_time,
        order_ids=list(position.order_ids),
        reason=reason or position.reason,
        exit_price=exit_price,
        fully_closed=position.status is PositionStatus.CLOSED,
        quantity_closed=abs(before.quantity) - abs(position.held),
    )


def after_fill(position: Position, before: Before, *, price: float, reason: str, cause: str) -> PositionEvent:
    """The one event a fill causes: opened, added to, reduced or closed."""
    if position.status is PositionStatus.CLOSED or abs(position.held) < abs(before.quantity):
        return closed(position, before, exit_price=price, reason=reason, cause=cause)
    if not before.quantity:
        return opened(position, cause=cause)
    return updated(position, before, reason=reason or "fill", cause=cause)


def _state(position: Position, cause: str) -> dict[str, Any]:
    lines, fills = news(position)
    fields: dict[str, Any] = {
        "position_id": position.position_id,
        "signal_id": position.signal_id,
        "cause": cause,
        "symbol": position.symbol,
        "status": position.status,
        "quantity": position.quantity,
        "entry_price": position.entry_price,
        "current_price": position.current_price,
        "unrealized_pnl": position.unrealized_pnl,
        "realized_pnl": position.realized_pnl,
        "create_time": position.create_time,
        "update_time": position.update_time,
        "version": position.version,
    }
    data = packing.position_data(position.state(), fields)
    if lines:
        data[packing.NEW_HISTORY] = lines
    if fills:
        data[packing.CHANGED_FILLS] = fills
    return fields | {"position_data": data}
