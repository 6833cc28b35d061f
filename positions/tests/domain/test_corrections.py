"""Corrections and busts from end to end: the order's state, the position, its stop and the P&L follow the highest revision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from events.order import FillEvent, OrderEvent, OrderRole, OrderSide, OrderState, OrderStatusEvent
from events.position import PositionStatus
from positions.domain.order import Order
from positions.domain.ports import CommissionReport
from positions.domain.position import Position
from positions.tests.domain.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


async def settled(desk: Desk) -> None:
    """As the worker does it: a reading when one is asked for, a second one when that is needed, and time for the exits."""
    for _ in range(4):
        await desk.wait(3)
        first = await desk.broker.snapshot()
        report = await desk.manager.reconcile(first)
        if report.needs_second:
            desk.clock.advance(10)
            report = await desk.manager.reconcile(first, await desk.broker.snapshot())
        assert report.ok, report
    await desk.wait(3)
    assert not desk.manager.needs_reconcile  # nothing goes on asking


def at_the_broker(desk: Desk, role: str) -> float:
    """Shares that resting orders of this role ("-S", "-T", "-X") would still close."""
    book = desk.broker.book.values()
    return sum(order.remaining for order in book if order.live and order.ticket.order_ref.endswith(role))


def held(desk: Desk) -> list[float]:
    return [position.held for position in desk.tracker.active()]


def gross(desk: Desk) -> float:
    """What all rows of executions that count say was realized."""
    return sum(realized(desk).values())


def realized(desk: Desk) -> dict[str, float]:
    """Base id → what its row says, for the executions that count: as the store keeps them."""
    revisions: dict[str, int] = {}
    kept: dict[str, float] = {}
    for event in desk.said(OrderEvent):
        if isinstance(event, FillEvent):
            base, _, revision = event.fill_id.rpartition(".")
            if int(revision) >= revisions.get(base, 0):
                revisions[base] = int(revision)
                kept[base] = 0.0 if event.metadata["busted"] else event.realized_pnl
        elif "realized" in event.metadata:
            base, _, revision = event.metadata["realized"]["exec_id"].rpartition(".")
            assert int(revision) == revisions[base]
            kept[base] = event.metadata["realized"]["realized_pnl"]
    return kept


def entry(desk: Desk) -> Order:
    return desk.ours(OrderRole.ENTRY)


@pytest.mark.parametrize("heard", ["live", "only by a reading", "by the next worker"])
async def test_a_lowered_entry_is_over_with_what_remains_and_its_stop_shrinks(desk: Desk, heard: str) -> None:
    position = await desk.held()
    desk.broker.mute = heard != "live"
    desk.broker.correct(0, quantity=90)
    desk.broker.mute = False
    if heard == "by the next worker":
        desk = await desk.restarted()
    elif heard == "live":
        await desk.manager.drain()
        assert entry(desk).state is OrderState.IN_DOUBT
        assert desk.manager.needs_reconcile
        await desk.wait(2)  # the stop does not wait for the reading
        assert at_the_broker(desk, "-S") == at_the_broker(desk, "-T") == 90
    await settled(desk)
    assert (entry(desk).state, entry(desk).filled_quantity, entry(desk).code) == (OrderState.CANCELED, 90, "corrected")
    assert desk.tracker.position(position.position_id).held == 90
    assert at_the_broker(desk, "-S") == at_the_broker(desk, "-T") == 90
    assert desk.broker.held() == {"AAPL": 90}


async def test_a_raised_entry_is_held_and_protected_whole(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.correct(0, quantity=110)
    await desk.manager.drain()
    await settled(desk)
    assert (entry(desk).state, entry(desk).overfilled, position.held) == (OrderState.FILLED, True, 110)
    assert at_the_broker(desk, "-S") == 110


async def test_one_sided_corrections_that_add_up_leave_the_order_filled(desk: Desk) -> None:
    order = await desk.entered()
    for quantity in (60, 40):
        desk.broker.fill(desk.broker.book[order.ib_order_id], quantity, 100.0)
    desk.broker.correct(0, quantity=50)
    desk.broker.correct(1, quantity=50, price=101.0)
    await desk.manager.drain()
    assert (order.state, order.filled_quantity, order.taken_back) == (OrderState.FILLED, 100, 0)
    assert order.average_price == 100.5


async def test_a_later_correction_that_gives_back_what_was_taken_fills_the_order_again(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.correct(0, quantity=90)
    await desk.manager.drain()
    await settled(desk)
    desk.broker.correct(0, quantity=100)
    await desk.manager.drain()
    await settled(desk)
    assert (entry(desk).state, position.held, at_the_broker(desk, "-S")) == (OrderState.FILLED, 100, 100)


async def test_a_partly_filled_entry_goes_on_working_without_doubt(desk: Desk) -> None:
    """IB's own count still holds the ten shares it took back; that is no missing execution."""
    order = await desk.entered()
    resting = desk.broker.book[order.ib_order_id]
    desk.broker.fill(resting, 60, 100.0)
    desk.broker.correct(0, quantity=50)
    await desk.manager.drain()
    await settled(desk)
    desk.broker.say(resting)
    await desk.manager.drain()
    await desk.wait(8)
    assert (order.state, order.filled_quantity, order.short_since) == (OrderState.WORKING, 50, None)
    desk.broker.fill(resting, 40, 100.0)
    await desk.manager.drain()
    await settled(desk)
    assert (order.state, order.filled_quantity, held(desk), at_the_broker(desk, "-S")) == (OrderState.CANCELED, 90, [90], 90)


