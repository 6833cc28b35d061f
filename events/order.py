"""Order words and order events. The one set of order enums for the whole product.

Quantities of events are signed (negative sells); prices are per share in the contract's currency.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from enum import StrEnum
from typing import Any

from events.base import BaseEvent, event


class OrderSide(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAIL = "trail"
    TRAIL_LIMIT = "trail_limit"
    MOC = "moc"
    LOC = "loc"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"
    OPG = "opg"


class OrderRole(StrEnum):
    """What an order is for within its intent."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"
    EXTERNAL = "external"


class OrderState(StrEnum):
    """Where an order is in its life; (t) = terminal."""

    PLANNED = "planned"
    SENDING = "sending"
    PENDING_NEW = "pending_new"
    HELD = "held"
    WORKING = "working"
    FILLED = "filled"  # (t)
    CANCELED = "canceled"  # (t)
    EXPIRED = "expired"  # (t)
    REJECTED = "rejected"  # (t) by IB, its own words kept
    DENIED = "denied"  # (t) by us, with a code
    SUSPENDED = "suspended"
    IN_DOUBT = "in_doubt"


class PendingRequest(StrEnum):
    """What we asked of a live order and have not heard confirmed."""

    NONE = "none"
    REPLACE = "replace"
    CANCEL = "cancel"


@event
class OrderEvent(BaseEvent):
    """An order as it now is. `order_data` is its whole state, the page's row; `version` orders the states."""

    source: str = "order"
    symbol: str = ""
    status: OrderState = OrderState.PLANNED
    order_type: OrderType = OrderType.MARKET
    quantity: float = 0
    limit_price: float | None = None
    stop_price: float | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    version: int = 0
    order_data: dict[str, Any] = dataclasses.field(default_factory=dict)


@event
class NewOrderEvent(OrderEvent):
    """An order was made; nothing has been sent yet."""

    time_in_force: TimeInForce = TimeInForce.DAY


@event
class OrderStatusEvent(OrderEvent):
    """An order changed state, or what it waits for changed."""

    previous_status: OrderState | None = None
    pending: PendingRequest = PendingRequest.NONE
    filled_quantity: float = 0
    remaining_quantity: float | None = None
    average_price: float | None = None
    reason: str = ""


@event
class FillEvent(OrderEvent):
    """One execution. `fill_quantity` is absolute, `side` says which way; `fill_id` is the broker's execution id.

    A correction has a higher `revision` and names the execution it replaces in `corrects`.
    `commission` is None until the broker says; `recovered` means learned by reconciliation, not live.
    """

    fill_price: float | None = None
    fill_quantity: float = 0
    cumulative_quantity: float = 0
    remaining_quantity: float | None = None
    fill_time: datetime | None = None
    commission: float | None = None
    fill_id: str = ""
    is_partial: bool = False
    side: OrderSide | None = None
    revision: int = 1
    corrects: str = ""
    account: str = ""
    order_ref: str = ""
    perm_id: int = 0
    currency: str = "USD"
    realized_pnl: float | None = None
    recovered: bool = False


@event
class CancelEvent(OrderEvent):
    """An order ended without filling completely, because somebody or something cancelled it."""

    reason: str = ""
    filled_quantity: float = 0
    cancel_time: datetime | None = None


@event
class RejectEvent(OrderEvent):
    """Refused: by us (status denied, `error_code` our code) or by the broker (status rejected, its own words)."""

    reason: str = ""
    error_code: str = ""
    error_message: str = ""


@event
class OrderGroupEvent(OrderEvent):
    """Orders that belong together: a bracket or an OCA group."""

    group_type: str = ""
    group_id: str = ""
    related_orders: list[str] = dataclasses.field(default_factory=list)
