"""Position words and position events. Quantities are signed: negative is short."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from enum import StrEnum
from typing import Any

from events.base import BaseEvent, event


class PositionStatus(StrEnum):
    PLANNED = "planned"
    OPENING = "opening"
    OPEN = "open"
    ADJUSTING = "adjusting"
    CLOSING = "closing"
    CLOSED = "closed"


@event
class PositionEvent(BaseEvent):
    """A position as it now is. `position_data` is its whole state, the page's row; `version` orders the states."""

    source: str = "position"
    symbol: str = ""
    status: PositionStatus = PositionStatus.PLANNED
    quantity: float = 0
    entry_price: float | None = None
    current_price: float | None = None
    unrealized_pnl: float = 0
    realized_pnl: float = 0
    create_time: datetime | None = None
    update_time: datetime | None = None
    version: int = 0
    position_data: dict[str, Any] = dataclasses.field(default_factory=dict)


@event
class PositionOpenEvent(PositionEvent):
    """A position was opened or planned."""

    open_time: datetime | None = None
    order_ids: list[str] = dataclasses.field(default_factory=list)
    stop_loss: float | None = None
    take_profit: float | None = None
    strategy: str = ""


@event
class PositionUpdateEvent(PositionEvent):
    """Price, quantity, stop or target of a position changed."""

    previous_status: PositionStatus | None = None
    previous_quantity: float | None = None
    previous_entry_price: float | None = None
    reason: str = ""
    stop_loss_updated: bool = False
    new_stop_loss: float | None = None
    take_profit_updated: bool = False
    new_take_profit: float | None = None


@event
class PositionCloseEvent(PositionEvent):
    """A position was closed, wholly or in part."""

    close_time: datetime | None = None
    order_ids: list[str] = dataclasses.field(default_factory=list)
    reason: str = ""
    exit_price: float | None = None
    fully_closed: bool = True
    quantity_closed: float = 0