async def test_an_order_that_the_broker_works_on_again_is_working(desk: Desk) -> None:
    position = await desk.held()
    resting = desk.broker.book[entry(desk).ib_order_id]
    desk.broker.correct(0, quantity=90)
    resting.filled, resting.status = 90, "Submitted"
    await desk.manager.drain()
    await settled(desk)
    assert (entry(desk).state, entry(desk).remaining_quantity) == (OrderState.WORKING, 10)
    desk.broker.fill(resting, 10, 100.0)
    await desk.manager.drain()
    await settled(desk)
    assert (entry(desk).state, position.held, at_the_broker(desk, "-S")) == (OrderState.FILLED, 100, 100)


@pytest.mark.parametrize("closing", [False, True])
async def test_a_bust_of_the_only_fill_ends_order_and_position_and_nothing_rests(desk: Desk, closing: bool) -> None:
    position = await desk.held()
    if closing:
        await desk.manager.close_position(position.position_id)
        await desk.manager.drain()
    desk.broker.correct(0, bust=True)
    await desk.manager.drain()
    assert position.held == 0
    await settled(desk)
    assert (entry(desk).state, entry(desk).filled_quantity) == (OrderState.CANCELED, 0)
    assert (position.status, position.realized_pnl, held(desk)) == (PositionStatus.CLOSED, 0.0, [])
    assert not [order for order in desk.broker.book.values() if order.live]


async def test_a_bust_of_one_of_several_leaves_the_others(desk: Desk) -> None:
    order = await desk.entered()
    for quantity in (60, 40):
        desk.broker.fill(desk.broker.book[order.ib_order_id], quantity, 100.0)
    await desk.manager.drain()
    desk.broker.correct(1, bust=True)
    await desk.manager.drain()
    await settled(desk)
    assert (order.state, held(desk), at_the_broker(desk, "-S")) == (OrderState.CANCELED, [60], 60)
    assert desk.tracker.active()[0].commission == 1.0  # the busted one costs nothing


