"""What holds for the matching engine whatever happens: random orders, changes, cancels, quotes and bars."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from positions.gateway.exchange import Exchange
from positions.gateway.orders import DONE, BookOrder, Event, Kind, OrderExecuted, OrderSpec, OrderUpdated, Side, Tif
from positions.tests.gateway.test_exchange import Bar, Quote

PRICE = st.integers(9000, 11000).map(lambda cents: cents / 100)
QUANTITY = st.integers(1, 300)
LIMITED = {Kind.LIMIT, Kind.STOP_LIMIT, Kind.LIMIT_ON_CLOSE}


class AnythingOnTheExchange(RuleBasedStateMachine):
    @initialize(share=st.floats(0.05, 1.0))
    def open(self, share: float) -> None:
        self.events: list[Event] = []
        self.exchange = Exchange(self._hear, sizing=lambda order, _quote: max(1, int(order.remaining * share)))
        self.next_id = 1
        self.at = 0.0
        self.fills: dict[tuple[int, int], float] = defaultdict(float)
        self.exec_ids: set[str] = set()
        self.done: set[tuple[int, int]] = set()
        self.highest_trail: dict[tuple[int, int], float] = {}

    def _hear(self, event: Event) -> None:
        if isinstance(event, OrderExecuted):
            self._check_execution(event)
        if isinstance(event, OrderUpdated):
            assert event.order.key not in self.done, "a done order spoke again"
            assert abs(event.filled - self.fills[event.order.key]) < 1e-6
            if event.status in DONE:
                self.done.add(event.order.key)
        self.events.append(event)

    def _check_execution(self, event: OrderExecuted) -> None:
        order = event.order
        assert event.quantity > 0
        assert event.exec_id not in self.exec_ids
        self.exec_ids.add(event.exec_id)
        self.fills[order.key] += event.quantity
        assert self.fills[order.key] <= order.quantity + 1e-6, "overfilled"
        if order.spec.kind in LIMITED and order.limit_price is not None:
            better = event.price <= order.limit_price if order.spec.side is Side.BUY else event.price >= order.limit_price
            assert better, f"{event.price} is worse than the limit {order.limit_price}"
        parent = self.exchange.book.parent(order)
        if parent is not None:
            assert self.fills[order.key] <= parent.filled + 1e-6, "an exit sold more than its entry bought"

    def _spec(self, kind: Kind, side: Side, quantity: int, first: float, second: float, **more: Any) -> OrderSpec:
        trails = kind in (Kind.TRAIL, Kind.TRAIL_LIMIT)
        return OrderSpec(
            client_id=1,
            order_id=more.pop("order_id", self.next_id),
            symbol="AAPL",
            side=side,
            quantity=quantity,
            kind=kind,
            limit_price=first if kind in LIMITED else None,
            stop_price=second if kind in (Kind.STOP, Kind.STOP_LIMIT) else None,
            trail_amount=1.5 if trails else None,
            limit_offset=0.1 if trails else None,
            **more,
        )

    @rule(
        kind=st.sampled_from(list(Kind)),
        side=st.sampled_from(list(Side)),
        quantity=QUANTITY,
        first=PRICE,
        second=PRICE,
        tif=st.sampled_from([Tif.DAY, Tif.GTC, Tif.IOC, Tif.FOK]),
        group=st.sampled_from(["", "", "one", "two"]),
    )
    def place(self, kind: Kind, side: Side, quantity: int, first: float, second: float, tif: Tif, group: str) -> None:
        spec = self._spec(kind, side, quantity, first, second, tif=tif, oca_group=group, oca_type={"one": 1, "two": 2}.get(group, 0))
        self.exchange.place(spec, self.at)
        self.next_id += 1

    @rule(quantity=QUANTITY, entry=PRICE, goal=PRICE, stop=PRICE, market=st.booleans())
    def bracket(self, quantity: int, entry: float, goal: float, stop: float, market: bool) -> None:
        parent = self.next_id
        kind = Kind.MARKET if market else Kind.LIMIT
        self.exchange.place(self._spec(kind, Side.BUY, quantity, entry, entry, transmit=False), self.at)
        exits = {"parent_id": parent, "tif": Tif.GTC}
        self.exchange.place(self._spec(Kind.LIMIT, Side.SELL, quantity, goal, 0, order_id=parent + 1, transmit=False, **exits), self.at)
        self.exchange.place(self._spec(Kind.STOP, Side.SELL, quantity, 0, stop, order_id=parent + 2, **exits), self.at)
        self.next_id += 3

    @precondition(lambda self: self.exchange.live_orders())
    @rule(data=st.data(), quantity=QUANTITY, first=PRICE, second=PRICE)
    def change(self, data: st.DataObject, quantity: int, first: float, second: float) -> None:
        order = data.draw(st.sampled_from(self.exchange.live_orders()))
        spec = order.spec
        quantity = int(order.quantity) if spec.parent_id else quantity  # an exit may be made larger than its entry, on request
        kept = {"oca_group": spec.oca_group, "oca_type": spec.oca_type, "tif": spec.tif, "parent_id": spec.parent_id}
        self.exchange.place(self._spec(spec.kind, spec.side, quantity, first, second, order_id=spec.order_id, **kept), self.at)

    @rule(order_id=st.integers(1, 60))
    def cancel(self, order_id: int) -> None:
        self.exchange.cancel(1, order_id, self.at)

    @rule(bid=PRICE, spread=st.integers(1, 30))
    def quote(self, bid: float, spread: int) -> None:
        self.at += 1
        ask = round(bid + spread / 100, 2)
        self.exchange.on_quote("AAPL", Quote(bid, ask, round((bid + ask) / 2, 2), self.at))

    @rule(prices=st.tuples(PRICE, PRICE, PRICE, PRICE), closing=st.booleans())
    def bar(self, prices: tuple[float, float, float, float], closing: bool) -> None:
        self.at += 60
        before = len(self.events)
        bar = Bar(prices[0], max(prices), min(prices), prices[3], self.at)
        self.exchange.on_bar("AAPL", bar, closing=closing)
        for event in self.events[before:]:
            if isinstance(event, OrderExecuted):
                assert bar.low - 1e-9 <= event.price <= bar.high + 1e-9, "a price outside its bar"

    @rule(day_over=st.booleans())
    def expire(self, day_over: bool) -> None:
        self.exchange.expire(self.at, day_over=day_over)

    @rule()
    def cancel_everything(self) -> None:
        self.exchange.cancel_all(self.at)

    @invariant()
    def the_book_agrees_with_the_executions(self) -> None:
        for key, order in self.exchange.book.orders.items():
            assert abs(order.filled - self.fills[key]) < 1e-6
            assert order.live == (order in self.exchange.live_orders())

    @invariant()
    def a_trailing_stop_never_loosens(self) -> None:
        for order in self.exchange.live_orders():
            if order.spec.kind is Kind.TRAIL and order.stop_price is not None and not order.triggered:
                self._check_trail(order)

    def _check_trail(self, order: BookOrder) -> None:
        sign = 1 if order.spec.side is Side.SELL else -1
        level = sign * (order.stop_price or 0.0)
        assert level >= self.highest_trail.get(order.key, level) - 1e-9
        self.highest_trail[order.key] = level

    @invariant()
    def nothing_in_a_type_1_group_lives_beside_a_fill(self) -> None:
        for order in self.exchange.live_orders():
            others = [other for other in self.exchange.live_orders() if other.spec.oca_group == order.spec.oca_group == "one"]
            if any(other.filled for other in others):
                assert len(others) == 1 or self._placed_after_the_fill(others)

    @staticmethod
    def _placed_after_the_fill(others: list[BookOrder]) -> bool:
        """A member that joined when another had partly filled already may work beside it."""
        filled = [other for other in others if other.filled]
        return len(filled) == 1 and all(other.placed_at >= filled[0].placed_at for other in others)


TestAnythingOnTheExchange = AnythingOnTheExchange.TestCase
TestAnythingOnTheExchange.settings = settings(stateful_step_count=30)
