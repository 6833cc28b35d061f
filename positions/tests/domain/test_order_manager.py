"""The order manager against a naive broker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from events.order import CancelEvent, FillEvent, NewOrderEvent, OrderRole, OrderSide, OrderState, PendingRequest, RejectEvent
from events.position import PositionCloseEvent, PositionOpenEvent, PositionStatus
from events.system import ProtectionEvent
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.ports import ErrorReport, NothingWritten, OrderTicket, PositionReport
from positions.domain.risk import TradingState
from positions.tests.domain.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


def sent(desk: Desk) -> list[OrderTicket]:
    return [ticket for what, ticket in desk.broker.wire if what == "send"]


async def test_a_bracket_leaves_as_one_family_whose_last_order_transmits(desk: Desk) -> None:
    await desk.entered()
    entry, stop, target = sent(desk)
    assert [t.transmit for t in (entry, stop, target)] == [False, False, True]
    assert stop.parent_ib_order_id == target.parent_ib_order_id == entry.ib_order_id
    assert stop.oca_group == target.oca_group != ""
    assert entry.oca_group == ""
    assert (stop.stop_price, target.limit_price) == (95.0, 110.0)
    assert stop.time_in_force.value == target.time_in_force.value == "gtc"
    assert all(len(t.order_ref) <= 32 for t in (entry, stop, target))


async def test_every_row_is_durable_with_its_ids_before_the_socket_is_written(desk: Desk) -> None:
    written: list[set[str]] = []
    send = desk.broker.send

    async def watch(tickets: list[OrderTicket]) -> None:
        written.append(set(desk.durable))
        await send(tickets)

    desk.broker.send = watch  # type: ignore[method-assign, assignment]
    await desk.entered()
    assert written == [set(desk.manager.orders)]
    assert all(event.order_data["ib_order_id"] and event.status is OrderState.SENDING for event in desk.said(NewOrderEvent))


async def test_nothing_is_sent_when_the_journal_fails(desk: Desk) -> None:
    desk.commit_fails = True
    desk.quote()
    denied = await desk.manager.submit(desk.intent())
    assert isinstance(denied, Denied)
    assert denied.code == "not_durable"
    assert desk.broker.wire == []
    assert {o.state for o in desk.manager.orders.values()} == {OrderState.CANCELED}
    assert not await desk.tracker.has_open_positions()


async def test_what_provably_never_left_is_never_in_doubt(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(tickets: list[OrderTicket]) -> None:
        raise NothingWritten("the pacer broke")

    desk.quote()
    monkeypatch.setattr(desk.broker, "send", broken)
    denied = await desk.manager.submit(desk.intent())
    assert isinstance(denied, Denied)
    assert (denied.code, "the pacer broke" in denied.message) == ("not_sent", True)
    assert {(o.state, o.code) for o in desk.manager.orders.values()} == {(OrderState.CANCELED, "not_sent")}
    monkeypatch.undo()
    assert not isinstance(await desk.manager.submit(desk.intent(intent_id="again", signal_id="")), Denied)


async def test_a_change_that_provably_never_left_is_taken_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    position = await desk.held()

    async def broken(ticket: OrderTicket, *, routine: bool = False) -> None:
        raise NothingWritten("the pacer broke")

    monkeypatch.setattr(desk.broker, "modify", broken)
    denied = await desk.manager.change_stop(position.position_id, 96.0)
    assert isinstance(denied, Denied)
    assert denied.code == "not_sent"
    stop = desk.ours(OrderRole.STOP)
    assert (stop.pending, stop.stop_price) == (PendingRequest.NONE, 95.0)


async def test_the_same_intent_twice_is_one_order(desk: Desk) -> None:
    desk.quote()
    intent = desk.intent()
    first, second = await desk.manager.submit(intent), await desk.manager.submit(intent)
    assert first is second
    assert len(sent(desk)) == 3


async def test_the_same_signal_twice_is_refused(desk: Desk) -> None:
    await desk.entered(signal_id="sig")
    denied = await desk.manager.submit(desk.intent(signal_id="sig"))
    assert isinstance(denied, Denied)
    assert denied.code == "duplicate"


async def test_a_filled_entry_is_an_open_position_with_a_resting_stop(desk: Desk) -> None:
    position = await desk.held()
    assert (position.status, position.held, position.entry_price) == (PositionStatus.OPEN, 100, 100.0)
    assert position.stop_state == "resting"
    assert position.commission == 1.0
    assert position.realized_pnl == -1.0
    assert [e.status for e in desk.said(PositionOpenEvent)] == [PositionStatus.OPENING, PositionStatus.OPEN]


async def test_a_stop_fill_closes_the_position_and_the_target_goes(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.fill(desk.broker.order("-S"), 100, 94.9)
    await desk.manager.drain()
    await desk.wait(5)
    assert position.status is PositionStatus.CLOSED
    assert position.reason == "stop"
    assert position.realized_pnl == pytest.approx(-512.0)
    assert desk.ours(OrderRole.TARGET).state is OrderState.CANCELED
    assert desk.said(PositionCloseEvent)[-1].fully_closed


async def test_the_same_execution_again_changes_nothing(desk: Desk) -> None:
    position = await desk.held()
    before = position.to_dict()
    desk.broker.repeat()
    await desk.manager.drain()
    assert position.to_dict() == before
    assert len(desk.said(FillEvent)) == 1


async def test_a_correction_replaces_the_execution(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.correct(0, price=101.0)
    await desk.manager.drain()
    assert position.entry_price == 101.0
    assert position.held == 100
    assert desk.said(FillEvent)[-1].corrects.endswith(".01")


async def test_a_bust_takes_the_shares_back(desk: Desk) -> None:
    position = await desk.held()
    desk.manager.on_execution(replace(desk.broker.executions[0], liquidation=1))
    await desk.manager.drain()
    assert position.held == 0
    assert desk.ours(OrderRole.ENTRY).state is OrderState.IN_DOUBT


async def test_a_moved_stop_is_pending_until_the_broker_confirms(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.deaf = True
    order = await desk.manager.change_stop(position.position_id, 97.004)
    assert isinstance(order, Order)
    assert (order.pending, order.stop_price, position.stop_loss, position.stop_state) == (PendingRequest.REPLACE, 95.0, 95.0, "pending")
    ticket = desk.broker.wire[-1][1]
    assert (ticket.stop_price, ticket.parent_ib_order_id, ticket.ib_order_id) == (97.0, 0, order.ib_order_id)
    desk.broker.deaf = False
    await desk.broker.modify(ticket)
    await desk.manager.drain()
    assert (order.pending, order.stop_price, position.stop_loss, position.stop_state) == (PendingRequest.NONE, 97.0, 97.0, "resting")


async def test_a_refused_move_leaves_the_stop_where_it_was(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.refuse_modify = True
    await desk.manager.change_stop(position.position_id, 97.0)
    await desk.manager.drain()
    assert (position.stop_loss, position.stop_state) == (95.0, "resting")
    assert desk.manager.needs_reconcile


async def test_a_stop_moved_while_the_entry_works_names_its_parent(desk: Desk) -> None:
    order = await desk.entered()
    await desk.manager.change_stop(order.position_id, 96.0)
    assert desk.broker.wire[-1][1].parent_ib_order_id == order.ib_order_id


@pytest.mark.parametrize("price", [101.0, 100.0, float("nan"), -1.0, 120.0])
async def test_a_stop_on_the_wrong_side_is_refused_in_words(desk: Desk, price: float) -> None:
    position = await desk.held()
    denied = await desk.manager.change_stop(position.position_id, price)
    assert isinstance(denied, Denied)
    assert denied.code == "wrong_side"
    assert denied.what_to_do


async def test_a_trailing_move_only_tightens(desk: Desk) -> None:
    position = await desk.held()
    denied = (await desk.manager.trail_stops({position.position_id: 94.0}))[position.position_id]
    assert isinstance(denied, Denied)
    assert denied.code == "ratchet"


async def test_a_whole_close_joins_the_group_and_keeps_the_stop_until_it_fills(desk: Desk) -> None:
    position = await desk.held()
    exit_order = await desk.manager.close_position(position.position_id, reason="enough")
    await desk.manager.drain()
    assert isinstance(exit_order, Order)
    assert exit_order.oca_group == desk.ours(OrderRole.STOP).oca_group
    assert desk.broker.order("-S").live
    assert position.status is PositionStatus.CLOSING
    desk.broker.fill(desk.broker.order("-X"), 40, 102.0)
    await desk.manager.drain()
    assert desk.ours(OrderRole.STOP).quantity == 60
    assert desk.broker.order("-S").live
    desk.broker.fill(desk.broker.order("-X"), 60, 102.0)
    await desk.manager.drain()
    assert position.status is PositionStatus.CLOSED
    assert position.reason == "enough"
    assert not desk.broker.fillable()


async def test_a_stop_that_fills_first_cancels_the_exit(desk: Desk) -> None:
    position = await desk.held()
    await desk.manager.close_position(position.position_id)
    desk.broker.fill(desk.broker.order("-S"), 100, 95.0)
    await desk.manager.drain()
    assert position.status is PositionStatus.CLOSED
    assert desk.broker.held() == {}
    assert desk.ours(OrderRole.EXIT).state is OrderState.CANCELED


async def test_closing_twice_is_one_exit(desk: Desk) -> None:
    position = await desk.held()
    first = await desk.manager.close_position(position.position_id)
    second = await desk.manager.close_position(position.position_id)
    assert first is second


async def test_a_rejected_exit_reopens_the_position_with_its_stop(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.deaf = True
    order = await desk.manager.close_position(position.position_id)
    assert isinstance(order, Order)
    desk.manager.on_error(ErrorReport(code=201, message="margin", ib_order_id=order.ib_order_id, received_at=desk.clock.now()))
    await desk.manager.drain()
    assert position.status is PositionStatus.OPEN
    assert position.stop_state == "resting"
    assert desk.said(RejectEvent)[-1].error_message == "margin"


async def test_a_partial_exit_waits_until_stop_and_target_are_smaller(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.mute = True
    order = await desk.manager.close_position(position.position_id, 40)
    assert isinstance(order, Order)
    assert order.state is OrderState.PLANNED
    assert {t.quantity for what, t in desk.broker.wire if what == "modify"} == {60}
    desk.broker.mute = False
    desk.broker.repeat()
    await desk.manager.drain()
    await desk.manager.drain()
    assert order.state in (OrderState.SENDING, OrderState.WORKING)
    assert order.oca_group == ""
    desk.broker.fill(desk.broker.order("-X"), 40, 101.0)
    await desk.manager.drain()
    await desk.wait(4)
    assert position.held == 60
    assert position.status is PositionStatus.OPEN
    assert desk.broker.order("-S").quantity == desk.broker.order("-T").quantity == 60


async def test_a_partial_exit_whose_stop_cannot_shrink_is_given_up_and_the_stop_stays(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.refuse_modify = True
    order = await desk.manager.close_position(position.position_id, 40)
    await desk.manager.drain()
    assert isinstance(order, Order)
    assert order.state is OrderState.DENIED
    assert order.code == "exits_not_reduced"
    assert desk.broker.order("-S").quantity == 100
    assert position.held == 100


async def test_a_partial_target_fill_leaves_the_stop_at_what_is_left(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.fill(desk.broker.order("-T"), 30, 110.0)
    await desk.manager.drain()
    await desk.wait(4)
    assert position.held == 70 == desk.ours(OrderRole.STOP).quantity == desk.broker.order("-S").quantity
    assert [what for what, _ in desk.broker.wire].count("modify") == 0


async def test_an_entry_that_rests_too_long_is_cancelled(desk: Desk) -> None:
    order = await desk.entered(entry_life_seconds=30)
    await desk.wait(31)
    assert order.state is OrderState.CANCELED
    assert "not filled" in desk.said(CancelEvent)[0].reason
    assert desk.tracker.position(order.position_id).status is PositionStatus.CLOSED
    assert not desk.broker.fillable()


async def test_a_partly_filled_entry_that_is_cancelled_keeps_a_stop_of_its_size(desk: Desk) -> None:
    order = await desk.entered(entry_life_seconds=30)
    desk.broker.fill(desk.broker.order("-E"), 35, 100.0)
    await desk.wait(40)
    position = desk.tracker.position(order.position_id)
    assert order.state is OrderState.CANCELED
    assert position.held == 35
    assert desk.broker.order("-S").live
    assert desk.broker.order("-S").remaining == 35


async def test_closing_while_the_entry_works_cancels_it_first_and_then_sells_what_filled(desk: Desk) -> None:
    order = await desk.entered()
    desk.broker.fill(desk.broker.order("-E"), 35, 100.0)
    await desk.manager.close_position(order.position_id, reason="changed my mind")
    await desk.manager.drain()
    await desk.manager.drain()
    assert order.state is OrderState.CANCELED
    desk.broker.fill(desk.broker.order("-X"), 35, 100.0)
    await desk.manager.drain()
    assert desk.broker.held() == {}
    assert not await desk.tracker.has_open_positions()


async def test_a_lost_stop_is_placed_again(desk: Desk) -> None:
    position = await desk.held(take_profit=None)
    stop = desk.broker.order("-S")
    stop.status = "Cancelled"
    desk.broker.say(stop)
    await desk.manager.drain()
    assert position.stop_state == "missing"
    await desk.wait(5)
    assert position.stop_state == "resting"
    assert desk.broker.order("-S") is not stop
    assert desk.broker.order("-S").remaining == 100


async def test_a_stop_that_does_not_stay_twice_is_an_alarm_and_is_tried_again_while_holding(desk: Desk) -> None:
    position = await desk.held(take_profit=None)
    for _ in range(12):
        stop = desk.broker.order("-S")
        if stop.live:
            stop.status = "Cancelled"
            desk.broker.say(stop)
        await desk.wait(3)
    assert position.stop_state == "missing"
    assert position.position_id in desk.manager.protection_alarms
    assert (desk.said(ProtectionEvent)[0].state, desk.said(ProtectionEvent)[0].rule) == ("alarm", "hold")
    assert position.held == 100
    await desk.wait(20)
    assert desk.said(ProtectionEvent)[-1].state == "restored"
    assert desk.manager.protection_alarms == {}
    assert position.stop_state == "resting"


async def test_a_stop_that_does_not_stay_twice_flattens_where_that_is_the_rule(desk: Desk) -> None:
    desk.manager.set_protection_rule("flatten")
    position = await desk.held(take_profit=None)
    for _ in range(6):
        stop = desk.broker.order("-S")
        if stop.live:
            stop.status = "Cancelled"
            desk.broker.say(stop)
        await desk.wait(2)
    desk.broker.fill(desk.broker.order("-X"), 100, 99.0)
    await desk.manager.drain()
    await desk.wait(2)
    assert position.status is PositionStatus.CLOSED
    assert [event.state for event in desk.said(ProtectionEvent)] == ["alarm", "restored"]
    assert desk.manager.protection_alarms == {}
    assert not desk.broker.fillable()


async def test_the_stop_of_held_shares_cannot_be_cancelled(desk: Desk) -> None:
    await desk.held()
    denied = await desk.manager.cancel_order(desk.ours(OrderRole.STOP).order_id)
    assert isinstance(denied, Denied)
    assert denied.code == "protects"


async def test_flatten_cancels_entries_and_sells_positions(desk: Desk) -> None:
    await desk.held()
    await desk.entered(symbol="MSFT")
    desk.manager.set_trading_state(TradingState.HALTED, "kill switch")
    await desk.manager.flatten_all("kill switch")
    await desk.manager.drain()
    desk.broker.fill(desk.broker.order("-X"), 100, 99.0)
    await desk.manager.drain()
    await desk.wait(5)
    assert desk.broker.held() == {}
    assert not desk.broker.fillable()


async def test_a_cancel_leaves_even_when_the_journal_is_broken(desk: Desk) -> None:
    order = await desk.entered()
    desk.commit_fails = True
    assert await desk.manager.cancel_order(order.order_id) is order
    await desk.manager.drain()
    assert order.state is OrderState.CANCELED


async def test_a_fill_after_a_cancel_still_changes_the_position(desk: Desk) -> None:
    order = await desk.entered()
    resting = desk.broker.book[order.ib_order_id]
    execution = desk.broker.fill(resting, 10, 100.0)
    desk.manager._hearing.queue.clear()
    await desk.manager.cancel_order(order.order_id)
    resting.filled = 0  # the status that ends it does not know of the fill yet
    desk.manager._hearing.queue.clear()
    desk.broker.say(resting)
    await desk.manager.drain()
    assert order.state is OrderState.CANCELED
    desk.manager.on_execution(execution)
    await desk.manager.drain()
    assert order.filled_quantity == 10
    assert sum(p.held for p in desk.tracker.active()) == 10


async def test_cancelled_with_unseen_fills_waits_for_the_executions(desk: Desk) -> None:
    order = await desk.entered()
    resting = desk.broker.book[order.ib_order_id]
    execution = desk.broker.fill(resting, 10, 100.0)
    resting.status = "Cancelled"
    desk.manager._hearing.queue.clear()
    desk.broker.say(resting)
    await desk.manager.drain()
    assert order.state is OrderState.WORKING
    desk.manager.on_execution(execution)
    await desk.manager.drain()
    assert order.state is OrderState.CANCELED
    assert order.filled_quantity == 10


async def test_filled_without_executions_becomes_doubt_and_the_query_settles_it(desk: Desk) -> None:
    order = await desk.entered()
    desk.broker.fill(desk.broker.order("-E"), 100, 100.0)
    desk.manager._hearing.queue.clear()
    desk.broker.say(desk.broker.order("-E"))
    await desk.wait(6)
    assert order.state is OrderState.IN_DOUBT
    assert desk.manager.needs_reconcile
    report = await desk.manager.reconcile(await desk.broker.snapshot())
    assert report.ok
    assert report.filled == 1
    assert order.state is OrderState.FILLED
    assert desk.said(FillEvent)[-1].recovered


async def test_silence_is_doubt_and_doubt_is_never_resent_by_time(desk: Desk) -> None:
    desk.broker.deaf = True
    order = await desk.entered()
    await desk.wait(60)
    assert order.state is OrderState.IN_DOUBT
    assert len(sent(desk)) == 3
    desk.quote()
    denied = await desk.manager.submit(desk.intent())
    assert isinstance(denied, Denied)
    assert denied.code == "in_doubt"


async def test_a_gateway_that_forgot_its_ids_proves_no_absence_by_them(desk: Desk) -> None:
    await desk.entered(symbol="MSFT")
    desk.broker.deaf = True
    doubtful = await desk.entered()
    desk.broker.deaf = False
    desk.broker.next_id = 1
    sent = len(desk.broker.wire)
    await desk.wait(11)
    first = await desk.broker.snapshot()
    await desk.wait(11)
    await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert doubtful.state is OrderState.IN_DOUBT
    assert len(desk.broker.wire) == sent, "it may have been received before the sequence was reset"
    assert desk.manager.broker_forgot_ids


async def test_one_that_forgot_them_before_an_exit_left_proves_nothing_by_that_exits_id(desk: Desk) -> None:
    """Its next id says that the doubtful one was never used; so it would say of one that it took before its reset."""
    position = await desk.held(symbol="MSFT")
    desk.broker.deaf = True
    doubtful = await desk.entered()
    desk.broker.deaf = False
    desk.broker.next_id = 1
    await desk.wait(11)
    first = await desk.broker.snapshot()
    await desk.manager.reconcile(first)
    assert desk.manager.broker_forgot_ids
    assert isinstance(await desk.manager.close_position(position.position_id), Order)
    desk.broker.fill(desk.broker.order("-X"), 100, 100.0)
    await desk.wait(11)
    await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert not desk.manager.broker_forgot_ids
    assert (doubtful.state, doubtful.unused_at) == (OrderState.IN_DOUBT, None)


async def test_a_proven_absence_is_sent_again_under_the_same_ids(desk: Desk) -> None:
    desk.broker.deaf = True
    order = await desk.entered(expires_at=desk.clock.now() + timedelta(seconds=120))
    await desk.wait(12)
    desk.broker.deaf = False
    first = await desk.broker.snapshot()
    report = await desk.manager.reconcile(first)
    assert report.needs_second
    assert order.state is OrderState.IN_DOUBT
    await desk.wait(11)
    desk.quote()
    report = await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert report.resent == 3
    await desk.manager.drain()
    assert order.state is OrderState.WORKING
    assert [t.ib_order_id for t in sent(desk)[:3]] == [t.ib_order_id for t in sent(desk)[3:]]
    assert len(desk.broker.book) == 3


async def test_a_lapsed_wish_is_closed_as_never_sent(desk: Desk) -> None:
    desk.broker.deaf = True
    order = await desk.entered(expires_at=desk.clock.now() + timedelta(seconds=15))
    await desk.wait(12)
    first = await desk.broker.snapshot()
    await desk.wait(11)
    desk.quote()
    await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert order.state is OrderState.CANCELED
    assert order.code == "never_sent"
    assert desk.tracker.position(order.position_id).status is PositionStatus.CLOSED


async def test_entries_wait_while_a_second_reading_may_still_settle_a_doubt(desk: Desk) -> None:
    desk.broker.deaf = True
    await desk.entered()
    await desk.manager.doubt_unanswered("the link was lost")
    desk.broker.deaf = False
    await desk.wait(3)
    desk.quote()
    first = await desk.broker.snapshot()
    report = await desk.manager.reconcile(first)
    assert report.ok
    assert report.proving
    denied = await desk.manager.submit(desk.intent())
    assert isinstance(denied, Denied)
    assert denied.code == "not_reconciled"
    await desk.wait(11)
    desk.quote()
    report = await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert not report.proving
    assert not isinstance(await desk.manager.submit(desk.intent()), Denied)


async def test_ids_that_our_own_later_orders_used_are_no_doubt_of_an_earlier_one(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.deaf = True
    desk.quote("MSFT")
    lost = await desk.entered(symbol="MSFT", expires_at=desk.clock.now() + timedelta(seconds=120))
    await desk.manager.doubt_unanswered("the link was lost")
    desk.broker.deaf = False
    await desk.wait(3)
    desk.quote()
    first = await desk.broker.snapshot()
    await desk.manager.reconcile(first)
    await desk.wait(1)
    await desk.manager.close_position(position.position_id)
    await desk.wait(11)
    desk.quote("MSFT")
    report = await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert (lost.state, lost.code) == (OrderState.CANCELED, "never_sent")
    assert not report.in_doubt


async def test_a_consumed_order_id_is_no_proof_of_absence(desk: Desk) -> None:
    desk.broker.deaf = True
    order = await desk.entered(expires_at=desk.clock.now() + timedelta(seconds=120))
    desk.broker.next_id = desk.ours(OrderRole.TARGET).ib_order_id + 1
    await desk.wait(12)
    first = await desk.broker.snapshot()
    await desk.wait(11)
    await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert order.state is OrderState.IN_DOUBT
    assert len(sent(desk)) == 3


async def test_an_incomplete_reading_settles_nothing(desk: Desk) -> None:
    desk.broker.deaf = True
    order = await desk.entered()
    snapshot = replace(await desk.broker.snapshot(), missing=("executions",))
    report = await desk.manager.reconcile(snapshot)
    assert not report.ok
    assert order.state is OrderState.SENDING


async def test_a_restart_adopts_what_the_gateway_has(desk: Desk) -> None:
    desk.broker.mute = True
    order = await desk.entered()
    desk.broker.fill(desk.broker.order("-E"), 100, 100.0)
    await desk.restarted()
    assert desk.manager.orders[order.order_id].state is OrderState.IN_DOUBT
    report = await desk.manager.reconcile(await desk.broker.snapshot())
    assert report.ok
    assert report.filled == 1
    assert report.in_doubt == 0
    position = desk.tracker.position(order.position_id)
    assert position.held == 100
    assert position.stop_state == "resting"
    assert len(sent(desk)) == 3


async def test_a_second_reconcile_changes_nothing(desk: Desk) -> None:
    await desk.held()
    await desk.manager.reconcile(await desk.broker.snapshot())
    rows = [order.to_dict() for order in desk.manager.orders.values()]
    await desk.manager.reconcile(await desk.broker.snapshot())
    assert [order.to_dict() for order in desk.manager.orders.values()] == rows


async def test_a_position_the_executions_do_not_explain_stops_entries(desk: Desk) -> None:
    await desk.held()
    desk.clock.advance(5)
    snapshot = await desk.broker.snapshot()
    report = await desk.manager.reconcile(replace(snapshot, positions=()))
    assert not report.ok
    assert report.differences[0]["symbol"] == "AAPL"
    desk.quote("MSFT")
    denied = await desk.manager.submit(desk.intent(symbol="MSFT"))
    assert isinstance(denied, Denied)
    assert denied.code == "not_reconciled"
    assert desk.broker.held() == {"AAPL": 100}


async def test_a_fill_while_the_lists_were_read_is_judged_by_the_next_reading(desk: Desk) -> None:
    await desk.held()
    torn = replace(await desk.broker.snapshot(), positions=())
    assert (await desk.manager.reconcile(torn)).ok
    assert "AAPL" in desk.manager.needs_reconcile
    desk.clock.advance(5)
    assert not (await desk.manager.reconcile(replace(torn, taken_at=desk.clock.now()))).ok


async def test_a_holding_made_elsewhere_is_shown_and_not_ours(desk: Desk) -> None:
    holding = PositionReport(account="DU1", symbol="IBM", con_id=1, quantity=7, average_cost=1.0)
    report = await desk.manager.reconcile(replace(await desk.broker.snapshot(), positions=(holding,)))
    assert report.ok
    assert report.external == 1
    assert desk.manager.holdings_elsewhere == {"IBM": 7}
    assert not await desk.tracker.has_open_positions()


async def test_no_entry_sells_shares_that_other_hands_hold(desk: Desk) -> None:
    theirs = PositionReport(account="DU1", symbol="AAPL", con_id=1, quantity=28, average_cost=1.0)
    await desk.manager.reconcile(replace(await desk.broker.snapshot(), positions=(theirs,)))
    desk.quote("AAPL")
    refused = await desk.manager.submit(desk.intent(side=OrderSide.SELL, stop_loss=105.0, take_profit=90.0))
    assert isinstance(refused, Denied)
    assert (refused.code, refused.values) == ("opposite_holding", {"elsewhere": 28})
    assert str(refused).startswith("28 AAPL are held long at this account outside the desk; this order would sell them.")
    assert not desk.broker.book
    assert isinstance(await desk.manager.submit(desk.intent()), Order)


async def test_an_order_made_elsewhere_is_shown_and_never_touched(desk: Desk) -> None:
    order = await desk.entered()
    report = replace(desk.broker._report(desk.broker.order("-E")), order_ref="by hand", perm_id=77, client_id=0, ib_order_id=0)
    desk.manager.on_order(report)
    desk.manager.on_order(report)
    await desk.manager.drain()
    external = desk.manager.orders["ext-77"]
    assert external.external
    assert external.symbol == "AAPL"
    assert order.state is OrderState.WORKING
    denied = await desk.manager.cancel_order("ext-77")
    assert isinstance(denied, Denied)
    assert denied.code == "external"


async def test_a_fill_belongs_to_its_reference_not_to_a_reused_number(desk: Desk) -> None:
    position = await desk.held()
    execution = replace(desk.broker.executions[0], exec_id="0009.1.01.01", order_ref="somebody else", perm_id=1234)
    desk.manager.on_execution(execution)
    await desk.manager.drain()
    assert position.held == 100
    assert desk.manager.orders["ext-1234"].filled_quantity == 100


async def test_a_commission_may_come_before_its_execution(desk: Desk) -> None:
    order = await desk.entered()
    execution = desk.broker.fill(desk.broker.order("-E"), 100, 100.0)
    queue = desk.manager._hearing.queue
    queue.reverse()
    await desk.manager.drain()
    assert order.commission == 1.0
    assert desk.tracker.position(order.position_id).commission == 1.0
    assert desk.said(FillEvent)[0].fill_id == execution.exec_id


async def test_an_error_that_leaves_the_order_alive_does_not_end_it(desk: Desk) -> None:
    order = await desk.entered()
    for code in (399, 10349, 2109, 202):
        desk.manager.on_error(ErrorReport(code=code, message="note", ib_order_id=order.ib_order_id, received_at=desk.clock.now()))
    desk.manager.on_error(ErrorReport(code=201, message="late", ib_order_id=order.ib_order_id, received_at=desk.clock.now()))
    await desk.manager.drain()
    assert order.state is OrderState.WORKING


async def test_an_entry_rejected_by_the_broker_keeps_its_words(desk: Desk) -> None:
    desk.broker.deaf = True
    order = await desk.entered()
    desk.manager.on_error(ErrorReport(code=201, message="No margin", ib_order_id=order.ib_order_id, received_at=desk.clock.now()))
    await desk.manager.drain()
    assert order.state is OrderState.REJECTED
    assert order.message == "No margin"
    position = desk.tracker.position(order.position_id)
    assert position.status is PositionStatus.CLOSED
    assert "No margin" in position.reason


async def test_a_short_is_a_bracket_the_other_way_round(desk: Desk) -> None:
    position = await desk.held(side=OrderSide.SELL, stop_loss=105.0, take_profit=90.0)
    assert position.held == -100
    desk.broker.fill(desk.broker.order("-T"), 100, 90.0)
    await desk.manager.drain()
    assert position.realized_pnl == pytest.approx(998.0)


async def test_state_survives_a_restart_to_the_last_field(desk: Desk) -> None:
    await desk.held()
    orders = [order.to_dict() for order in desk.manager.orders.values()]
    positions = [position.to_dict() for position in desk.tracker.active()]
    await desk.restarted()
    assert [order.to_dict() for order in desk.manager.orders.values()] == orders
    assert [position.to_dict() for position in desk.tracker.active()] == positions


async def test_an_entry_stops_filling_once_its_exit_has_begun(desk: Desk) -> None:
    order = await desk.entered()
    desk.broker.fill(desk.broker.order("-E"), 40, 100.0)
    desk.broker.fill(desk.broker.order("-T"), 10, 110.0)
    await desk.wait(4)
    assert order.state is OrderState.CANCELED
    await desk.wait(4)
    assert desk.tracker.position(order.position_id).held == 30 == desk.broker.order("-S").remaining


async def test_an_exit_larger_than_what_turns_out_to_be_held_is_made_smaller(desk: Desk) -> None:
    position = await desk.held()
    desk.broker.fill(desk.broker.order("-S"), 30, 95.0)
    desk.manager._hearing.queue.clear()  # nobody told us
    exit_order = await desk.manager.close_position(position.position_id)
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(5)
    assert isinstance(exit_order, Order)
    assert position.held == 70 == desk.broker.order("-X").remaining


async def test_a_halt_between_the_approval_and_the_socket_sends_nothing(desk: Desk) -> None:
    """The state changes while the order's row is being written: the last look before the socket refuses."""
    commit = desk.manager.core.commit

    async def halted_meanwhile() -> None:
        await commit()
        desk.manager.set_trading_state(TradingState.HALTED, "smoke")

    desk.manager.core.commit = halted_meanwhile
    desk.quote()
    denied = await desk.manager.submit(desk.intent())
    assert isinstance(denied, Denied)
    assert denied.code == "halted"
    assert desk.broker.wire == []
    assert desk.tracker.active() == []