async def sold(desk: Desk, quantity: float = 100, price: float = 94.0) -> Position:
    position = await desk.held()
    desk.broker.fill(desk.broker.order("-S"), quantity, price)
    await desk.manager.drain()
    await desk.wait(3)
    return position


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_lowered_exit_reopens_its_position_with_the_rest_and_its_stop(desk: Desk, restarted: bool) -> None:
    first = await sold(desk)
    if restarted:
        desk = await desk.restarted()
    desk.broker.correct(1, quantity=90)
    await desk.manager.drain()
    await settled(desk)
    [again] = desk.tracker.active()
    assert (again.position_id, again.close_time) == (first.position_id, None)
    assert (again.held, again.entry_price, again.stop_loss, again.take_profit) == (10, 100.0, 95.0, 110.0)
    assert desk.manager.unmeant == []
    assert at_the_broker(desk, "-S") == at_the_broker(desk, "-T") == 10
    assert gross(desk) == pytest.approx(-540.0)
    stops = [order for order in desk.manager.orders.values() if order.role is OrderRole.STOP]
    assert [order.state for order in stops] == [OrderState.CANCELED, OrderState.HELD]

    desk.broker.correct(1, quantity=100)  # and a second correction takes back what the first one gave
    await desk.manager.drain()
    await settled(desk)
    assert (held(desk), again.status, again.realized_pnl) == ([], PositionStatus.CLOSED, pytest.approx(-602.0))
    assert gross(desk) == pytest.approx(-600.0)
    assert at_the_broker(desk, "-S") == at_the_broker(desk, "-T") == 0


async def test_a_busted_close_is_one_trade_with_one_result(desk: Desk) -> None:
    """Sold at a loss, taken back, and sold again at a gain: what was taken back is no losing trade."""
    first = await sold(desk)
    assert first.realized_pnl == pytest.approx(-602.0)
    desk.broker.correct(1, bust=True)
    await desk.manager.drain()
    await settled(desk)
    assert (desk.tracker.closed(), desk.tracker.active()) == ([], [first])
    desk.broker.fill(next(o for o in desk.broker.book.values() if o.live and o.ticket.order_ref.endswith("-T")), 100, 110.0)
    await desk.manager.drain()
    assert [position.position_id for position in desk.tracker.closed()] == [first.position_id]
    assert first.realized_pnl == pytest.approx(998.0)


async def test_a_correction_and_a_bust_of_another_day_keep_the_time_of_the_execution(desk: Desk) -> None:
    position = await desk.held()
    executed = desk.broker.executions[0].time
    desk.clock.advance(86_400)
    desk.broker.mute = True
    for corrected in (True, False):
        report = desk.broker.correct(0, price=101.0) if corrected else desk.broker.correct(0, bust=True)
        desk.manager.on_execution(replace(report, time=desk.clock.now()))  # by the clock of the correction
    await desk.manager.drain()
    assert len(desk.said(FillEvent)) == 3
    assert {fill.fill_time for fill in desk.said(FillEvent)} == {executed}
    assert {fill.at for fill in position.fills} == {executed}


async def test_a_raised_exit_turns_around_and_the_short_has_a_stop_above(desk: Desk) -> None:
    first = await sold(desk)
    desk.broker.correct(1, quantity=110)
    await desk.manager.drain()
    await settled(desk)
    [short] = desk.tracker.active()
    assert (short.held, short.entry_price, short.stop_loss) == (-10, 94.0, 99.0)  # five away, as the first one
    assert at_the_broker(desk, "-S") == 10
    assert desk.broker.held() == {"AAPL": -10}
    assert first.realized_pnl == pytest.approx(-602.0)


async def test_a_bust_of_the_whole_exit_gives_the_position_back(desk: Desk) -> None:
    await sold(desk)
    desk.broker.correct(1, bust=True)
    await desk.manager.drain()
    await settled(desk)
    assert (held(desk), at_the_broker(desk, "-S"), gross(desk)) == ([100], 100, 0.0)
    assert desk.tracker.closed() == []  # the same trade goes on
    assert desk.broker.held() == {"AAPL": 100}


