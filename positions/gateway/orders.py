"""What the exchange keeps and says: an order as asked for, the same order in the book, and the events about it.

Pure values; prices are per share in the contract's currency, quantities absolute shares, times epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class Kind(StrEnum):
    """IB's order types that the exchange matches."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STP LMT"
    TRAIL = "TRAIL"
    TRAIL_LIMIT = "TRAIL LIMIT"
    MARKET_ON_CLOSE = "MOC"
    LIMIT_ON_CLOSE = "LOC"


class Tif(StrEnum):
    """Time in force."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class Status(StrEnum):
    """IB's order status words."""

    PENDING_SUBMIT = "PendingSubmit"
    PRE_SUBMITTED = "PreSubmitted"
    SUBMITTED = "Submitted"
    PENDING_CANCEL = "PendingCancel"
    CANCELLED = "Cancelled"
    FILLED = "Filled"
    INACTIVE = "Inactive"


LOCATE = "locate"  # why_held of a short sale whose shares are still sought: the client reads Inactive, yet it lives
DONE = frozenset({Status.CANCELLED, Status.FILLED, Status.INACTIVE})
STOP_KINDS = frozenset({Kind.STOP, Kind.STOP_LIMIT, Kind.TRAIL, Kind.TRAIL_LIMIT})
TRAIL_KINDS = frozenset({Kind.TRAIL, Kind.TRAIL_LIMIT})
CLOSE_KINDS = frozenset({Kind.MARKET_ON_CLOSE, Kind.LIMIT_ON_CLOSE})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSpec:
    """An order exactly as the client asked for it; sending one with a live (client_id, order_id) again modifies it.

    `stop_price` is the trigger of STP and STP LMT, and the optional first trigger of the trailing kinds. A trail is
    `trail_amount` in money or `trail_percent` (1.5 means 1.5 %), not both. `limit_offset` is what TRAIL LIMIT puts
    between trigger and limit. `wire` are the raw fields, echoed back to the client untouched.
    """

    client_id: int
    order_id: int
    symbol: str
    side: Side
    quantity: float
    kind: Kind
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    limit_offset: float | None = None
    tif: Tif = Tif.DAY
    good_till: float | None = None
    good_after: float | None = None
    parent_id: int = 0
    oca_group: str = ""
    oca_type: int = 0
    transmit: bool = True
    outside_rth: bool = False
    order_ref: str = ""
    account: str = ""
    wire: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int, int]:
        return (self.client_id, self.order_id)


@dataclass(slots=True, kw_only=True)
class BookOrder:
    """An order in the book. `quantity` may shrink below the spec's by an OCA reduction or a partly filled parent."""

    spec: OrderSpec
    perm_id: int
    quantity: float
    placed_at: float
    status: Status = Status.PENDING_SUBMIT
    why_held: str = ""
    filled: float = 0.0
    average_price: float = 0.0
    last_price: float = 0.0
    commission: float = 0.0
    limit_price: float | None = None
    stop_price: float | None = None  # the live trigger: a trail moves it, never backwards
    triggered: bool = False
    completed_at: float | None = None
    completed_status: str = ""

    @property
    def key(self) -> tuple[int, int]:
        return self.spec.key

    @property
    def remaining(self) -> float:
        return max(0.0, round(self.quantity - self.filled, 6))

    @property
    def live(self) -> bool:
        return self.status not in DONE

    @property
    def transmitted(self) -> bool:
        return self.status is not Status.PENDING_SUBMIT

    @property
    def armed(self) -> bool:
        """A stop that still waits for its trigger."""
        return self.spec.kind in STOP_KINDS and not self.triggered


class QuoteLike(Protocol):
    """A usable top of book: 0 < bid <= ask."""

    @property
    def bid(self) -> float: ...
    @property
    def ask(self) -> float: ...
    @property
    def last(self) -> float: ...
    @property
    def at(self) -> float: ...


class BarLike(Protocol):
    """One bar of trades; `start` is epoch seconds."""

    @property
    def start(self) -> float: ...
    @property
    def open(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def close(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdated:
    """The order's state changed or was confirmed. Quantities are those of the moment; `order` itself lives on."""

    order: BookOrder
    status: Status
    filled: float
    remaining: float
    average_price: float
    last_price: float
    why_held: str
    at: float
    modified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExecuted:
    """One execution. `exec_id` is unique for ever; `revision` 1 is the original."""

    order: BookOrder
    exec_id: str
    quantity: float
    price: float
    cumulative_quantity: float
    average_price: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefused:
    """A request about an order was refused. `order` is None when nothing of it is, or ever was, in the book."""

    client_id: int
    order_id: int
    code: int
    text: str
    order: BookOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotice:
    """A remark about an order that stays alive (399), or the confirmation of a cancel (202)."""

    client_id: int
    order_id: int
    code: int
    text: str


Event = OrderUpdated | OrderExecuted | OrderRefused | OrderNotice


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an order may not enter the book: IB's code and words."""

    code: int
    text: str
