"""What was heard while an exit's row was being written counts before the exit leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from events.order import OrderRole, OrderState
from events.position import PositionStatus
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.ports import OrderTicket
from positions.tests.domain.desk import Desk
from positions.tests.domain.naive_broker import Resting


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


def while_written(desk: Desk, happens: Callable[[], object]) -> None:
    """Let it happen at the broker during the next commit."""
    commit = desk.manager.core.commit

    async def slow() -> None:
        desk.manager.core.commit = commit
        await commit()
        happens()

    desk.manager.core.commit = slow


def exits_sent(desk: Desk) -> list[OrderTicket]:
    return [ticket for what, ticket in desk.broker.wire if what == "send" and ticket.order_ref.endswith("-X")]


async def test_an_exit_whose_stop_filled_while_it_was_written_never_leaves(desk: Desk) -> None:
    position = await desk.held()
    while_written(desk, lambda: desk.broker.fill(desk.broker.order("-S"), 100, 95.0))
    answer = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(answer, Denied)
    assert answer.code == "nothing_left"
    assert (position.status, desk.broker.held()) == (PositionStatus.CLOSED, {})
    assert exits_sent(desk) == []
    exit_order = desk.ours(OrderRole.EXIT)
    assert (exit_order.state, exit_order.code) == (OrderState.CANCELED, "nothing_left")
    await desk.wait(5)
    assert desk.tracker.active() == []


async def test_one_whose_stop_filled_in_part_leaves_with_the_rest(desk: Desk) -> None:
    position = await desk.held()
    while_written(desk, lambda: desk.broker.fill(desk.broker.order("-S"), 30, 95.0))
    answer = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(answer, Order)
    assert (answer.quantity, position.status) == (70, PositionStatus.CLOSING)
    [ticket] = exits_sent(desk)
    assert ticket.quantity == 70
    desk.broker.fill(desk.broker.order("-X"), 70, 94.9)
    await desk.manager.drain()
    assert (position.status, desk.broker.held()) == (PositionStatus.CLOSED, {})


async def test_a_smaller_exit_is_written_down_before_it_leaves(desk: Desk) -> None:
    position = await desk.held()

    def in_part_and_the_disk_fills_up() -> None:
        desk.broker.fill(desk.broker.order("-S"), 30, 95.0)
        desk.commit_fails = True

    while_written(desk, in_part_and_the_disk_fills_up)
    answer = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(answer, Denied)
    assert answer.code == "not_durable"
    assert exits_sent(desk) == []
    desk.commit_fails = False
    again = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(again, Order)
    assert again.quantity == 70


async def test_what_fills_during_that_second_writing_counts_too(desk: Desk) -> None:
    position = await desk.held()

    def twice() -> None:
        desk.broker.fill(desk.broker.order("-S"), 30, 95.0)
        while_written(desk, lambda: desk.broker.fill(desk.broker.order("-S"), 50, 95.0))

    while_written(desk, twice)
    answer = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(answer, Order)
    assert [ticket.quantity for ticket in exits_sent(desk)] == [20]


async def test_other_news_of_that_moment_changes_nothing(desk: Desk) -> None:
    position = await desk.held()
    other = await desk.entered(symbol="MSFT", quantity=10)
    while_written(desk, lambda: desk.broker.fill(desk.broker.book[other.ib_order_id], 10, 100.0))
    answer = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(answer, Order)
    assert [ticket.quantity for ticket in exits_sent(desk)] == [100]
    assert desk.tracker.position(other.position_id).held == 10


async def test_a_flatten_closes_what_is_left_of_every_position(desk: Desk) -> None:
    """One position ends by itself while the exit of another is written: the first still leaves, and nothing trades twice."""
    first = await desk.held(quantity=40)
    second = await desk.held(symbol="MSFT", quantity=50)
    stop = next(order for order in desk.broker.book.values() if order.ticket.order_ref.endswith("-S") and order.remaining == 50)
    while_written(desk, lambda: desk.broker.fill(stop, 50, 95.0))
    await desk.manager.flatten_all("by hand")
    assert [ticket.quantity for ticket in exits_sent(desk)] == [40]
    assert (first.status, second.status) == (PositionStatus.CLOSING, PositionStatus.CLOSED)


async def test_a_new_stop_is_no_larger_than_what_is_left(desk: Desk) -> None:
    """A target that fills while its position's new stop is written: the stop would open the other side."""
    position = await desk.held()
    desk.broker._end(desk.broker.order("-S"))
    await desk.manager.drain()
    while_written(desk, lambda: desk.broker.fill(desk.broker.order("-T"), 60, 110.0))
    await desk.wait(4)
    stops = [ticket for what, ticket in desk.broker.wire if what == "send" and ticket.order_ref.endswith("-S")]
    assert (stops[-1].quantity, position.held) == (40, 40)