async def test_a_bust_of_an_entry_that_was_sold_again_leaves_the_sale_as_a_short(desk: Desk) -> None:
    await sold(desk)
    desk.broker.correct(0, bust=True)
    await desk.manager.drain()
    await settled(desk)
    [short] = desk.tracker.active()
    assert (short.held, short.entry_price, short.stop_loss) == (-100, 94.0, 99.0)
    assert desk.broker.held() == {"AAPL": -100}
    assert gross(desk) == 0  # a sale of nothing opens, and realizes nothing


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_exit_that_sold_too_much_and_is_lowered_takes_the_short_back(desk: Desk, restarted: bool) -> None:
    """One execution is in two positions: the correction must find the one that met it first."""
    first = await desk.held()
    stop = desk.broker.order("-S")
    stop.quantity = 110  # whatever the reason, the broker sold more than it should
    desk.broker.fill(stop, 110, 94.0)
    await desk.manager.drain()
    [short] = desk.tracker.active()
    assert (first.status, short.held, gross(desk)) == (PositionStatus.CLOSED, -10, pytest.approx(-600.0))
    before = desk.said(OrderEvent)
    if restarted:
        desk = await desk.restarted()
        desk.events[:0] = before
    desk.broker.correct(1, quantity=100)
    await desk.manager.drain()
    await settled(desk)
    assert (held(desk), desk.broker.held()) == ([], {})
    assert gross(desk) == pytest.approx(-600.0)
    assert not [order for order in desk.broker.book.values() if order.live]


async def test_a_bust_of_a_part_leaves_the_sale_with_what_the_rest_gives(desk: Desk) -> None:
    order = await desk.entered()
    for quantity in (60, 40):
        desk.broker.fill(desk.broker.book[order.ib_order_id], quantity, 100.0)
    desk.broker.fill(desk.broker.order("-S"), 100, 94.0)
    await desk.manager.drain()
    assert gross(desk) == pytest.approx(-600.0)
    desk.broker.correct(1, bust=True)
    await desk.manager.drain()
    await settled(desk)
    [short] = desk.tracker.active()
    assert (short.held, short.entry_price) == (-40, 94.0)  # at the price of the sale, not of what was taken back
    assert gross(desk) == pytest.approx(-360.0)
    desk.broker.fill(desk.broker.order("-S"), 40, 99.0)  # the short's own stop
    await desk.manager.drain()
    assert gross(desk) == pytest.approx(-560.0)
    summary = await desk.tracker.get_position_summary()
    assert summary["total_realized_pnl_today"] == pytest.approx(-560.0 - 3)  # and three fees: what was taken back costs nothing
    assert summary["total_realized_pnl"] == pytest.approx(summary["total_realized_pnl_today"])


async def test_a_bust_that_is_taken_back_books_the_old_result_again(desk: Desk) -> None:
    await sold(desk)
    desk.broker.correct(0, bust=True)
    await desk.manager.drain()
    assert gross(desk) == 0
    desk.broker.correct(0, price=101.0)
    await desk.manager.drain()
    await settled(desk)
    assert (held(desk), gross(desk)) == ([], pytest.approx(-700.0))


async def test_the_next_worker_books_over_what_an_earlier_one_has_booked(desk: Desk) -> None:
    await sold(desk)
    before = desk.said(OrderEvent)
    desk = await desk.restarted()
    desk.events[:0] = before
    desk.broker.correct(0, bust=True)
    await desk.manager.drain()
    await settled(desk)
    assert (gross(desk), held(desk)) == (0, [-100])
    booked = len([event for event in desk.said(OrderEvent) if "realized" in event.metadata])
    await settled(desk)
    assert len([event for event in desk.said(OrderEvent) if "realized" in event.metadata]) == booked == 1  # said once


async def test_a_bust_of_an_entry_that_was_sold_in_part_leaves_no_order_of_its_side(desk: Desk) -> None:
    """What rests for the long side would sell still more."""
    first = await desk.held()
    desk.broker.fill(desk.broker.order("-T"), 60, 110.0)
    await desk.manager.drain()
    desk.broker.correct(0, bust=True)
    await desk.manager.drain()
    await settled(desk)
    assert first.status is PositionStatus.CLOSED
    [short] = desk.tracker.active()
    assert (short.held, short.entry_price, short.stop_loss, short.take_profit) == (-60, 110.0, 115.0, None)
    [resting] = [order for order in desk.broker.book.values() if order.live]
    assert (resting.ticket.side, resting.remaining, resting.ticket.stop_price) == (OrderSide.BUY, 60, 115.0)
    assert desk.broker.held() == {"AAPL": -60}


