"""Order words and order events. The one set of order enums for the whole product."""

from enum import StrEnum


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
