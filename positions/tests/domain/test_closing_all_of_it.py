"""A close of all of it means all of it: also while a part is leaving, and where a list of the broker's was old."""

from __future__ import annotations

import pytest

from events.order import OrderRole, OrderState
from events.position import PositionStatus
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.ports import OrderTicket
from positions.tests.domain.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


def exits_sent(desk: Desk) -> list[OrderTicket]:
    return [ticket for what, ticket in desk.broker.wire if what == "send" and ticket.order_ref.endswith("-X")]


async def part_leaving(desk: Desk) -> Order:
    """40 of 100 are at the market and not filled yet."""
    position = await desk.held()
    part = await desk.manager.close_position(position.position_id, 40)
    assert isinstance(part, Order)
    await desk.manager.drain()
    assert part.is_live
    return part


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_a_part_leaves_behind_is_closed_when_the_part_is_out(desk: Desk, restarted: bool) -> None:
    part = await part_leaving(desk)
    await desk.manager.flatten_all("by hand")
    assert [ticket.quantity for ticket in exits_sent(desk)] == [40]
    if restarted:
        desk = await desk.restarted()
        picture = await desk.broker.snapshot()
        await desk.manager.reconcile(picture)
    desk.broker.fill(desk.broker.book[part.ib_order_id], 40, 100.0)
    await desk.manager.drain()
    assert [ticket.quantity for ticket in exits_sent(desk)] == [40, 60]
    desk.broker.fill(desk.broker.order("-X"), 60, 100.0)
    await desk.manager.drain()
    assert desk.broker.held() == {}
    assert desk.tracker.active() == []
    await desk.wait(5)
    assert len(exits_sent(desk)) == 2


async def test_a_close_of_all_of_it_asked_twice_is_one_exit_for_the_rest(desk: Desk) -> None:
    part = await part_leaving(desk)
    for _ in range(2):
        assert await desk.manager.close_position(part.position_id, intent_id="command-1") is part
    desk.broker.fill(desk.broker.book[part.ib_order_id], 40, 100.0)
    await desk.manager.drain()
    assert [ticket.quantity for ticket in exits_sent(desk)] == [40, 60]
    assert await desk.manager.close_position(part.position_id, intent_id="command-1") is desk.ours(OrderRole.EXIT)


async def test_a_part_that_has_not_left_gives_way(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.mute = True  # the smaller stop is not confirmed, so the part waits
    part = await desk.manager.close_position(position.position_id, 40)
    assert isinstance(part, Order)
    assert part.state is OrderState.PLANNED
    desk.broker.mute = False
    whole = await desk.manager.close_position(position.position_id)
    assert isinstance(whole, Order)
    assert (part.state, part.message) == (OrderState.DENIED, "the whole position is closed instead")
    desk.broker.repeat()
    await desk.manager.drain()
    await desk.wait(3)
    assert [ticket.quantity for ticket in exits_sent(desk)] == [100]
    desk.broker.fill(desk.broker.order("-X"), 100, 100.0)
    await desk.manager.drain()
    assert (position.status, desk.broker.held()) == (PositionStatus.CLOSED, {})


async def test_a_close_waits_for_the_link_too(desk: Desk) -> None:
    part = await part_leaving(desk)
    await desk.manager.flatten_all("by hand")
    desk.broker.fill(desk.broker.book[part.ib_order_id], 40, 100.0)
    desk.broker.down = True
    await desk.manager.drain()
    await desk.wait(20)
    assert [ticket.quantity for ticket in exits_sent(desk)] == [40]
    desk.broker.down = False
    await desk.wait(1)
    assert [ticket.quantity for ticket in exits_sent(desk)] == [40, 60]


async def test_a_close_that_was_refused_is_not_tried_by_a_later_worker(desk: Desk) -> None:
    part = await part_leaving(desk)
    await desk.manager.flatten_all("by hand")
    assert part.close_after
    desk.broker.fill(desk.broker.book[part.ib_order_id], 40, 100.0)
    desk.manager.core.risk.check = lambda intent, context: Denied(code="halted", message="Not now.")  # type: ignore[method-assign]
    await desk.manager.drain()
    assert part.close_after == {}
    again = await desk.restarted()
    await again.manager.reconcile(await again.broker.snapshot())
    await again.wait(3)
    assert [ticket.quantity for ticket in exits_sent(again)] == [40]


async def unlisted(desk: Desk) -> str:
    """A position whose shares the broker's last list does not show, though they are there."""
    position = await desk.held()
    desk.broker.held = dict  # type: ignore[method-assign]
    picture = await desk.broker.snapshot()
    del desk.broker.held
    desk.clock.advance(3)
    await desk.manager.reconcile(picture)
    return position.position_id


async def test_flattening_by_an_old_list_goes_on_when_it_was_read_again(desk: Desk) -> None:
    position = desk.tracker.position(await unlisted(desk))
    [answer] = await desk.manager.flatten_all("by hand")
    assert isinstance(answer, Denied)
    assert answer.code == "not_at_the_broker"
    assert "read again" in answer.what_to_do
    assert desk.manager.needs_reconcile
    await desk.wait(3)
    assert exits_sent(desk) == []
    await desk.manager.reconcile(await desk.broker.snapshot())
    assert [ticket.quantity for ticket in exits_sent(desk)] == [100]
    assert position.status is PositionStatus.CLOSING


async def test_shares_that_no_list_shows_for_a_minute_are_not_sold_later(desk: Desk) -> None:
    await unlisted(desk)
    await desk.manager.flatten_all("by hand")
    await desk.wait(61)
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(3)
    assert exits_sent(desk) == []


async def test_a_position_that_ended_by_itself_meanwhile_is_no_refusal_of_a_flatten(desk: Desk) -> None:
    await desk.held()
    commit = desk.manager.core.commit

    async def slow() -> None:
        desk.manager.core.commit = commit
        await commit()
        desk.broker.fill(desk.broker.order("-S"), 100, 95.0)

    desk.manager.core.commit = slow
    assert await desk.manager.flatten_all("by hand") == []
    assert (desk.broker.held(), exits_sent(desk)) == ({}, [])
