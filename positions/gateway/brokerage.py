"""Everything behind the socket: prices, book, account and their storage, as one synchronous machine.

Every operation is one transaction: the exchange acts, the account is settled, all of it is stored, and only then is
the list of reports handed out. Knows no sessions and no asyncio; `gateway.py` delivers the reports to the clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from positions.gateway.account import Account, Holding, commission_for
from positions.gateway.admission import Admissions
from positions.gateway.contracts import Contracts
from positions.gateway.exchange import Exchange
from positions.gateway.hours import Hours, day_begin, day_key
from positions.gateway.market import Market, Quote
from positions.gateway.orders import (
    BookOrder,
    Event,
    OrderExecuted,
    OrderNotice,
    OrderRefused,
    OrderSpec,
    OrderUpdated,
    QuoteLike,
    Status,
)
from positions.gateway.prices import Prices
from positions.gateway.store import Execution, Store

FIRST_PERM_ID = 1_600_000_001
DEPTH = 20  # an order may take this many times the displayed size at once
MIN_DEPTH = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """An execution has been booked; its commission follows as `Charged`."""

    execution: Execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """The commission report of an execution."""

    execution: Execution


Report = OrderUpdated | OrderRefused | OrderNotice | Executed | Charged
Sizing = Callable[[BookOrder, QuoteLike], float | None]


class Brokerage:
    """The simulated broker. `sizing` may override how many shares fill now (None: no opinion)."""

    def __init__(self, market: Market, hours: Hours, state_dir: Path, now: float) -> None:
        self.store = Store(state_dir)
        self.prices = Prices(market)
        self.hours = hours
        self.now = now
        self.sizing: Sizing = lambda _order, _quote: None
        self.account = self._load_account()
        self.contracts = Contracts(market, hours, tuple(self.account.holdings))
        self.admissions = Admissions(self.account, self.contracts, self.last, lambda: self.exchange.book.live_orders())
        self.exchange = Exchange(
            self._on_event,
            admission=self.admissions.check,
            sizing=self._size,
            open_for=hours.open_for,
            first_perm_id=self.store.read("next_perm_id", FIRST_PERM_ID),
            first_exec=self.store.read("next_exec", 1),
        )
        self.executions: list[Execution] = self.store.load_executions(day_begin(now))
        self._events: list[Report] = []
        self._owed: list[Charged] = []  # commission reports that follow the order's next status
        self._changed: dict[tuple[int, int], BookOrder] = {}
        self._day = self.store.read("day", day_key(now))
        self._closed_day = self.store.read("closed_day", "")
        self._restore()

    # Requests; each returns its reports in the order to send them

    def place(self, spec: OrderSpec, *, locate: bool = False) -> list[Report]:
        return self._act("place", _spec_row(spec), lambda: self.exchange.place(spec, self.now, locate=locate))

    def located(self, order: BookOrder) -> list[Report]:
        return self._act("located", _key_row(order), lambda: self.exchange.located(order, self.now))

    def cancel(self, client_id: int, order_id: int) -> list[Report]:
        row = {"client_id": client_id, "order_id": order_id}
        return self._act("cancel", row, lambda: self.exchange.cancel(client_id, order_id, self.now))

    def cancel_all(self) -> list[Report]:
        return self._act("cancel_all", {}, lambda: self.exchange.cancel_all(self.now))

    def withdraw(self, order: BookOrder) -> list[Report]:
        """A cancel that nobody asked for."""
        return self._act("withdraw", _key_row(order), lambda: self.exchange.withdraw(order, self.now))

    def fill(self, order: BookOrder, quantity: float, price: float) -> list[Report]:
        """A scripted execution, outside the market's own course."""
        return self._act("fill", _key_row(order), lambda: self.exchange.fill(order, quantity, price, self.now))

    def fill_late(self, order: BookOrder, quantity: float, price: float) -> list[Report]:
        """A scripted execution of an order that is cancelled already."""
        return self._act("fill_late", _key_row(order), lambda: self._fill_late(order, quantity, price))

    def match(self, quotes: Mapping[str, Quote]) -> list[Report]:
        """Lets the orders of some symbols meet their quotes, all in one transaction; `quotes` maps symbol → quote."""

        def meet() -> None:
            for symbol, quote in quotes.items():
                if self.exchange.book.has_work(symbol):
                    self.exchange.on_quote(symbol, quote)

        return self._act("", {}, meet)

    def revise(self, execution: Execution, *, price: float | None, quantity: float | None, bust: bool) -> list[Report]:
        """Corrects or busts an execution: a new revision of its id, and the account booked over."""
        return self._act("revise", {"exec_id": execution.exec_id}, lambda: self._revise(execution, price, quantity, bust))

    def forget_day(self) -> int:
        """As midnight does: executions and done orders leave the lists that clients are given. Returns how many executions did."""
        gone = len(self.executions)
        self._act("forget_day", {"executions": gone}, self._age)
        return gone

    def set_cash(self, amount: float) -> None:
        self.account.cash = amount
        self._act("set_cash", {"cash": amount}, lambda: None)

    def note_link(self, client_id: int, *, up: bool) -> None:
        """A client came or went: who judges what it did must know what it could hear."""
        self._act("connected" if up else "gone", {"client_id": client_id}, lambda: None)

    def move_price(self, change: Callable[[Prices, float], None], row: dict[str, Any]) -> None:
        """A scripted move of the market, stored so that a restart does not undo it."""
        self._act("move_price", row, lambda: change(self.prices, self.now))

    def advance(self, now: float) -> list[Report]:
        """The passing of time: expiries, the closing auction, and the turn of the day."""
        self.now = now
        reports: list[Report] = []
        if self.exchange.has_expiring(now):
            reports += self._act("", {}, lambda: self.exchange.expire(now))
        closing = self.hours.closing_time(now)
        if closing is not None and now >= closing and self._closed_day != day_key(closing):
            reports += self._close_day(now, closing)
        if day_key(now) != self._day:
            reports += self._roll_day(now)
        return reports

    # Views

    def last(self, symbol: str) -> float:
        return self.prices.last(symbol, self.now)

    def open_orders(self, client_id: int | None = None) -> list[BookOrder]:
        """Live transmitted orders, of one client or of all, oldest first."""
        return [
            order
            for order in sorted(self.exchange.book.live_orders(), key=lambda order: order.perm_id)
            if order.transmitted and client_id in (None, order.spec.client_id)
        ]

    def completed_orders(self) -> list[BookOrder]:
        return [order for order in self.exchange.book.orders.values() if not order.live]

    def holdings(self) -> list[Holding]:
        return [holding for holding in self.account.holdings.values() if holding.quantity or holding.realized_today]

    def next_order_id(self, client_id: int) -> int:
        return self.exchange.book.last_ids.get(client_id, 0) + 1

    def drop_untransmitted(self) -> None:
        """Untransmitted orders live in the gateway's memory only and die with it."""
        for order in self.exchange.book.live_orders():
            if not order.transmitted:
                self.exchange.book.erase(order)

    # Inside

    def _act(self, kind: str, row: dict[str, Any], action: Callable[[], None]) -> list[Report]:
        self._events, self._owed, self._changed = [], [], {}
        with self.store.transaction():
            if kind:
                self.store.append(self.now, kind, row)
            action()
            self._events += self._owed
            if self._events or kind:
                self._save()
        return self._events

    def _save(self) -> None:
        for order in self._changed.values():
            if order.transmitted:
                self.store.save_order(order)
        self.store.write("next_perm_id", self.exchange.next_perm_id)
        self.store.write("next_exec", self.exchange.next_exec)
        self.store.write("last_ids", list(self.exchange.book.last_ids.items()))
        self.store.write("account", asdict(self.account))
        self.store.write("prices", self.prices.state())
        self.store.write("day", self._day)
        self.store.write("closed_day", self._closed_day)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, OrderExecuted):
            self._changed[event.order.key] = event.order
            self._book(event)
            return
        if isinstance(event, OrderUpdated):
            self._changed[event.order.key] = event.order
            self.store.append(event.at, "status", {**_key_row(event.order), "status": event.status, "filled": event.filled})
        elif isinstance(event, OrderRefused):
            row = {"client_id": event.client_id, "order_id": event.order_id, "code": event.code}
            self.store.append(self.now, "refused", row)
        self._events.append(event)
        if isinstance(event, OrderUpdated):
            self._pay_owed(event.order)

    def _pay_owed(self, order: BookOrder) -> None:
        due = [owed for owed in self._owed if (owed.execution.client_id, owed.execution.order_id) == order.key]
        for owed in due:
            self._owed.remove(owed)
            self._events.append(owed)

    def _book(self, event: OrderExecuted) -> None:
        order, spec = event.order, event.order.spec
        total = commission_for(event.cumulative_quantity, event.cumulative_quantity * event.average_price)
        fee = round(max(0.0, total - order.commission), 4)
        order.commission = round(order.commission + fee, 4)
        settled = self.account.settle(spec.symbol, spec.side, event.quantity, event.price, fee)
        execution = Execution(
            exec_id=event.exec_id,
            client_id=spec.client_id,
            order_id=spec.order_id,
            perm_id=order.perm_id,
            order_ref=spec.order_ref,
            symbol=spec.symbol,
            side=spec.side,
            quantity=event.quantity,
            price=event.price,
            cumulative_quantity=event.cumulative_quantity,
            average_price=event.average_price,
            at=event.at,
            commission=fee,
            realized=settled.realized,
        )
        self._record(execution)

    def _record(self, execution: Execution) -> None:
        self.executions.append(execution)
        self.store.save_execution(execution)
        self.store.append(execution.at, "execution", asdict(execution))
        self._events.append(Executed(execution=execution))
        self._owed.append(Charged(execution=execution))

    def _revise(self, execution: Execution, price: float | None, quantity: float | None, bust: bool) -> None:
        new_price = execution.price if price is None else price
        new_quantity = 0.0 if bust else execution.quantity if quantity is None else quantity
        side = execution.side
        self.account.settle(execution.symbol, side.opposite, execution.quantity, execution.price, 0.0)
        if bust:
            self.account.refund(execution.commission)
        if new_quantity:
            self.account.settle(execution.symbol, side, new_quantity, new_price, 0.0)
        head, _, revision = execution.exec_id.rpartition(".")
        self._record(
            replace(
                execution,
                exec_id=f"{head}.{int(revision) + 1:02d}",
                price=new_price,
                quantity=execution.quantity if bust else new_quantity,
                cumulative_quantity=execution.cumulative_quantity - execution.quantity + new_quantity,
                liquidation=1 if bust else 0,
                at=self.now,
            )
        )

    def _age(self) -> None:
        for execution in self.executions:
            self.store.save_execution(replace(execution, at=execution.at - 86_400))
        self.executions = []
        for order in self.completed_orders():
            order.completed_at = (order.completed_at or self.now) - 86_400
            self.store.save_order(order)
            self.exchange.book.forget(order)

    def _fill_late(self, order: BookOrder, quantity: float, price: float) -> None:
        self.exchange.fill_late(order, quantity, price, self.now)
        self._changed[order.key] = order

    def _size(self, order: BookOrder, quote: QuoteLike) -> float:
        scripted = self.sizing(order, quote)
        if scripted is not None:
            return scripted
        shown = getattr(quote, "ask_size" if order.spec.side == "BUY" else "bid_size", MIN_DEPTH)
        return max(MIN_DEPTH, shown * DEPTH)

    def _close_day(self, now: float, closing: float) -> list[Report]:
        self._closed_day = day_key(closing)

        def close() -> None:
            for symbol in self.exchange.book.symbols():
                self.exchange.on_close(symbol, self.prices.last(symbol, closing), now)
            if self.hours.calendar:
                self.exchange.expire(now, day_over=True)

        return self._act("close", {"day": self._closed_day}, close)

    def _roll_day(self, now: float) -> list[Report]:
        """Midnight: executions and completed orders leave the lists. Without sessions the day of DAY orders ends here too."""
        self._day = day_key(now)

        def roll() -> None:
            self.exchange.expire(now, day_over=not self.hours.calendar)
            self.account.start_day(self.last)

        reports = self._act("day", {"day": self._day}, roll)
        self.executions = [execution for execution in self.executions if execution.at >= day_begin(now)]
        for order in self.completed_orders():
            if (order.completed_at or 0.0) < day_begin(now):
                self.exchange.book.forget(order)
        return reports

    def _load_account(self) -> Account:
        data = self.store.read("account", None)
        if data is None:
            return Account()
        holdings = {symbol: Holding(**row) for symbol, row in data.pop("holdings").items()}
        return Account(holdings=holdings, **data)

    def _restore(self) -> None:
        self.prices.restore(self.store.read("prices", {}))
        last_ids = {int(client): int(last) for client, last in self.store.read("last_ids", [])}
        self.exchange.book.restore(self.store.load_orders(day_begin(self.now)), last_ids)


def _key_row(order: BookOrder) -> dict[str, Any]:
    return {"client_id": order.spec.client_id, "order_id": order.spec.order_id, "perm_id": order.perm_id}


def _spec_row(spec: OrderSpec) -> dict[str, Any]:
    row = asdict(spec)
    del row["wire"]
    return row


__all__ = ["Brokerage", "Charged", "Executed", "Report", "Sizing", "Status"]
