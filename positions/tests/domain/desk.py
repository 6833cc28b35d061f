"""A desk for tests: bus, tracker, manager and the naive broker, wired as the worker wires the real ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from events.base import BaseEvent
from events.bus import EventBus
from events.clock import ManualClock
from events.order import OrderRole, OrderSide
from positions.domain.intent import OrderIntent
from positions.domain.order import Order
from positions.domain.order_manager import OrderManager
from positions.domain.ports import Tick
from positions.domain.position import Position
from positions.domain.references import new_ulid
from positions.domain.risk import RiskGate, RiskLimits
from positions.domain.tracker import PositionTracker
from positions.tests.domain.naive_broker import NaiveBroker

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


class Desk:
    """`events` is everything the bus carried; `durable` what the journal had committed; `sent_before_commit` must stay 0."""

    def __init__(self, *, limits: RiskLimits | None = None) -> None:
        self.clock = ManualClock(START)
        self.broker = NaiveBroker(now=self.clock.now)
        self.limits = limits or RiskLimits()
        self.commit_fails = False
        self.events: list[BaseEvent] = []
        self.durable: set[str] = set()

    async def open(self) -> Desk:
        self.bus = EventBus(on_failure=self._failed)
        await self.bus.subscribe(BaseEvent, self.events.append)
        self.tracker = PositionTracker(self.bus, now=self.clock.now, account="DU1")
        await self.tracker.start()
        self.manager = OrderManager(
            self.bus,
            self.broker,
            self.tracker,
            RiskGate(self.limits),
            commit=self._commit,
            clock=self.clock,
            account="DU1",
            client_id=17,
            session_id="s1",
            ref_prefix="T",
        )
        self.broker.listener = self.manager
        return self

    async def restarted(self) -> Desk:
        """What another process would make of our rows."""
        orders = [order.to_dict() for order in self.manager.orders.values()]
        positions = [p.to_dict() for p in [*self.tracker.active(), *await self.tracker.get_closed_positions()]]
        await self.open()
        self.manager.restore(orders, positions)
        return self

    def quote(self, symbol: str = "AAPL", price: float = 100.0) -> None:
        self.manager.on_tick(Tick(symbol=symbol, last=price, bid=price - 0.01, ask=price + 0.01, volume=1.0, time=self.clock.now()))

    def intent(self, **changes: Any) -> OrderIntent:
        return OrderIntent(
            **{
                "intent_id": new_ulid(self.clock.now()),
                "symbol": "AAPL",
                "side": OrderSide.BUY,
                "quantity": 100,
                "limit_price": 100.0,
                "stop_loss": 95.0,
                "take_profit": 110.0,
                "signal_id": new_ulid(self.clock.now()),
                **changes,
            }
        )

    async def entered(self, **changes: Any) -> Order:
        """A submitted entry, acknowledged."""
        self.quote(str(changes.get("symbol", "AAPL")))
        order = await self.manager.submit(self.intent(**changes))
        assert isinstance(order, Order), order
        await self.manager.drain()
        return order

    async def held(self, **changes: Any) -> Position:
        """A position whose entry filled completely at 100."""
        order = await self.entered(**changes)
        self.broker.fill(self.broker.book[order.ib_order_id], order.quantity, 100.0)
        await self.manager.drain()
        return self.tracker.position(order.position_id)

    async def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            await self.manager.tick()

    def ours(self, role: OrderRole) -> Order:
        """Our last order in that role."""
        return [order for order in self.manager.orders.values() if order.role is role][-1]

    def said(self, kind: type[BaseEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def _commit(self) -> None:
        if self.commit_fails:
            raise OSError("disk full")
        self.durable |= {event.order_id for event in self.events if event.order_id}

    def _failed(self, event: BaseEvent, handler: str, error: Exception) -> None:
        raise AssertionError(f"{handler} failed on {event}") from error
