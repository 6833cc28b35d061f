"""Families and exits of which the broker has less than we wrote: what is proven, what is sent again, and that shares get their stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from events.order import OrderRole, OrderState, OrderType, PendingRequest
from events.position import PositionStatus
from positions.domain.order import Order
from positions.domain.ports import OrderTicket, PartlyWritten
from positions.tests.domain.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


def sent(desk: Desk) -> list[OrderTicket]:
    return [ticket for what, ticket in desk.broker.wire if what == "send"]


async def compare_twice(desk: Desk, *, apart: int = 11) -> None:
    first = await desk.broker.snapshot()
    await desk.manager.reconcile(first)
    await desk.wait(apart)
    desk.quote()
    await desk.manager.reconcile(first, await desk.broker.snapshot())


async def half_sent(desk: Desk, legs: int) -> Order:
    """The gateway took the first legs of a bracket and none of them was ever transmitted."""
    desk.broker.deaf = True
    entry = await desk.entered(expires_at=desk.clock.now() + timedelta(seconds=120))
    desk.broker.deaf = False
    desk.broker.next_id = entry.ib_order_id + legs
    await desk.wait(3)
    return entry


@pytest.mark.parametrize("legs", [1, 2])
async def test_a_family_without_its_transmitting_leg_has_gone_nowhere_and_is_never_sent_again(desk: Desk, legs: int) -> None:
    entry = await half_sent(desk, legs)
    await compare_twice(desk)
    family = list(desk.manager.orders.values())
    assert {(order.state, order.code) for order in family} == {(OrderState.CANCELED, "never_sent")}
    assert desk.tracker.position(entry.position_id).status is PositionStatus.CLOSED
    assert len(sent(desk)) == 3  # the used ids would be refused, and the children would stand alone
    assert [what for what in desk.broker.wire if what[0] == "cancel"] == [("cancel", entry.ib_order_id + n) for n in range(legs)]
    desk.clock.advance(5)
    await desk.manager.drain()
    assert {order.code for order in family} == {"never_sent"}  # the broker's "there is nothing to cancel" changes nothing
    assert not desk.manager.core.book.live(entry.position_id, OrderRole.ENTRY)


async def test_one_reading_proves_nothing_about_half_a_family(desk: Desk) -> None:
    entry = await half_sent(desk, 1)
    await desk.manager.reconcile(await desk.broker.snapshot())
    assert entry.state is OrderState.IN_DOUBT


async def test_a_leg_that_lies_untransmitted_in_the_gateway_is_cancelled(desk: Desk) -> None:
    entry = await desk.entered()
    desk.broker.wire.clear()
    resting = desk.broker.book[entry.ib_order_id]
    desk.clock.advance(3)
    report = replace(desk.broker._report(resting, query=True), transmit=False, status="PendingSubmit", received_at=desk.clock.now())
    desk.manager.on_order(report)
    await desk.manager.drain()
    assert ("cancel", entry.ib_order_id) in desk.broker.wire


async def test_shares_whose_stop_the_broker_does_not_show_get_one_in_the_same_group_within_seconds(desk: Desk) -> None:
    position = await desk.held()
    stop, target = desk.broker.order("-S"), desk.broker.order("-T")
    del desk.broker.book[stop.ticket.ib_order_id]  # gone without a word
    desk.clock.advance(3)
    await desk.manager.reconcile(await desk.broker.snapshot())
    assert desk.manager.orders[position.order_ids[0]].state is OrderState.FILLED
    assert [o.state for o in desk.manager.core.book.live(position.position_id, OrderRole.STOP)] == [OrderState.IN_DOUBT]
    await desk.wait(3)  # one list may be incomplete
    assert [kind for kind, sent in desk.broker.wire if kind == "send" and sent.order_ref.endswith("-S")] == ["send"]
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(2)
    another = desk.broker.order("-S")
    assert (another.ticket.order_type, another.remaining, another.ticket.stop_price) == (OrderType.STOP, 100, 95.0)
    assert another.ticket.oca_group == target.ticket.oca_group == stop.ticket.oca_group
    desk.broker.book[stop.ticket.ib_order_id] = stop  # it was there after all
    await desk.wait(12)
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(3)
    live = [o for o in desk.broker.book.values() if o.live and o.ticket.order_type is OrderType.STOP]
    assert sum(o.remaining for o in live) == 100


@pytest.mark.parametrize("swallowed", [False, True])
async def test_what_one_reading_showed_outlives_the_worker_that_took_it(desk: Desk, swallowed: bool) -> None:
    """An entry is lost; an exit with a higher id leaves between the two readings; then the worker dies. The first reading, on the
    row, tells the next worker that the id was not used before that exit was sent. Where it was used, the doubt stays."""
    held = await desk.held(symbol="MSFT")
    desk.broker.deaf = True
    entry = await desk.entered()
    desk.broker.deaf = False
    family = desk.manager.core.book.of_intent(entry.intent_id)
    desk.broker.next_id = family[-1].ib_order_id + 1 if swallowed else entry.ib_order_id
    await desk.wait(3)
    assert (await desk.manager.reconcile(await desk.broker.snapshot())).needs_second
    await desk.wait(3)
    assert isinstance(await desk.manager.close_position(held.position_id), Order)
    desk.broker.fill(desk.broker.order("-X"), 100, 100.0)
    await desk.manager.drain()
    assert desk.broker.next_id > family[-1].ib_order_id
    desk = await desk.restarted()
    await desk.wait(3)
    await compare_twice(desk)
    states = {(order.state, order.code) for order in desk.manager.core.book.of_intent(entry.intent_id)}
    assert states == ({(OrderState.IN_DOUBT, "")} if swallowed else {(OrderState.CANCELED, "never_sent")})


@pytest.mark.parametrize("legs", [1, 2, 3])
async def test_what_was_not_written_stays_proven_though_an_exit_leaves_before_any_list_was_read(desk: Desk, legs: int) -> None:
    """Sending breaks within a family, and a close takes a higher id at once. Only where all legs were written is it not known."""
    held = await desk.held(symbol="MSFT")
    desk.quote()
    send = desk.broker.send

    async def breaks(tickets: Sequence[OrderTicket]) -> None:
        desk.broker.next_id = tickets[legs - 1].ib_order_id + 1
        raise PartlyWritten("it broke", [ticket.ib_order_id for ticket in tickets[legs:]])

    desk.broker.send = breaks  # type: ignore[method-assign]
    entry = await desk.manager.submit(desk.intent())
    assert isinstance(entry, Order)
    desk.broker.send = send  # type: ignore[method-assign]
    desk.clock.advance(0.01)
    assert isinstance(await desk.manager.close_position(held.position_id), Order)
    desk.broker.fill(desk.broker.order("-X"), 100, 100.0)
    await desk.manager.drain()
    family = desk.manager.core.book.of_intent(entry.intent_id)
    assert {order.state for order in family} == {OrderState.IN_DOUBT}
    assert desk.broker.next_id > family[-1].ib_order_id
    await desk.wait(3)
    await compare_twice(desk)
    assert {(order.state, order.code) for order in family} == {
        (OrderState.IN_DOUBT, "") if legs == 3 else (OrderState.CANCELED, "never_sent")
    }
    assert entry.ib_order_id not in [ticket.ib_order_id for ticket in sent(desk)]


async def test_an_id_that_was_not_used_is_asked_about_anew_when_the_order_is_sent_again(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.deaf = True
    await desk.manager.close_position(position.position_id, intent_id="command-1")
    exit_order = desk.ours(OrderRole.EXIT)
    desk.broker.next_id = exit_order.ib_order_id
    await desk.wait(3)
    first = await desk.broker.snapshot()
    await desk.manager.reconcile(first)
    assert exit_order.unused_at == first.taken_at
    assert Order.from_dict(exit_order.to_dict()).unused_at == first.taken_at
    await desk.wait(11)
    await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert (exit_order.state, exit_order.unused_at) == (OrderState.SENDING, None)


async def test_an_exit_that_never_left_is_sent_again_while_its_wish_is_fresh(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.deaf = True
    await desk.manager.close_position(position.position_id, intent_id="command-1")
    desk.broker.deaf = False
    desk.broker.next_id = desk.ours(OrderRole.EXIT).ib_order_id
    await desk.wait(3)
    await compare_twice(desk)
    await desk.manager.drain()
    leaving = [ticket for ticket in sent(desk) if ticket.order_ref.endswith("-X")]
    assert len({(ticket.ib_order_id, ticket.order_ref) for ticket in leaving}) == 1
    assert len(leaving) == 2
    assert position.status is PositionStatus.CLOSING
    desk.broker.fill(desk.broker.order("-X"), 100, 101.0)
    await desk.manager.drain()
    assert desk.broker.held() == {}


async def test_an_exit_that_never_left_is_given_up_when_its_wish_is_old(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.deaf = True
    await desk.manager.close_position(position.position_id, intent_id="command-1")
    desk.broker.deaf = False
    desk.broker.next_id = desk.ours(OrderRole.EXIT).ib_order_id
    await desk.wait(61)
    await compare_twice(desk)
    assert desk.ours(OrderRole.EXIT).code == "never_sent"
    assert position.status is PositionStatus.OPEN
    assert desk.broker.order("-S").live


async def test_a_close_that_waits_for_its_entry_survives_a_restart(desk: Desk) -> None:
    entry = await desk.entered()
    desk.broker.fill(desk.broker.book[entry.ib_order_id], 40, 100.0)
    await desk.manager.drain()
    desk.broker.deaf = True  # the cancel gets no answer before the worker ends
    await desk.manager.close_position(entry.position_id, reason="enough", intent_id="command-5")
    desk.broker.deaf = False
    await desk.restarted()
    desk.broker._end(desk.broker.book[entry.ib_order_id])
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(2)
    leaving = desk.ours(OrderRole.EXIT)
    assert (leaving.intent_id, leaving.quantity, leaving.reason) == ("command-5", 40, "enough")
    await desk.restarted()
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(3)
    assert [o.order_id for o in desk.manager.orders.values() if o.role is OrderRole.EXIT] == [leaving.order_id]


@pytest.mark.parametrize("what", ["stop", "cancel"])
async def test_a_request_that_was_lost_on_its_way_is_repeated_once(desk: Desk, what: str) -> None:
    position = await desk.held() if what == "stop" else None
    entry = None if position is not None else await desk.entered()
    desk.broker.deaf = True
    if position is not None:
        await desk.manager.change_stop(position.position_id, 96.0)
    elif entry is not None:
        await desk.manager.cancel_order(entry.order_id)
    desk.broker.deaf = False
    await desk.restarted()
    desk.clock.advance(3)
    asked = len(desk.broker.wire)
    for _ in range(2):
        await desk.manager.reconcile(await desk.broker.snapshot())
        await desk.manager.drain()
        desk.clock.advance(3)
    assert len(desk.broker.wire) == asked + 1
    if position is not None:
        assert desk.broker.order("-S").ticket.stop_price == 96.0
    else:
        assert not desk.broker.order("-E").live
    assert all(order.pending is PendingRequest.NONE for order in desk.manager.orders.values())


async def test_a_stop_that_was_lost_beside_its_family_keeps_no_doubt_alive_once_another_protects(desk: Desk) -> None:
    desk.quote()
    send = desk.broker.send

    async def without_the_stop(tickets: list[OrderTicket]) -> None:
        await send([ticket for ticket in tickets if ticket.order_type is not OrderType.STOP])

    desk.broker.send = without_the_stop  # type: ignore[method-assign, assignment]
    entry = await desk.manager.submit(desk.intent())
    assert isinstance(entry, Order)
    desk.broker.send = send  # type: ignore[method-assign]
    lost = desk.ours(OrderRole.STOP)
    desk.broker.fill(desk.broker.book[entry.ib_order_id], 100, 100.0)
    await desk.wait(3)
    assert desk.manager.needs_reconcile == "a stop is not confirmed"  # it may rest there: nothing is sent without a look
    assert desk.ours(OrderRole.STOP) is lost
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(3)
    assert desk.ours(OrderRole.STOP) is lost  # one list may be incomplete
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(3)
    another = desk.ours(OrderRole.STOP)
    assert (lost.state, another.is_acked, another.oca_group) == (OrderState.IN_DOUBT, True, lost.oca_group)
    await desk.wait(9)
    await compare_twice(desk)
    assert (lost.state, lost.code) == (OrderState.CANCELED, "never_sent")
    await desk.wait(3)
    stops = [o for o in desk.broker.book.values() if o.live and o.ticket.order_type is OrderType.STOP]
    assert [o.remaining for o in stops] == [100]
    assert ("cancel", lost.ib_order_id) in desk.broker.wire


async def test_an_exit_heard_before_its_entry_waits_for_the_reading_that_has_both(desk: Desk) -> None:
    desk.quote()
    entry = await desk.manager.submit(desk.intent(quantity=2))
    assert isinstance(entry, Order)
    desk.broker.fill(desk.broker.book[entry.ib_order_id], 2, 95.0)
    desk.manager._hearing.queue.clear()  # lost on its way
    desk.broker.fill(desk.broker.order("-S"), 1, 95.0)
    await desk.manager.drain()
    assert desk.manager.needs_reconcile == "an exit filled more than we know to be held"
    await desk.manager.reconcile(await desk.broker.snapshot())
    [position] = desk.tracker.active()
    assert (position.position_id, position.held) == (entry.position_id, 1)
    assert [fill.quantity for fill in position.fills] == [2, -1]
    assert desk.tracker.closed() == []
