"""What a broker is, in our words. `positions/broker/ib.py` is the live implementation; domain tests use a plain stub.

Everything a broker tells us is one of the frozen reports below, in the order it was heard. Prices are in the
contract's currency per share, quantities are absolute shares, times are aware UTC. A price the venue never sent is None.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from events.order import OrderSide, OrderType, TimeInForce


class LinkState(StrEnum):
    """The two links in one word: our socket to the gateway, and the gateway's to IB."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    SYNCING = "syncing"
    CONNECTED = "connected"
    UPSTREAM_LOST = "upstream_lost"  # 1100: the socket lives, IB does not hear us


class RecoveryHint(StrEnum):
    """Why a reconcile is due after the link came back."""

    NONE = "none"
    DATA_LOST = "data_lost"  # 1101: subscriptions gone
    DATA_KEPT = "data_kept"  # 1102


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A stock, pinned to one con_id. `increments` are (low edge, tick) pairs of the market rule, ascending."""

    symbol: str
    con_id: int
    exchange: str = "SMART"
    primary_exchange: str = ""
    currency: str = "USD"
    min_tick: float = 0.01
    increments: tuple[tuple[float, float], ...] = ((0.0, 0.01),)
    long_name: str = ""
    liquid_hours: str = ""
    time_zone: str = "US/Eastern"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTicket:
    """The exact fields of one order as it goes to the wire; ids are fixed and durable before it does."""

    order_ref: str
    ib_order_id: int
    contract: Contract
    side: OrderSide
    order_type: OrderType
    quantity: float
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    good_till: datetime | None = None
    parent_ib_order_id: int = 0
    oca_group: str = ""
    oca_type: int = 1
    transmit: bool = True
    account: str = ""
    outside_rth: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """openOrder and orderStatus merged: what the broker says of one order now. `status` and `why_held` are IB's own words.

    `from_query` is True when it answers our reconcile query and False when it was pushed.
    """

    order_ref: str
    ib_order_id: int
    client_id: int
    perm_id: int
    status: str
    symbol: str = ""
    side: OrderSide | None = None
    order_type: str = ""
    quantity: float | None = None
    filled: float = 0.0
    remaining: float | None = None
    average_price: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    why_held: str = ""
    parent_ib_order_id: int = 0
    oca_group: str = ""
    account: str = ""
    transmit: bool = True
    completed: bool = False
    completed_status: str = ""
    from_query: bool = False
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReport:
    """One execution. A correction carries the same exec_id but a higher last segment; liquidation=1 marks a bust."""

    exec_id: str
    order_ref: str
    ib_order_id: int
    client_id: int
    perm_id: int
    account: str
    symbol: str
    side: OrderSide
    quantity: float
    price: float
    cumulative_quantity: float
    average_price: float
    time: datetime
    liquidation: int = 0
    from_query: bool = False
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommissionReport:
    """A fee for one exec_id; may come before or after its execution, or never."""

    exec_id: str
    commission: float
    currency: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """IB's error callback in its own words. `ib_order_id` is -1 when it belongs to no order."""

    code: int
    message: str
    ib_order_id: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReport:
    """A signed holding as the broker sees it."""

    account: str
    symbol: str
    con_id: int
    quantity: float
    average_cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A market data update; market_data_type 1 live, 2 frozen, 3 delayed, 4 delayed-frozen."""

    symbol: str
    last: float | None
    bid: float | None
    ask: float | None
    volume: float | None
    time: datetime
    market_data_type: int = 1
    halted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A completed bar; `at` is its start."""

    symbol: str
    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSnapshot:
    """All lists of one reconcile pass. `missing` names the lists whose End message never came: unknown, not empty.

    `began_at` is when the first list was asked for: what was said of an order before that, the lists know.
    """

    open_orders: tuple[OrderReport, ...] = ()
    completed_orders: tuple[OrderReport, ...] = ()
    executions: tuple[ExecutionReport, ...] = ()
    commissions: tuple[CommissionReport, ...] = ()
    positions: tuple[PositionReport, ...] = ()
    account_values: dict[str, float] = field(default_factory=dict)
    next_order_id: int = 0
    taken_at: datetime
    began_at: datetime | None = None
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.missing


class BrokerError(Exception):
    """Root of everything the broker link can raise."""


class NothingWritten(BrokerError):
    """It broke before the first byte of the message, so the broker cannot know of it."""


class PartlyWritten(BrokerError):
    """It broke within a family. `unwritten` are the ids of the orders after the one at which it broke: the broker cannot know of those."""

    def __init__(self, message: str, unwritten: Collection[int]) -> None:
        super().__init__(message)
        self.unwritten = unwritten


class Overtaken(NothingWritten):
    """What an exit would close was executed while it waited for its turn: it has to be made to fit first."""


class LinkDown(NothingWritten):
    """There is no healthy link."""


class SendRefused(NothingWritten):
    """The last look before the socket said no. `code` is the refusal's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SyncIncomplete(BrokerError):
    """Connected, but a part of the first picture never came; not safe to trade."""


class UnknownContract(BrokerError):
    """The symbol does not resolve to exactly one stock."""


class BrokerListener(Protocol):
    """Who hears the broker. Called on the event loop, in order of arrival; must not block."""

    def on_link(self, state: LinkState, detail: str, hint: RecoveryHint) -> None: ...
    def on_order(self, report: OrderReport) -> None: ...
    def on_execution(self, report: ExecutionReport) -> None: ...
    def on_commission(self, report: CommissionReport) -> None: ...
    def on_error(self, report: ErrorReport) -> None: ...
    def on_tick(self, tick: Tick) -> None: ...
    def on_account(self, key: str, value: float) -> None: ...


class Broker(Protocol):
    """A brokerage link. Only the worker holds one."""

    @property
    def link(self) -> LinkState: ...
    @property
    def account(self) -> str: ...
    async def connect(self) -> BrokerSnapshot: ...
    async def disconnect(self) -> None: ...
    async def snapshot(self) -> BrokerSnapshot: ...
    async def qualify(self, symbol: str) -> Contract: ...
    async def subscribe(self, symbol: str) -> None: ...
    async def unsubscribe(self, symbol: str) -> None: ...
    async def history(self, symbol: str, minutes: int) -> Sequence[Bar]: ...
    def reserve_ids(self, count: int, *, above: int = 0) -> list[int]: ...
    async def send(self, tickets: Sequence[OrderTicket]) -> None: ...
    async def modify(self, ticket: OrderTicket, *, routine: bool = False) -> None:
        """A `routine` one follows the price and leaves room on the line for what is urgent."""
        ...

    async def cancel(self, ib_order_id: int) -> None: ...
    def line_room(self, *, routine: bool = False) -> int:
        """How many messages about orders could leave at once."""
        ...

    async def line_free(self, *, routine: bool = False) -> None:
        """Wait until one could."""
        ...
