"""A stop fills in the very moment somebody closes or releases its position: what is sold twice, and what is seen of it."""

from __future__ import annotations

from typing import Any

import pytest

from events.order import FillEvent, OrderRole, OrderSide, OrderState
from events.position import PositionStatus
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.position import Position
from positions.tests.domain.desk import Desk
from positions.tests.domain.naive_broker import Resting


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


async def compared(desk: Desk, times: int = 2) -> bool:
    """As the worker does it; whether the books agree in the end."""
    ok = False
    for _ in range(times):
        desk.clock.advance(3)
        first = await desk.broker.snapshot()
        report = await desk.manager.reconcile(first)
        if report.needs_second:
            desk.clock.advance(10)
            report = await desk.manager.reconcile(first, await desk.broker.snapshot())
        await desk.wait(3)
        ok = report.ok
    return ok


def working(desk: Desk) -> list[Resting]:
    return [order for order in desk.broker.book.values() if order.live]


async def released(desk: Desk) -> tuple[Position, Resting]:
    """A position let go while the cancels of its stop and target are still on their way to the broker."""
    position = await desk.held()
    await compared(desk, 1)
    stop = desk.broker.order("-S")
    desk.broker.deaf = True
    answer = await desk.manager.release_position(position.position_id, 100, reason="sold by phone", by="ann")
    desk.broker.deaf = False
    assert isinstance(answer, Position), answer
    assert desk.manager.holdings_elsewhere == {"AAPL": 100}
    return position, stop


@pytest.mark.parametrize("heard", ["live", "only by a reading", "by the next worker"])
async def test_a_stop_that_fills_while_its_position_is_released_opens_nothing(desk: Desk, heard: str) -> None:
    position, stop = await released(desk)
    desk.broker.mute = heard != "live"
    desk.broker.fill(stop, 100, 95.0)
    desk.broker.mute = False
    if heard == "by the next worker":
        elsewhere = dict(desk.manager.holdings_elsewhere)
        desk = await desk.restarted()
        desk.manager._hearing.elsewhere = elsewhere
    await desk.manager.drain()
    assert await compared(desk)
    assert desk.tracker.active() == []
    assert desk.manager.holdings_elsewhere == {}
    assert not working(desk)
    assert desk.broker.held() == {}
    [sale] = [fill for fill in desk.said(FillEvent) if fill.side is OrderSide.SELL]
    assert (sale.position_id, sale.fill_quantity) == ("", 100)  # stored, and no position's
    assert desk.tracker.position(position.position_id).released


async def test_a_part_of_it_leaves_the_rest_elsewhere(desk: Desk) -> None:
    _, stop = await released(desk)
    desk.broker.fill(stop, 40, 95.0)
    await desk.manager.drain()
    assert desk.manager.holdings_elsewhere == {"AAPL": 60}
    desk.broker._end(stop)
    desk.broker._end(desk.broker.order("-T"))
    assert await compared(desk)
    assert (desk.tracker.active(), desk.broker.held()) == ([], {"AAPL": 60})


async def test_a_bust_of_such_a_sale_gives_the_shares_back_to_where_they_were_counted(desk: Desk) -> None:
    _, stop = await released(desk)
    desk.broker.fill(stop, 100, 95.0)
    await desk.manager.drain()
    desk.broker.correct(len(desk.broker.executions) - 1, quantity=70)
    await desk.manager.drain()
    assert desk.manager.holdings_elsewhere == {"AAPL": 30}
    desk.broker.correct(len(desk.broker.executions) - 1, bust=True)
    await desk.manager.drain()
    assert desk.manager.holdings_elsewhere == {"AAPL": 100}
    assert await compared(desk)
    assert desk.tracker.active() == []


@pytest.mark.parametrize(("revised", "left"), [({"quantity": 90}, {"AAPL": 90}), ({"quantity": 110}, {"AAPL": 110}), ({"bust": True}, {})])
async def test_a_correction_of_the_entry_corrects_the_shares_that_were_let_go(desk: Desk, revised: dict[str, Any], left: Any) -> None:
    await released(desk)
    for order in working(desk):
        desk.broker._end(order)
    desk.broker.correct(0, **revised)
    await desk.manager.drain()
    assert desk.manager.holdings_elsewhere == left
    assert await compared(desk)
    assert desk.tracker.active() == []


async def test_the_sale_that_explains_what_was_missing_when_it_was_released_changes_nothing(desk: Desk) -> None:
    position = await desk.held()
    stop = desk.broker.order("-S")
    desk.broker.mute = True
    sale = desk.broker.fill(stop, 100, 95.0)
    desk.broker.executions.remove(sale)  # no list has it yet, and the shares are gone
    desk.broker.held = dict  # type: ignore[method-assign]
    await compared(desk, 1)
    answer = await desk.manager.release_position(position.position_id, 100, reason="IB does not have it", by="ann")
    assert isinstance(answer, Position), answer
    assert desk.manager.holdings_elsewhere == {}
    desk.broker.mute = False
    desk.manager.on_execution(sale)
    await desk.manager.drain()
    assert (desk.tracker.active(), desk.manager.holdings_elsewhere) == ([], {})
    assert await compared(desk)


