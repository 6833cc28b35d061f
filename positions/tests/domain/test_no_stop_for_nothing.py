"""A stop protects shares that the broker holds. One for shares that are gone there would open the other side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from events.order import OrderRole, OrderState, OrderType
from positions.domain.ports import BrokerSnapshot
from positions.tests.domain.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


async def found(desk: Desk, shares: float) -> BrokerSnapshot:
    """The broker's reading, with `shares` of ours left there and no list that says why."""
    whole = await desk.broker.snapshot()
    held = tuple(replace(row, quantity=shares) for row in whole.positions)
    return replace(whole, positions=held if shares else ())


async def stops_after(desk: Desk, shares: float) -> list[float]:
    """Quantities of the stops at the broker after two readings with so many shares and no stop, target or reason."""
    position = await desk.held()
    for order in (desk.broker.order("-S"), desk.broker.order("-T")):
        del desk.broker.book[order.ticket.ib_order_id]
    desk.clock.advance(3)
    report = await desk.manager.reconcile(await found(desk, shares))
    assert report.ok is (shares == 100)
    assert [o.state for o in desk.manager.core.book.live(position.position_id, OrderRole.STOP)] == [OrderState.IN_DOUBT]
    await desk.wait(3)
    await desk.manager.reconcile(await found(desk, shares))
    await desk.wait(2)
    return [o.remaining for o in desk.broker.book.values() if o.live and o.ticket.order_type is OrderType.STOP]


@pytest.mark.parametrize(("shares", "stops"), [(100, [100]), (40, [40]), (0, []), (-20, [])])
async def test_a_lost_stop_is_replaced_for_no_more_than_the_broker_holds(desk: Desk, shares: float, stops: list[float]) -> None:
    assert await stops_after(desk, shares) == stops


async def test_a_stop_lost_after_it_sold_a_part_is_replaced_for_the_rest(desk: Desk) -> None:
    position = await desk.held()
    stop, target = desk.broker.order("-S"), desk.broker.order("-T")
    desk.manager.on_execution(desk.broker.fill(stop, 40, stop.ticket.stop_price or 0.0))
    await desk.manager.drain()
    for order in (stop, target):
        del desk.broker.book[order.ticket.ib_order_id]
    desk.clock.advance(3)
    await desk.manager.reconcile(await desk.broker.snapshot())
    assert [o.state for o in desk.manager.core.book.live(position.position_id, OrderRole.STOP)] == [OrderState.IN_DOUBT]
    await desk.wait(3)
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(2)
    assert [o.remaining for o in desk.broker.book.values() if o.live and o.ticket.order_type is OrderType.STOP] == [60]
