"""The simulated brokerage as a Broker port without a socket: the same exchange, account and book, driven by a given clock.

Used where months must pass in seconds. Live or simulated trading never takes this way: it goes through the broker adapter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from events.accounts import SIMULATED_ACCOUNT
from events.clock import ManualClock
from events.order import OrderSide, OrderType, TimeInForce
from positions.domain.ports import (
    Bar,
    BrokerSnapshot,
    CommissionReport,
    Contract,
    ErrorReport,
    ExecutionReport,
    LinkState,
    OrderReport,
    OrderTicket,
    Tick,
)
from positions.gateway.brokerage import Brokerage, Charged, Executed, Report
from positions.gateway.orders import BookOrder, Kind, OrderNotice, OrderRefused, OrderSpec, OrderUpdated, Side, Status, Tif

KINDS = {
    OrderType.MARKET: Kind.MARKET,
    OrderType.LIMIT: Kind.LIMIT,
    OrderType.STOP: Kind.STOP,
    OrderType.STOP_LIMIT: Kind.STOP_LIMIT,
    OrderType.TRAIL: Kind.TRAIL,
    OrderType.MOC: Kind.MARKET_ON_CLOSE,
    OrderType.LOC: Kind.LIMIT_ON_CLOSE,
}
TIFS = {TimeInForce.DAY: Tif.DAY, TimeInForce.GTC: Tif.GTC, TimeInForce.IOC: Tif.IOC}
TICK = ((0.0, 0.01),)

Heard = OrderReport | ExecutionReport | CommissionReport | ErrorReport


class InProcessBroker:
    """A Broker over a Brokerage. What it has to say waits in `heard` until the caller takes it, as a socket would hold it."""

    def __init__(self, brokerage: Brokerage, clock: ManualClock, *, client_id: int) -> None:
        self.heard: list[Heard] = []
        self._brokerage = brokerage
        self._clock = clock
        self._client_id = client_id
        self._next_id = brokerage.next_order_id(client_id)

    @property
    def link(self) -> LinkState:
        return LinkState.CONNECTED

    @property
    def account(self) -> str:
        return SIMULATED_ACCOUNT

    async def connect(self) -> BrokerSnapshot:
        return await self.snapshot()

    async def disconnect(self) -> None:
        """There is no link to close."""

    async def snapshot(self) -> BrokerSnapshot:
        return BrokerSnapshot(taken_at=self._clock.now(), next_order_id=self._next_id)

    async def qualify(self, symbol: str) -> Contract:
        info = self._brokerage.contracts.info(symbol)
        return Contract(symbol=symbol, con_id=info.con_id, primary_exchange=info.primary_exchange, increments=TICK, long_name=info.name)

    async def subscribe(self, symbol: str) -> None:
        """Quotes are pushed by `look`."""

    async def unsubscribe(self, symbol: str) -> None:
        """See subscribe."""

    async def history(self, symbol: str, minutes: int) -> Sequence[Bar]:
        """Completed one-minute bars up to now."""
        end = int(self._brokerage.now) // 60 * 60
        bars = self._brokerage.prices.bars(symbol, end - 60 * minutes, end, 60)
        return [
            Bar(symbol=symbol, at=moment(b.start), open=b.open, high=b.high, low=b.low, close=b.close, volume=float(b.volume)) for b in bars
        ]

    def reserve_ids(self, count: int, *, above: int = 0) -> list[int]:
        first = max(self._next_id, above + 1)
        self._next_id = first + count
        return list(range(first, first + count))

    async def send(self, tickets: Sequence[OrderTicket]) -> None:
        for ticket in tickets:
            self._hear(self._brokerage.place(self._spec(ticket)))

    async def modify(self, ticket: OrderTicket, *, routine: bool = False) -> None:
        self._hear(self._brokerage.place(self._spec(ticket)))

    def line_room(self, *, routine: bool = False) -> int:
        return 1_000

    async def line_free(self, *, routine: bool = False) -> None:
        """There is no line to wait for."""

    async def cancel(self, ib_order_id: int) -> None:
        self._hear(self._brokerage.cancel(self._client_id, ib_order_id))

    def look(self, symbol: str) -> Tick:
        """The quote of this moment, after the symbol's orders have met it."""
        quote = self._brokerage.prices.quote(symbol, self._brokerage.now)
        self._hear(self._brokerage.match({symbol: quote}))
        now = self._clock.now()
        return Tick(symbol=symbol, last=quote.last, bid=quote.bid, ask=quote.ask, volume=float(quote.volume), time=now)

    def advance(self, to: datetime) -> None:
        """Let the brokerage's own time pass: expiries and the turn of the day."""
        self._hear(self._brokerage.advance(to.timestamp()))

    def _hear(self, reports: Iterable[Report]) -> None:
        self.heard += [heard for report in reports if (heard := self._translate(report)) is not None]

    def _translate(self, report: Report) -> Heard | None:
        now = self._clock.now()
        match report:
            case Executed(execution=e):
                return ExecutionReport(
                    exec_id=e.exec_id,
                    order_ref=e.order_ref,
                    ib_order_id=e.order_id,
                    client_id=e.client_id,
                    perm_id=e.perm_id,
                    account=SIMULATED_ACCOUNT,
                    symbol=e.symbol,
                    side=_side(e.side),
                    quantity=e.quantity,
                    price=e.price,
                    cumulative_quantity=e.cumulative_quantity,
                    average_price=e.average_price,
                    time=moment(e.at),
                    received_at=now,
                )
            case Charged(execution=e):
                return CommissionReport(exec_id=e.exec_id, commission=e.commission, currency="USD", received_at=now)
            case OrderRefused() | OrderNotice():
                return ErrorReport(code=report.code, message=report.text, ib_order_id=report.order_id, received_at=now)
            case OrderUpdated():
                return None if report.status is Status.PENDING_SUBMIT else _order_report(report, now)
        return None

    def _spec(self, ticket: OrderTicket) -> OrderSpec:
        return OrderSpec(
            client_id=self._client_id,
            order_id=ticket.ib_order_id,
            symbol=ticket.contract.symbol,
            side=Side.BUY if ticket.side is OrderSide.BUY else Side.SELL,
            quantity=ticket.quantity,
            kind=KINDS[ticket.order_type],
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            tif=TIFS[ticket.time_in_force],
            parent_id=ticket.parent_ib_order_id,
            oca_group=ticket.oca_group,
            oca_type=ticket.oca_type if ticket.oca_group else 0,
            transmit=ticket.transmit,
            order_ref=ticket.order_ref,
            account=SIMULATED_ACCOUNT,
        )


def _order_report(report: OrderUpdated, now: datetime) -> OrderReport:
    order: BookOrder = report.order
    spec = order.spec
    return OrderReport(
        order_ref=spec.order_ref,
        ib_order_id=spec.order_id,
        client_id=spec.client_id,
        perm_id=order.perm_id,
        status=report.status.value,
        symbol=spec.symbol,
        side=_side(spec.side),
        order_type=spec.kind.value,
        quantity=order.quantity,
        filled=report.filled,
        remaining=report.remaining,
        average_price=report.average_price,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        why_held=report.why_held,
        parent_ib_order_id=spec.parent_id,
        oca_group=spec.oca_group,
        account=SIMULATED_ACCOUNT,
        received_at=now,
    )


def _side(side: Side) -> OrderSide:
    return OrderSide.BUY if side is Side.BUY else OrderSide.SELL


def moment(at: float) -> datetime:
    """Epoch seconds as aware UTC, exact to the microsecond."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=at)