async def test_released_shares_are_not_taken_back_while_their_old_orders_work(desk: Desk) -> None:
    await released(desk)
    for answer in (
        await desk.manager.adopt_holding("AAPL", 100, stop_loss=94.0, reason="mine", by="ann"),
        await desk.manager.close_holding("AAPL", 100, reason="away", by="ann"),
    ):
        assert isinstance(answer, Denied)
        assert answer.code == "exits_working"
    for order in working(desk):
        desk.broker._end(order)
    await compared(desk, 1)
    adopted = await desk.manager.adopt_holding("AAPL", 100, stop_loss=94.0, reason="mine", by="ann")
    assert isinstance(adopted, Position), adopted


async def test_a_sale_beyond_what_was_let_go_is_a_position_with_a_stop(desk: Desk) -> None:
    """The shares were closed by hand, and then the old stop was filled all the same: the account is short."""
    _, stop = await released(desk)
    for order in working(desk):
        desk.broker._end(order)
    await compared(desk, 1)
    closing = await desk.manager.close_holding("AAPL", 100, reason="away", by="ann")
    assert isinstance(closing, Order), closing
    desk.broker.fill(desk.broker.order("-X"), 100, 96.0)
    await desk.manager.drain()
    stop.status = "Submitted"
    desk.broker.fill(stop, 100, 95.0)  # a late fill of what was cancelled
    await desk.manager.drain()
    assert await compared(desk)
    [short] = desk.tracker.active()
    assert (short.held, desk.broker.held()) == (-100, {"AAPL": -100})
    [protecting] = working(desk)
    assert (protecting.ticket.side, protecting.remaining, protecting.ticket.stop_price) == (OrderSide.BUY, 100, 100.0)


async def test_a_stop_that_fills_while_a_close_is_on_its_way_leaves_no_second_sale_working(desk: Desk) -> None:
    position = await desk.held()
    stop = desk.broker.order("-S")
    desk.broker.mute = True
    desk.broker.fill(stop, 100, 95.0)  # the broker's word of it is still on the wire
    desk.broker.mute = False
    exit_order = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(exit_order, Order)
    assert exit_order.oca_group == desk.ours(OrderRole.STOP).oca_group  # so that the broker itself lets only one of them sell
    desk.broker.repeat()
    await desk.manager.drain()
    assert position.status is PositionStatus.CLOSED
    again = await desk.manager.close_position(position.position_id)
    assert isinstance(again, Denied)
    await desk.wait(3)
    assert not working(desk)
    assert len([kind for kind, ticket in desk.broker.wire if kind == "send" and ticket.order_ref.endswith("-X")]) == 1


async def test_a_second_sale_that_filled_all_the_same_is_a_short_with_a_stop(desk: Desk) -> None:
    position = await desk.held()
    stop = desk.broker.order("-S")
    desk.broker.mute = True
    desk.broker.fill(stop, 100, 95.0)
    desk.broker.mute = False
    await desk.manager.close_position(position.position_id, reason="by hand")
    desk.broker.fill(desk.broker.order("-X"), 100, 94.5)
    desk.broker.repeat()
    await desk.manager.drain()
    assert await compared(desk)
    [short] = desk.tracker.active()
    assert (short.held, desk.broker.held()) == (-100, {"AAPL": -100})
    [protecting] = working(desk)
    assert (protecting.ticket.side, protecting.remaining) == (OrderSide.BUY, 100)
    assert desk.manager.unmeant == [short]  # which is an alarm
    again = await desk.restarted()
    assert [position.position_id for position in again.manager.unmeant] == [short.position_id]


async def test_nothing_is_closed_that_the_broker_does_not_hold_any_more(desk: Desk) -> None:
    """No execution says so yet, but its last list does: one more sale would open the other side."""
    position = await desk.held()
    for order in working(desk):
        desk.broker._end(order)
    await desk.manager.drain()
    desk.broker.held = dict  # type: ignore[method-assign]
    first = await desk.broker.snapshot()
    desk.clock.advance(3)
    await desk.manager.reconcile(first)
    answer = await desk.manager.close_position(position.position_id, reason="by hand")
    assert isinstance(answer, Denied)
    assert answer.code == "not_at_the_broker"
    assert desk.manager.needs_reconcile
    del desk.broker.held
    await compared(desk, 1)
    assert isinstance(await desk.manager.close_position(position.position_id, reason="by hand"), Order)


async def test_a_part_that_waits_for_a_smaller_stop_never_leaves_once_its_position_is_released(desk: Desk) -> None:
    position = await desk.held()
    await compared(desk, 1)
    desk.broker.mute = True  # the smaller stop is not confirmed yet
    part = await desk.manager.close_position(position.position_id, 40)
    assert isinstance(part, Order)
    assert part.state is OrderState.PLANNED
    answer = await desk.manager.release_position(position.position_id, 100, reason="sold by phone", by="ann")
    assert not isinstance(answer, Denied)
    assert (part.state, part.message) == (OrderState.DENIED, "its position was released")
    desk.broker.mute = False
    desk.broker.repeat()
    await desk.manager.drain()
    await desk.wait(10)
    assert [ticket for what, ticket in desk.broker.wire if what == "send" and ticket.order_ref == part.order_ref] == []