async def test_the_last_look_may_still_refuse_and_is_not_asked_about_exits(desk: Desk) -> None:
    position = await desk.held()
    sent = len(desk.broker.wire)
    refusal = Denied(code="locked_daily_loss", message="Shut.")

    async def shut(orders: object) -> Denied | None:
        return refusal

    desk.manager.watch(last_look=shut)
    desk.quote("MSFT")
    assert await desk.manager.submit(desk.intent(symbol="MSFT")) == refusal
    assert len(desk.broker.wire) == sent
    assert not isinstance(await desk.manager.close_position(position.position_id), Denied)


async def test_an_approval_that_lapses_while_its_rows_are_written_is_not_sent(desk: Desk) -> None:
    commit = desk.manager.core.commit

    async def slow() -> None:
        desk.clock.advance(8)
        await commit()

    desk.manager.core.commit = slow
    desk.quote("AAPL")
    answer = await desk.manager.submit(desk.intent(expires_at=desk.clock.now() + timedelta(seconds=5)))
    assert isinstance(answer, Denied)
    assert answer.code == "expired"
    assert not desk.broker.wire
    assert desk.tracker.active() == []


async def test_cancelling_entries_leaves_the_protection_of_what_is_held(desk: Desk) -> None:
    position = await desk.held()
    entry = await desk.entered(symbol="MSFT")
    await desk.manager.cancel_entries("halted")
    await desk.manager.drain()
    assert desk.manager.orders[entry.order_id].state is OrderState.CANCELED
    live = [o for o in desk.manager.orders.values() if o.position_id == position.position_id and o.is_live]
    assert {o.role for o in live} == {OrderRole.STOP, OrderRole.TARGET}


async def test_a_fee_that_did_not_come_with_its_execution_is_asked_for_once(desk: Desk) -> None:
    await desk.entered()
    desk.broker.mute = True
    execution = desk.broker.fill(desk.broker.order("-E"), 100, 100.0)
    desk.broker.mute = False
    desk.manager.on_execution(execution)
    desk.broker.repeat()
    await desk.manager.drain()
    await desk.wait(5)
    assert "fee" not in desk.manager.needs_reconcile
    await desk.wait(6)
    assert "fee" in desk.manager.needs_reconcile
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(20)
    assert "fee" not in desk.manager.needs_reconcile


async def test_a_fee_that_came_is_not_asked_for(desk: Desk) -> None:
    await desk.held()
    await desk.wait(15)
    assert "fee" not in desk.manager.needs_reconcile
