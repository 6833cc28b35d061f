"""The order manager under any sequence of wishes, fills, silences, repeats and restarts, against the naive broker.

What must hold at every step: nothing at the broker without a durable row, never two orders under one reference, never a
reversed position. What must hold once things have settled: our holding is the broker's, every share has its stop, nothing
is left for what is closed, and the float P&L is the Decimal ledger's to the cent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from events.order import OrderRole, OrderSide
from events.position import PositionStatus
from positions.domain.ledger import fold_all
from positions.domain.order_states import TERMINAL
from positions.domain.position import Position
from positions.tests.domain.desk import Desk

T = TypeVar("T")
CENT = Decimal("0.01")


class ManagerMachine(RuleBasedStateMachine):
    @initialize()
    def open_desk(self) -> None:
        self.runner = asyncio.Runner()
        self.desk = Desk()
        self.run(self.desk.open())

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def positions(self) -> list[Position]:
        return [p for p in self.desk.tracker.active() if p.is_active]

    # ---- wishes ---------------------------------------------------------------------------------------------------------

    @rule(quantity=st.integers(1, 200))
    def submit(self, quantity: int) -> None:
        self.desk.quote()
        self.run(self.desk.manager.submit(self.desk.intent(quantity=quantity, entry_life_seconds=60)))

    @precondition(lambda self: self.positions())
    @rule(data=st.data(), price=st.floats(90, 99.5))
    def move_stop(self, data: st.DataObject, price: float) -> None:
        position = data.draw(st.sampled_from(self.positions()))
        self.run(self.desk.manager.change_stop(position.position_id, price))

    @precondition(lambda self: self.positions())
    @rule(data=st.data(), price=st.floats(101, 130))
    def move_target(self, data: st.DataObject, price: float) -> None:
        position = data.draw(st.sampled_from(self.positions()))
        self.run(self.desk.manager.change_target(position.position_id, price))

    @precondition(lambda self: self.positions())
    @rule(data=st.data(), share=st.one_of(st.none(), st.integers(1, 100)))
    def close(self, data: st.DataObject, share: int | None) -> None:
        position = data.draw(st.sampled_from(self.positions()))
        self.run(self.desk.manager.close_position(position.position_id, share, "enough"))

    @precondition(lambda self: self.desk.manager.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.run(self.desk.manager.cancel_order(data.draw(st.sampled_from(list(self.desk.manager.orders)))))

    # ---- the broker -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.desk.broker.fillable())
    @rule(data=st.data(), cents=st.integers(9500, 11000))
    def fill(self, data: st.DataObject, cents: int) -> None:
        order = data.draw(st.sampled_from(self.desk.broker.fillable()))
        self.desk.broker.fill(order, data.draw(st.integers(1, int(self.desk.broker.room(order)))), cents / 100)

    @rule()
    def repeat(self) -> None:
        self.desk.broker.repeat()

    @precondition(lambda self: self.desk.broker.executions)
    @rule(data=st.data(), cents=st.integers(9500, 11000))
    def correct(self, data: st.DataObject, cents: int) -> None:
        self.desk.broker.correct(data.draw(st.integers(0, len(self.desk.broker.executions) - 1)), price=cents / 100)

    @rule()
    def forget_what_was_said(self) -> None:
        """The connection drops what was on its way."""
        self.desk.manager._hearing.queue.clear()

    # ---- time -----------------------------------------------------------------------------------------------------------

    @rule()
    def hear(self) -> None:
        self.run(self.desk.manager.drain())

    @rule(seconds=st.integers(1, 15))
    def wait(self, seconds: int) -> None:
        self.run(self.desk.wait(seconds))

    @rule()
    def restart(self) -> None:
        self.run(self.desk.restarted())
        self.run(self.reconcile())

    @rule()
    def settle(self) -> None:
        self.run(self.reconcile())
        self.run(self.desk.wait(16))
        self.run(self.reconcile())
        self.run(self.desk.wait(6))
        while self.run(self.desk.manager.drain()):
            pass
        self.check_settled()

    async def reconcile(self) -> None:
        first = await self.desk.broker.snapshot()
        report = await self.desk.manager.reconcile(first)
        if report.needs_second:
            self.desk.clock.advance(10)
            await self.desk.manager.reconcile(first, await self.desk.broker.snapshot())

    # ---- what must hold -------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_at_the_broker_without_a_durable_row(self) -> None:
        if not hasattr(self, "desk"):
            return
        durable = {order.order_ref for order in self.desk.manager.orders.values() if order.order_id in self.desk.durable}
        refs = [resting.ticket.order_ref for resting in self.desk.broker.book.values()]
        assert set(refs) <= durable
        assert len(refs) == len(set(refs))

    @invariant()
    def never_reversed_and_never_overfilled(self) -> None:
        if not hasattr(self, "desk"):
            return
        assert all(quantity >= 0 for quantity in self.desk.broker.held().values())
        assert not any(order.overfilled for order in self.desk.manager.orders.values())

    def check_settled(self) -> None:
        desk = self.desk
        ours: dict[str, float] = {}
        for position in desk.tracker.active():
            ours[position.symbol] = ours.get(position.symbol, 0) + position.held
        assert {s: q for s, q in ours.items() if q} == desk.broker.held()
        for position in self.positions():
            self.check_protected(position)
        for resting in desk.broker.book.values():
            order = next(o for o in desk.manager.orders.values() if o.order_ref == resting.ticket.order_ref)
            assert resting.live != (order.state in TERMINAL), (resting, order)
        self.check_money()

    def check_protected(self, position: Position) -> None:
        orders = [o for o in self.desk.manager.orders.values() if o.position_id == position.position_id and o.is_live]
        if any(order.role is OrderRole.ENTRY for order in orders) or not position.held:
            return
        stops = [self.desk.broker.book[o.ib_order_id] for o in orders if o.role is OrderRole.STOP]
        separate = sum(o.remaining_quantity for o in orders if o.role is OrderRole.EXIT and not o.oca_group)
        if position.stop_loss is not None and position.status is PositionStatus.OPEN:
            assert sum(stop.remaining for stop in stops) == position.held - separate, (position, orders)

    def check_money(self) -> None:
        fills = [(e.quantity if e.side is OrderSide.BUY else -e.quantity, e.price) for e in self.desk.broker.executions]
        everything = [*self.desk.tracker.active(), *self.desk.tracker._closed.values()]
        by_position = sum((fold_all((f.quantity, f.price) for f in p.fills if not f.busted).realized for p in everything), Decimal(0))
        gross = sum(p.realized_pnl + p.commission for p in everything)
        assert Decimal(str(round(gross, 6))).quantize(CENT) == by_position.quantize(CENT)
        assert len(fills) == sum(len(p.fills) for p in everything)


ManagerMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TestManagerMachine = ManagerMachine.TestCase