async def test_an_entry_heard_after_the_sale_of_it_brings_back_what_the_sale_opened(desk: Desk) -> None:
    """IB works the entry again after the bust: what its shares are sold by already closes with it, and nobody holds both sides."""
    position = await desk.held()
    desk.broker.correct(0, bust=True)
    await desk.manager.drain()
    entry_at_ib, target = desk.broker.book[entry(desk).ib_order_id], desk.broker.order("-T")
    entry_at_ib.filled, entry_at_ib.status = 0, "Submitted"
    desk.broker.mute = True
    target.ticket = replace(target.ticket, parent_ib_order_id=0)
    desk.broker.fill(target, 100, 110.0)
    desk.broker.mute = False
    await desk.manager.reconcile(await desk.broker.snapshot())
    assert held(desk) == [0, -100]
    desk.broker.fill(entry_at_ib, 100, 100.0)
    await desk.manager.drain()
    await settled(desk)
    assert (held(desk), desk.broker.held()) == ([], {})
    assert position.status is PositionStatus.CLOSED
    assert not [order for order in desk.broker.book.values() if order.live]


async def test_a_corrected_price_moves_the_result_of_what_was_sold_since(desk: Desk) -> None:
    await sold(desk)
    desk.broker.correct(0, price=101.0)
    await desk.manager.drain()
    assert list(realized(desk).values()) == [0, pytest.approx(-700.0)]  # the sale realized it, on the day of the sale


async def test_the_third_revision_may_come_before_the_second(desk: Desk) -> None:
    position = await desk.held()
    old = desk.broker.executions[0]
    base = old.exec_id.rpartition(".")[0]
    desk.broker.mute = True
    third = desk.broker.correct(0, quantity=80)
    third = desk.broker.executions[0] = replace(third, exec_id=f"{base}.03")
    desk.broker.mute = False
    for report in (third, replace(old, exec_id=f"{base}.02", quantity=95), old):
        desk.manager.on_execution(report)
    await desk.manager.drain()
    await settled(desk)
    assert (position.held, entry(desk).filled_quantity, at_the_broker(desk, "-S")) == (80, 80, 80)
    assert len(desk.said(FillEvent)) == 2


async def test_the_fee_of_a_replaced_revision_is_no_news(desk: Desk) -> None:
    """Each reading repeats the fees of every revision: the books must not swing between them."""
    position = await desk.held()
    old, new = desk.broker.executions[0].exec_id, desk.broker.correct(0, price=100.5).exec_id
    await desk.manager.drain()
    assert position.commission == 1.0  # until its own is told
    for exec_id, amount in ((new, 1.5), (old, 1.0), (new, 1.5)):
        desk.manager.on_commission(CommissionReport(exec_id=exec_id, commission=amount, currency="USD", received_at=desk.clock.now()))
    await desk.manager.drain()
    told = [event.metadata["commission"] for event in desk.said(OrderStatusEvent) if "commission" in event.metadata]
    assert [(fee["exec_id"], fee["commission"]) for fee in told] == [(old, 1.0), (new, 1.5)]
    assert (position.commission, entry(desk).commission) == (1.5, 1.5)


async def test_the_fee_of_the_first_revision_that_comes_late_is_booked_on_the_one_that_counts(desk: Desk) -> None:
    desk.broker.mute = True
    position = await desk.held()
    old = desk.broker.executions[0]
    desk.manager.on_execution(old)
    new = desk.broker.correct(0, price=100.5)
    desk.manager.on_execution(new)
    desk.manager.on_commission(CommissionReport(exec_id=old.exec_id, commission=1.0, currency="USD", received_at=desk.clock.now()))
    await desk.manager.drain()
    told = [event.metadata["commission"]["exec_id"] for event in desk.said(OrderStatusEvent) if "commission" in event.metadata]
    assert (told, position.commission) == ([new.exec_id], 1.0)
