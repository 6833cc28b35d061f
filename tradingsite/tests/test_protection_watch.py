"""The watchdog of stops on the real order manager, a plain broker and a clock of the test's own: no process, no socket."""

from __future__ import annotations

import pytest

from events.order import OrderRole, OrderState
from tradingsite.tests.watched_desk import Watched


@pytest.fixture
async def desk() -> Watched:
    return await Watched().open()


async def test_a_stop_that_was_modified_a_moment_ago_is_judged_by_the_modification(desk: Watched) -> None:
    position = await desk.held()
    await desk.wait(100)  # it was sent long ago
    await desk.manager.change_stop(position.position_id, 96.0)
    await desk.manager.drain()
    desk.clock.advance(1.0)
    desk.unlisted = {desk.stop_ref()}  # between two places of IB's, as a modified order may be
    await desk.watch()
    assert not desk.manager.needs_reconcile
    desk.clock.advance(1.5)
    await desk.watch()
    assert desk.manager.needs_reconcile


async def test_a_stop_that_was_answered_long_ago_and_is_not_listed_is_asked_about(desk: Watched) -> None:
    await desk.held()
    await desk.wait(3)
    await desk.watch()
    assert not desk.manager.needs_reconcile
    desk.unlisted = {desk.stop_ref()}
    await desk.watch()
    assert "stop" in desk.manager.needs_reconcile


@pytest.mark.parametrize("first", ["the watch", "a reading"])
async def test_a_stop_that_one_list_leaves_out_gets_no_second_one(desk: Watched, first: str) -> None:
    position = await desk.held()
    await desk.wait(60)
    desk.unlisted = {desk.stop_ref()}
    await (desk.watch() if first == "the watch" else desk.compared())
    desk.unlisted = set()  # the next list is whole again
    desk.clock.advance(0.5)
    await (desk.compared() if first == "the watch" else desk.watch())
    await desk.guard(10)
    assert desk.sent_stops() == [100]
    assert position.stop_state == "resting"
    assert position.protection.bare_since is None


async def test_one_list_alone_sends_nothing_however_long_the_next_one_takes(desk: Watched) -> None:
    position = await desk.held()
    await desk.wait(60)
    desk.unlisted = {desk.stop_ref()}
    await desk.compared()
    desk.reading = True
    await desk.guard(5)
    assert (desk.sent_stops(), desk.ours(OrderRole.STOP).state) == ([100], OrderState.IN_DOUBT)
    assert position.stop_state == "pending"
    desk.unlisted, desk.reading = set(), False
    await desk.guard(0.5)
    assert (desk.sent_stops(), position.stop_state) == ([100], "resting")
    assert 5 <= position.protection.seconds <= 5.5  # nobody could say that it was protected meanwhile


async def test_a_doubt_is_looked_into_at_once_and_a_whole_list_ends_it(desk: Watched) -> None:
    position = await desk.held()
    await desk.wait(60)
    desk.unlisted = {desk.stop_ref()}
    await desk.compared()
    desk.unlisted = set()
    await desk.guard(1)  # nobody called for it
    assert (position.stop_state, desk.sent_stops()) == ("resting", [100])


@pytest.mark.parametrize("first", ["the watch", "a reading"])
async def test_a_stop_that_two_pictures_leave_out_is_replaced_once_and_within_two_seconds(desk: Watched, first: str) -> None:
    position = await desk.held()
    await desk.wait(60)
    lost = desk.broker.order("-S")
    del desk.broker.book[lost.ticket.ib_order_id]
    if first == "the watch":
        await desk.watch()
        desk.clock.advance(0.5)
    await desk.compared()
    noticed = desk.clock.now()
    while len(desk.sent_stops()) < 2:
        await desk.guard(0.5)
        assert (desk.clock.now() - noticed).total_seconds() <= 2.0
    for _ in range(4):
        await desk.guard(5)
        await desk.watch()
        await desk.compared()
    assert desk.sent_stops() == [100, 100]
    assert desk.broker.order("-S").ticket.oca_group == lost.ticket.oca_group  # should the first one be there, it shrinks with it
    await desk.manager.drain()
    assert position.protection.bare_since is None