async def test_an_order_that_is_heard_of_while_another_is_sent_again_is_neither_sent_again_nor_ended(desk: Desk) -> None:
    """Both were proven absent; the row of the first is written down, and in that moment the broker speaks of the second."""
    position = await desk.held()
    desk.broker.deaf = True
    exit_order = await desk.manager.close_position(position.position_id, reason="by hand")
    desk.quote("MSFT")
    entry = await desk.manager.submit(desk.intent(symbol="MSFT", quantity=10, expires_at=desk.clock.now() + timedelta(seconds=60)))
    assert isinstance(exit_order, Order)
    assert isinstance(entry, Order)
    desk.broker.deaf, desk.broker.next_id = False, exit_order.ib_order_id  # it has used neither id
    await desk.wait(11)
    desk.quote("MSFT")
    first = await desk.broker.snapshot()
    desk.clock.advance(10)
    late = next(ticket for what, ticket in desk.broker.wire if what == "send" and ticket.order_ref == entry.order_ref)
    while_written(desk, lambda: desk.broker.say(Resting(late, 9900, late.quantity)))
    await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert len(exits_sent(desk)) == 2
    assert [ticket.order_ref for what, ticket in desk.broker.wire if what == "send"].count(entry.order_ref) == 1
    assert (entry.state, entry.perm_id, entry.anomalies) == (OrderState.WORKING, 9900, 0)
    assert [number for what, number in desk.broker.wire if what == "cancel"] == []


async def test_a_close_that_waits_is_sent_although_its_news_was_heard_by_another_section(desk: Desk) -> None:
    """The entry's end is processed by a wish about something else; the close that waited for it does not wait for the next tick."""
    order = await desk.entered()
    desk.broker.fill(desk.broker.book[order.ib_order_id], 60, 100.0)
    await desk.manager.drain()
    await desk.manager.close_position(order.position_id, reason="by hand")  # the entry is cancelled first
    await desk.manager.cancel_order("nothing of ours")
    assert exits_sent(desk) == []
    await desk.manager.drain()
    assert [ticket.quantity for ticket in exits_sent(desk)] == [60]


async def test_after_a_lost_link_no_exit_leaves_before_the_broker_was_read(desk: Desk) -> None:
    """The stop filled while nobody listened. Neither a close nor a new stop trades it again; a cancel may leave at once."""
    position = await desk.held()
    stop = desk.broker.order("-S")
    entry = await desk.entered(symbol="MSFT", quantity=10)
    desk.broker.mute = True
    desk.broker.fill(stop, 100, 95.0)
    desk.broker.mute = False
    desk.manager.link_lost()
    answer = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(answer, Denied)
    assert answer.code == "link_down"
    assert isinstance(await desk.manager.cancel_order(entry.order_id), Order)
    await desk.wait(5)
    assert exits_sent(desk) == []
    await desk.manager.reconcile(await desk.broker.snapshot())
    assert not desk.manager.behind
    assert (position.status, desk.broker.held()) == (PositionStatus.CLOSED, {})


async def test_an_exit_leaves_when_the_reading_has_been_learned(desk: Desk) -> None:
    position = await desk.held()
    desk.manager.link_lost()
    assert isinstance(await desk.manager.close_position(position.position_id), Denied)
    await desk.manager.reconcile(await desk.broker.snapshot())
    assert isinstance(await desk.manager.close_position(position.position_id), Order)
    assert [ticket.quantity for ticket in exits_sent(desk)] == [100]


async def test_a_reading_that_came_incomplete_is_none(desk: Desk) -> None:
    position = await desk.held()
    desk.manager.link_lost()
    await desk.manager.reconcile(replace(await desk.broker.snapshot(), missing=("executions",)))
    assert desk.manager.behind
    assert isinstance(await desk.manager.close_position(position.position_id), Denied)


async def test_a_fill_heard_while_the_exit_waits_for_its_turn_to_be_sent_counts_too(desk: Desk) -> None:
    """As at the real broker's: the pacer lets a message wait, and the last look comes after it."""
    position = await desk.held()
    send, fills = desk.broker.send, [30, 50]

    async def paced(tickets: list[OrderTicket]) -> None:
        if fills:
            desk.broker.fill(desk.broker.order("-S"), fills.pop(), 95.0)
        desk.manager.look_again(tickets)
        await send(tickets)

    desk.broker.send = paced  # type: ignore[method-assign, assignment]
    answer = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(answer, Order)
    assert [ticket.quantity for ticket in exits_sent(desk)] == [20]


async def test_what_is_no_new_exit_is_not_held_up_by_fills(desk: Desk) -> None:
    """An addition whose position is being closed in part by its target, and a stop that moves: both leave."""
    position = await desk.held()
    send, modify = desk.broker.send, desk.broker.modify

    async def paced(tickets: list[OrderTicket]) -> None:
        desk.broker.fill(desk.broker.order("-T"), 10, 110.0)
        desk.manager.look_again(tickets)
        await send(tickets)

    async def paced_change(ticket: OrderTicket, *, routine: bool = False) -> None:
        desk.broker.fill(desk.broker.order("-T"), 10, 110.0)
        desk.manager.look_again([ticket])
        await modify(ticket)

    desk.broker.send, desk.broker.modify = paced, paced_change  # type: ignore[method-assign, assignment]
    assert isinstance(await desk.manager.change_stop(position.position_id, 96.0), Order)
    assert isinstance(await desk.manager.scale_in(position.position_id, desk.intent(quantity=5, stop_loss=96.0, signal_id="")), Order)
