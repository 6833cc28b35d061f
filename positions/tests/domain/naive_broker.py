"""A broker in a hundred lines: a plain book, OCA groups that shrink, children that wait. Nothing fills unless told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from events.order import OrderSide, OrderType
from positions.domain.ports import (
    Bar,
    BrokerSnapshot,
    CommissionReport,
    Contract,
    ErrorReport,
    ExecutionReport,
    LinkDown,
    LinkState,
    OrderReport,
    OrderTicket,
    PositionReport,
    UnknownContract,
)

WORDS = {OrderType.MARKET: "MKT", OrderType.LIMIT: "LMT", OrderType.STOP: "STP"}


@dataclass
class Resting:
    """One order in the book."""

    ticket: OrderTicket
    perm_id: int
    quantity: float
    filled: float = 0.0
    status: str = "Submitted"

    @property
    def live(self) -> bool:
        return self.status in ("Submitted", "PreSubmitted")

    @property
    def remaining(self) -> float:
        return self.quantity - self.filled


@dataclass
class NaiveBroker:
    """`deaf` swallows what is sent; `mute` takes it without a word; `down` has no link."""

    now: Callable[[], datetime]
    listener: Any = None
    deaf: bool = False
    mute: bool = False
    down: bool = False
    refuse_modify: bool = False
    objection: tuple[int, str] | None = None  # the error that answers every change and cancel
    account: str = "DU1"
    client_id: int = 17
    next_id: int = 1
    book: dict[int, Resting] = field(default_factory=dict)  # ib_order_id → order
    executions: list[ExecutionReport] = field(default_factory=list)
    wire: list[tuple[str, Any]] = field(default_factory=list)  # everything that was written to the socket

    @property
    def link(self) -> LinkState:
        return LinkState.DISCONNECTED if self.down else LinkState.CONNECTED

    async def connect(self) -> BrokerSnapshot:
        return await self.snapshot()

    async def disconnect(self) -> None:
        self.down = True

    async def qualify(self, symbol: str) -> Contract:
        if symbol.startswith("ZZ"):
            raise UnknownContract(symbol)
        return Contract(symbol=symbol, con_id=sum(map(ord, symbol)))

    async def subscribe(self, symbol: str) -> None: ...
    async def unsubscribe(self, symbol: str) -> None: ...

    async def history(self, symbol: str, minutes: int) -> Sequence[Bar]:
        return ()

    def reserve_ids(self, count: int, *, above: int = 0) -> list[int]:
        first = max(self.next_id, above + 1)
        self.next_id = max(self.next_id, first)
        self.reserved = first + count
        return list(range(first, first + count))

    async def send(self, tickets: Sequence[OrderTicket]) -> None:
        self._need_link()
        self.wire += [("send", ticket) for ticket in tickets]
        if self.deaf:
            return
        for ticket in tickets:
            assert ticket.ib_order_id not in self.book, "one order per id"
            self.next_id = max(self.next_id, ticket.ib_order_id + 1)
            self.book[ticket.ib_order_id] = Resting(ticket, 9000 + ticket.ib_order_id, ticket.quantity)
        for ticket in tickets:
            self.say(self.book[ticket.ib_order_id])

    async def modify(self, ticket: OrderTicket, *, routine: bool = False) -> None:
        self._need_link()
        self.wire.append(("modify", ticket))
        order = self.book.get(ticket.ib_order_id)
        if self.deaf:
            return
        if self.objection is not None:
            self._error(ticket.ib_order_id, *self.objection)
            return
        if order is None or not order.live or self.refuse_modify:
            self._error(ticket.ib_order_id, 104 if order else 135, "Cannot modify")
            return
        order.ticket, order.quantity = ticket, ticket.quantity
        if order.remaining <= 0:
            order.status = "Filled"
        self.say(order)

    def line_room(self, *, routine: bool = False) -> int:
        return 1_000

    async def line_free(self, *, routine: bool = False) -> None:
        """There is no line to wait for."""

    async def cancel(self, ib_order_id: int) -> None:
        self._need_link()
        self.wire.append(("cancel", ib_order_id))
        order = self.book.get(ib_order_id)
        if self.deaf:
            return
        if self.objection is not None:
            self._error(ib_order_id, *self.objection)
            return
        if order is None or not order.live:
            self._error(ib_order_id, 10147 if order is None else 161, "Cannot cancel")
            return
        self._end(order)

    async def snapshot(self) -> BrokerSnapshot:
        self._need_link()
        return BrokerSnapshot(
            open_orders=tuple(self._report(order, query=True) for order in self.book.values() if order.live),
            completed_orders=tuple(
                replace(self._report(order, query=True), completed=True, ib_order_id=0, quantity=None)
                for order in self.book.values()
                if not order.live
            ),
            executions=tuple(replace(execution, from_query=True) for execution in self.executions),
            positions=tuple(
                PositionReport(account=self.account, symbol=symbol, con_id=1, quantity=quantity, average_cost=1.0)
                for symbol, quantity in self.held().items()
            ),
            next_order_id=self.next_id,
            taken_at=self.now(),
        )

    # ---- what a test does to it -----------------------------------------------------------------------------------------

    def order(self, suffix: str) -> Resting:
        """The last order in the book whose reference ends so: "-E", "-S", "-T" or "-X"."""
        return [order for order in self.book.values() if order.ticket.order_ref.endswith(suffix)][-1]

    def fillable(self) -> list[Resting]:
        return [order for order in self.book.values() if order.live and self.room(order) > 0]

    def room(self, order: Resting) -> float:
        parent = self.book.get(order.ticket.parent_ib_order_id)
        if parent is None or not parent.live:
            return order.remaining
        siblings = [o for o in self.book.values() if o.ticket.parent_ib_order_id == parent.ticket.ib_order_id]
        return min(order.remaining, parent.filled - sum(sibling.filled for sibling in siblings))

    def fill(self, order: Resting, quantity: float, price: float) -> ExecutionReport:
        assert order.live
        assert 0 < quantity <= self.room(order)
        order.filled += quantity
        report = ExecutionReport(
            exec_id=f"0001.{len(self.executions) + 1:04x}.01.01",
            order_ref=order.ticket.order_ref,
            ib_order_id=order.ticket.ib_order_id,
            client_id=self.client_id,
            perm_id=order.perm_id,
            account=self.account,
            symbol=order.ticket.contract.symbol,
            side=order.ticket.side,
            quantity=quantity,
            price=price,
            cumulative_quantity=order.filled,
            average_price=price,
            time=self.now(),
            received_at=self.now(),
        )
        self.executions.append(report)
        if not self.mute:
            self.listener.on_execution(report)
            self.listener.on_commission(CommissionReport(exec_id=report.exec_id, commission=1.0, currency="USD", received_at=self.now()))
        if order.remaining <= 0:
            order.status = "Filled"
        self.say(order)
        self._shrink_group(order, quantity)
        return report

    def correct(self, index: int, *, price: float | None = None, quantity: float | None = None, bust: bool = False) -> ExecutionReport:
        """A higher revision of an execution. The counts of its order stay as they were, as at IB."""
        old = self.executions[index]
        base, _, revision = old.exec_id.rpartition(".")
        new = replace(old, exec_id=f"{base}.{int(revision) + 1:02d}", liquidation=int(bust))
        new = replace(new, price=new.price if price is None else price, quantity=new.quantity if quantity is None else quantity)
        self.executions[index] = new
        if not self.mute:
            self.listener.on_execution(new)
        return new

    def repeat(self) -> None:
        """Say everything again."""
        for execution in self.executions:
            self.listener.on_execution(execution)
        for order in self.book.values():
            self.say(order)

    def held(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for execution in [e for e in self.executions if not e.liquidation]:
            quantity = execution.quantity if execution.side is OrderSide.BUY else -execution.quantity
            total[execution.symbol] = total.get(execution.symbol, 0.0) + quantity
        return {symbol: quantity for symbol, quantity in total.items() if quantity}

    def object_to(self, ib_order_id: int, code: int, message: str) -> None:
        """An error about an order, whatever becomes of it."""
        self._error(ib_order_id, code, message)

    def end(self, ib_order_id: int) -> None:
        """It cancels the order by itself."""
        self._end(self.book[ib_order_id])

    def say(self, order: Resting) -> None:
        if not self.mute:
            self.listener.on_order(self._report(order))

    # ---- inside ---------------------------------------------------------------------------------------------------------

    def _need_link(self) -> None:
        if self.down:
            raise LinkDown("no link")

    def _error(self, ib_order_id: int, code: int, message: str) -> None:
        if not self.mute:
            self.listener.on_error(ErrorReport(code=code, message=message, ib_order_id=ib_order_id, received_at=self.now()))

    def _end(self, order: Resting) -> None:
        order.status = "Cancelled"
        self.say(order)
        for child in self.book.values():
            if child.live and child.ticket.parent_ib_order_id == order.ticket.ib_order_id:
                child.quantity -= order.remaining
                if child.remaining <= 0:
                    child.status = "Cancelled"
                self.say(child)

    def _shrink_group(self, filled: Resting, quantity: float) -> None:
        for other in self.book.values():
            same = filled.ticket.oca_group and other.ticket.oca_group == filled.ticket.oca_group
            if other is filled or not other.live or not same:
                continue
            other.quantity -= quantity
            if other.remaining <= 0:
                other.status = "Cancelled"
            self.say(other)

    def _report(self, order: Resting, *, query: bool = False) -> OrderReport:
        ticket = order.ticket
        held_back = ticket.order_type is OrderType.STOP and order.live
        return OrderReport(
            order_ref=ticket.order_ref,
            ib_order_id=ticket.ib_order_id,
            client_id=self.client_id,
            perm_id=order.perm_id,
            status="PreSubmitted" if held_back else order.status,
            symbol=ticket.contract.symbol,
            side=ticket.side,
            order_type=WORDS[ticket.order_type],
            quantity=order.quantity if order.quantity > 0 else None,
            filled=order.filled,
            remaining=order.remaining,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            why_held="trigger" if held_back else "",
            oca_group=ticket.oca_group,
            account=self.account,
            from_query=query,
            received_at=self.now(),
        )
