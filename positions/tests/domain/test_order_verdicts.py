"""What an error refused is told by one fresh reading of the broker's lists, whatever its number."""

from __future__ import annotations

from typing import Any

import pytest

from events.order import OrderRole, OrderState, PendingRequest
from events.position import PositionStatus
from positions.domain.order import Order
from positions.tests.domain.desk import Desk

WORDS = "The following order size exceeds the Size Limit of 500."
CODES = [163, 383, 451, 10006, 77777]


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


async def compared(desk: Desk) -> Any:
    return await desk.manager.reconcile(await desk.broker.snapshot())


async def refused_on_arrival(desk: Desk, code: int, *roles: OrderRole) -> dict[OrderRole, Order]:
    """The gateway takes nothing of a bracket and objects to some of its legs."""
    desk.broker.deaf = True
    await desk.entered()
    desk.broker.deaf = False
    family = {order.role: order for order in desk.manager.orders.values()}
    desk.broker.next_id = max(order.ib_order_id for order in family.values()) + 1
    for role in roles:
        desk.broker.object_to(family[role].ib_order_id, code, WORDS)
    await desk.manager.drain()
    return family


@pytest.mark.parametrize("code", CODES)
async def test_an_order_that_one_fresh_reading_does_not_show_was_refused_in_ibs_words(desk: Desk, code: int) -> None:
    family = await refused_on_arrival(desk, code, OrderRole.ENTRY)
    assert not desk.manager.verdict_due
    await desk.wait(3)
    assert desk.manager.verdict_due
    await compared(desk)
    entry = family[OrderRole.ENTRY]
    assert (entry.state, entry.code, entry.message) == (OrderState.REJECTED, str(code), WORDS)
    assert {leg.state for leg in family.values()} == {OrderState.REJECTED}
    assert all(WORDS in leg.message for leg in family.values())
    assert desk.tracker.position(entry.position_id).status is PositionStatus.CLOSED
    assert len([what for what in desk.broker.wire if what[0] == "send"]) == 3
    assert not desk.manager.verdict_due


async def test_a_list_that_was_asked_for_before_the_error_proves_nothing(desk: Desk) -> None:
    family = await refused_on_arrival(desk, 383, OrderRole.ENTRY)
    await compared(desk)
    assert family[OrderRole.ENTRY].state is OrderState.SENDING


async def test_a_leg_that_is_silent_while_its_entry_works_does_not_go_with_the_refused_one(desk: Desk) -> None:
    entry = await desk.entered()
    stop = desk.ours(OrderRole.STOP)
    desk.broker.book.pop(stop.ib_order_id)
    desk.broker.object_to(stop.ib_order_id, 383, WORDS)
    await desk.manager.drain()
    await desk.wait(3)
    await compared(desk)
    assert (stop.state, stop.message) == (OrderState.REJECTED, WORDS)
    assert entry.state is not OrderState.REJECTED


@pytest.mark.parametrize("code", CODES)
async def test_a_refused_change_leaves_the_old_values_and_is_not_sent_again(desk: Desk, code: int) -> None:
    position = await desk.held()
    stop = desk.ours(OrderRole.STOP)
    desk.broker.objection = (code, WORDS)
    await desk.manager.change_stop(position.position_id, 96.0)
    await desk.manager.drain()
    assert stop.pending is PendingRequest.REPLACE
    await desk.wait(3)
    await compared(desk)
    assert (stop.state.value, stop.pending, stop.stop_price, stop.message) == ("held", PendingRequest.NONE, 95.0, WORDS)
    assert (position.stop_loss, position.stop_state) == (95.0, "resting")
    answers = await desk.manager.trail_stops({position.position_id: 96.0})
    assert WORDS in str(answers[position.position_id])
    assert len([what for what in desk.broker.wire if what[0] == "modify"]) == 1


@pytest.mark.parametrize("code", CODES)
async def test_a_refused_cancel_leaves_the_order_working_and_what_ends_it_later_is_no_cancel_of_ours(desk: Desk, code: int) -> None:
    entry = await desk.entered()
    desk.broker.objection = (code, WORDS)
    await desk.manager.cancel_order(entry.order_id, "changed my mind")
    await desk.manager.drain()
    await desk.wait(3)
    await compared(desk)
    assert (entry.state.value, entry.pending, entry.message) == ("working", PendingRequest.NONE, WORDS)
    assert not entry.cancel_asked


@pytest.mark.parametrize("code", [399, 404, 2109, 2161, 10349])
async def test_a_known_notice_ends_nothing_even_where_the_order_is_not_shown(desk: Desk, code: int) -> None:
    family = await refused_on_arrival(desk, code, OrderRole.ENTRY)
    await desk.wait(3)
    await compared(desk)
    assert family[OrderRole.ENTRY].state in (OrderState.SENDING, OrderState.IN_DOUBT)


async def test_a_remark_with_a_number_nobody_knows_stays_a_remark_where_the_order_works(desk: Desk) -> None:
    entry = await desk.entered()
    desk.broker.object_to(entry.ib_order_id, 77777, WORDS)
    await desk.manager.drain()
    await desk.wait(3)
    await compared(desk)
    assert (entry.state.value, entry.objection, entry.message) == ("working", {}, WORDS)
    desk.broker.fill(desk.broker.book[entry.ib_order_id], 100, 100.0)
    await desk.manager.drain()
    assert entry.state is OrderState.FILLED


async def test_an_old_refusal_of_a_change_does_not_explain_a_later_cancel(desk: Desk) -> None:
    position = await desk.held()
    stop = desk.ours(OrderRole.STOP)
    desk.broker.objection = (201, WORDS)
    await desk.manager.change_stop(position.position_id, 96.0)
    await desk.manager.drain()
    desk.broker.objection = None
    await desk.manager.close_position(position.position_id, None, "enough")
    await desk.manager.drain()
    await desk.wait(3)
    assert stop.state is not OrderState.REJECTED


async def test_an_error_that_follows_an_unasked_cancellation_explains_it(desk: Desk) -> None:
    entry = await desk.entered()
    desk.broker.end(entry.ib_order_id)
    await desk.manager.drain()
    assert entry.state is OrderState.CANCELED
    desk.broker.object_to(entry.ib_order_id, 77777, WORDS)
    await desk.manager.drain()
    assert (entry.state, entry.code, entry.message) == (OrderState.REJECTED, "77777", WORDS)
