"""Shares that nobody meant to hold and no stop level is known for: alarmed, then flattened or held, like a stop refused twice."""

from __future__ import annotations

import pytest

from events.order import OrderRole
from events.position import PositionStatus
from events.system import ProtectionEvent
from positions.domain.position import Position
from positions.tests.domain.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


async def sold_without_an_entry(desk: Desk) -> Position:
    """The entry is taken back while its target has just filled: heard in this order, the sale belongs to nothing."""
    position = await desk.held()
    target = desk.broker.order("-T")
    desk.broker.correct(0, bust=True)
    await desk.manager.drain()
    assert position.held == 0
    desk.broker.mute = True
    sale = desk.broker.fill(target, 100, 110.0)
    desk.broker.mute = False
    await compared(desk)  # with the sale, as IB's lists have it
    assert sale.quantity == 100
    [short] = [p for p in desk.tracker.active() if p.held]
    assert (short.held, short.stop_loss) == (-100, None)
    return short


async def compared(desk: Desk) -> None:
    desk.clock.advance(3)
    first = await desk.broker.snapshot()
    report = await desk.manager.reconcile(first)
    if report.needs_second:
        desk.clock.advance(10)
        await desk.manager.reconcile(first, await desk.broker.snapshot())


def alarms(desk: Desk) -> list[tuple[str, str]]:
    return [(event.state, event.rule) for event in desk.said(ProtectionEvent)]


async def test_holding_alarms_at_once_and_stays_until_a_person_sets_a_stop(desk: Desk) -> None:
    short = await sold_without_an_entry(desk)
    await desk.wait(3)
    assert alarms(desk) == [("alarm", "hold")]
    alarm = desk.manager.protection_alarms[short.position_id]
    assert "no level" in alarm.detail
    await desk.wait(60)
    assert desk.manager.protection_alarms == {short.position_id: alarm}  # it stands, and its first moment is kept
    assert alarms(desk) == [("alarm", "hold")]
    assert desk.broker.held() == {"AAPL": -100}
    await desk.manager.change_stop(short.position_id, 115.0)
    await desk.wait(2)
    assert desk.broker.order("-S").remaining == 100
    assert (short.stop_loss, desk.manager.protection_alarms) == (115.0, {})
    assert alarms(desk) == [("alarm", "hold"), ("restored", "")]


async def test_flattening_closes_it(desk: Desk) -> None:
    desk.manager.set_protection_rule("flatten")
    short = await sold_without_an_entry(desk)
    await desk.wait(3)
    assert alarms(desk)[0] == ("alarm", "flatten")
    exit_order = desk.broker.order("-X")
    assert (exit_order.ticket.side.value, exit_order.quantity) == ("buy", 100)
    desk.broker.fill(exit_order, 100, 111.0)
    await desk.wait(3)
    assert short.status is PositionStatus.CLOSED
    assert short.reason == "no stop could be placed"
    assert desk.broker.held() == {}
    assert not [order for order in desk.broker.book.values() if order.live]


async def test_flattening_that_was_refused_is_tried_again_and_never_twice_at_a_time(desk: Desk) -> None:
    desk.manager.set_protection_rule("flatten")
    short = await sold_without_an_entry(desk)
    await desk.wait(3)
    first = desk.broker.order("-X")
    await desk.wait(30)
    assert desk.broker.order("-X") is first
    desk.broker._end(first)  # the broker ends it, nothing filled
    await desk.wait(20)
    second = desk.broker.order("-X")
    assert second is not first
    assert short.status is PositionStatus.CLOSING
    working = [order for order in desk.broker.book.values() if order.live]
    assert working == [second]


async def test_the_next_worker_goes_on_with_the_alarm(desk: Desk) -> None:
    short = await sold_without_an_entry(desk)
    await desk.wait(3)
    desk = await desk.restarted()
    await compared(desk)
    await desk.wait(3)
    assert list(desk.manager.protection_alarms) == [short.position_id]


async def test_a_correction_that_makes_it_right_at_once_is_no_alarm(desk: Desk) -> None:
    await sold_without_an_entry(desk)
    await desk.wait(1)
    sale = len(desk.broker.executions) - 1
    desk.broker.correct(sale, bust=True)
    await desk.wait(10)
    assert not desk.said(ProtectionEvent)
    assert desk.manager.protection_alarms == {}
    assert not [order for order in desk.manager.orders.values() if order.role is OrderRole.EXIT]
