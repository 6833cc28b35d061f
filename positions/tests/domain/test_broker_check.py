"""Our book beside the broker's: every kind of row, its cause, and whether it holds entries back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from events.order import OrderRole, OrderState
from events.system import HoldingEvent
from positions.domain.broker_check import CashBasis, OurBook, cash_row, compare
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.ports import BrokerSnapshot, PositionReport
from positions.domain.position import Position
from positions.tests.domain.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


def book(desk: Desk) -> OurBook:
    manager = desk.manager
    return OurBook(orders=manager.core.book, positions=desk.tracker.active(), elsewhere=dict(manager.holdings_elsewhere), ref_prefix="T")


async def rows(desk: Desk, **changed: Any) -> dict[str, dict[str, Any]]:
    """The comparison after a reconcile with a reading, by row id."""
    snapshot = replace(await desk.broker.snapshot(), **changed)
    await desk.manager.reconcile(snapshot)
    return {row["id"]: row for row in compare(book(desk), snapshot)}


def holding(symbol: str, quantity: float) -> PositionReport:
    return PositionReport(account="DU1", symbol=symbol, con_id=1, quantity=quantity, average_cost=50.0)


async def test_equal_books_match_row_by_row(desk: Desk) -> None:
    await desk.held()
    desk.clock.advance(60)
    found = await rows(desk)
    assert {row["kind"] for row in found.values()} == {"position", "order", "execution"}
    assert not any(row["blocks"] for row in found.values())
    assert found["position:AAPL"]["state"] == "match"


async def test_an_unexplained_position_blocks_and_accepting_it_ends_that(desk: Desk) -> None:
    await desk.held()
    desk.clock.advance(60)
    row = (await rows(desk, positions=(holding("AAPL", 130),)))["position:AAPL"]
    assert (row["state"], row["ours"], row["theirs"], row["difference"], row["blocks"]) == ("differs", 100, 130, 30, True)
    stale = await desk.manager.accept_difference("AAPL", 100, 120, reason="?", by="ann")
    assert isinstance(stale, Denied)
    assert stale.code == "changed"
    assert await desk.manager.accept_difference("AAPL", 100, 130, reason="a gift", by="ann") is None
    row = (await rows(desk, positions=(holding("AAPL", 130),)))["position:AAPL"]
    assert (row["state"], row["blocks"], row["elsewhere"]) == ("external", False, 30)
    assert [e.acknowledged_by for e in desk.said(HoldingEvent) if e.acknowledged_by] == ["ann"]


async def test_a_shortfall_is_settled_by_releasing_the_position_without_a_trade(desk: Desk) -> None:
    position = await desk.held()
    desk.clock.advance(60)
    assert (await rows(desk, positions=()))["position:AAPL"]["blocks"]
    released = await desk.manager.release_position(position.position_id, 100, reason="sold by phone", by="ann")
    assert isinstance(released, Position)
    assert released.realized_pnl == -released.commission
    await desk.manager.drain()
    desk.clock.advance(60)
    assert "position:AAPL" not in await rows(desk, positions=())
    assert (await desk.manager.reconcile(replace(await desk.broker.snapshot(), positions=()))).ok


async def test_a_position_is_not_released_while_an_order_that_closes_it_is_on_its_way(desk: Desk) -> None:
    """Filled after the release it would sell what is not ours any more, and open the other side."""
    position = await desk.held()
    await rows(desk)
    await desk.manager.close_position(position.position_id)
    refused = await desk.manager.release_position(position.position_id, 100, reason="sold by phone", by="ann")
    assert isinstance(refused, Denied)
    assert refused.code == "exit_working"
    assert position.is_active


async def test_adopted_shares_are_ours_from_then_on_and_have_a_stop_at_the_broker(desk: Desk) -> None:
    desk.quote("IBM", 52.0)
    assert (await rows(desk, positions=(holding("IBM", 10),)))["position:IBM"]["state"] == "external"
    wrong = await desk.manager.adopt_holding("IBM", 10, stop_loss=60.0, reason="mine", by="ann")
    assert isinstance(wrong, Denied)
    assert wrong.code == "wrong_side"
    position = await desk.manager.adopt_holding("IBM", 10, stop_loss=51.0, take_profit=60.0, reason="mine", by="ann")
    assert isinstance(position, Position)
    assert (position.held, position.entry_price, position.stop_loss, position.initial_stop) == (10, 50.0, 51.0, 51.0)
    stop = desk.ours(OrderRole.STOP)
    assert (stop.symbol, stop.quantity, stop.stop_price) == ("IBM", 10, 51.0)
    assert desk.manager.holdings_elsewhere == {}
    again = await desk.manager.adopt_holding("IBM", 10, stop_loss=51.0, reason="mine", by="ann")
    assert isinstance(again, Denied)
    desk.clock.advance(60)
    assert (await rows(desk, positions=(holding("IBM", 10),)))["position:IBM"]["state"] == "match"


async def test_closing_shares_made_elsewhere_sends_one_market_order_for_them(desk: Desk) -> None:
    desk.quote("IBM", 52.0)
    await rows(desk, positions=(holding("IBM", 10),))
    order = await desk.manager.close_holding("IBM", 10, reason="not mine", by="ann")
    assert isinstance(order, Order)
    assert (order.role, order.side.value, order.quantity) == (OrderRole.EXIT, "sell", 10)


async def test_holdings_elsewhere_survive_a_restart_without_being_counted_twice(desk: Desk) -> None:
    await desk.held()
    execution = replace(desk.broker.executions[0], exec_id="0009.1.01.01", order_ref="by hand", perm_id=1234, quantity=7.0)
    desk.manager.on_execution(execution)
    await desk.manager.drain()
    desk.broker.executions.append(execution)
    desk.clock.advance(60)
    orders = [order.to_dict() for order in desk.manager.orders.values()]
    positions = [p.to_dict() for p in desk.tracker.active()]
    elsewhere = dict(desk.manager.holdings_elsewhere)
    await desk.open()
    desk.manager.restore(orders, positions, elsewhere)
    snapshot = replace(await desk.broker.snapshot(), positions=(holding("AAPL", 107),))
    assert (await desk.manager.reconcile(snapshot)).ok
    assert desk.manager.holdings_elsewhere == {"AAPL": 7}


async def test_an_external_order_that_no_list_shows_any_more_is_over(desk: Desk) -> None:
    await desk.entered()
    report = replace(desk.broker._report(desk.broker.order("-E")), order_ref="by hand", perm_id=77, client_id=0, ib_order_id=0)
    desk.manager.on_order(report)
    await desk.manager.drain()
    desk.clock.advance(60)
    await rows(desk)
    assert desk.manager.orders["ext-77"].state is OrderState.CANCELED


async def test_an_order_with_our_reference_that_we_do_not_know_blocks(desk: Desk) -> None:
    await desk.entered()
    lost = replace(desk.broker._report(desk.broker.order("-E")), order_ref="T0LOST-E", perm_id=99, ib_order_id=900, from_query=True)
    snapshot = await desk.broker.snapshot()
    row = (await rows(desk, open_orders=(*snapshot.open_orders, lost)))["order:ext-99"]
    assert (row["state"], row["blocks"]) == ("missing_here", True)
    assert "restored from a copy" in row["cause"]


async def test_cash_follows_the_executions_and_what_does_not_is_a_difference(desk: Desk) -> None:
    def said(snapshot: BrokerSnapshot, cash: float) -> BrokerSnapshot:
        return replace(snapshot, account_values={"TotalCashValue": cash})

    first, basis = cash_row(book(desk), said(await desk.broker.snapshot(), 50_000.0), None, "TotalCashValue")
    assert first is not None
    assert first["state"] == "match"
    await desk.held()
    fee = sum(float(e.commission or 0) for order in desk.manager.orders.values() for e in order.ledger.executions)
    desk.clock.advance(120)
    right, basis = cash_row(book(desk), said(await desk.broker.snapshot(), 40_000.0 - fee), basis, "TotalCashValue")
    wrong, basis = cash_row(book(desk), said(await desk.broker.snapshot(), 40_750.0 - fee), basis, "TotalCashValue")
    assert right is not None
    assert wrong is not None
    assert (right["state"], wrong["state"], round(wrong["difference"], 2)) == ("match", "differs", 750.0)
    desk.clock.advance(int(timedelta(days=1).total_seconds()))
    tomorrow, after = cash_row(book(desk), said(await desk.broker.snapshot(), 40_000.0 - fee), basis, "TotalCashValue")
    assert tomorrow is not None
    assert tomorrow["state"] == "match"
    assert isinstance(after, CashBasis)
    assert float(after.opening) == pytest.approx(40_000.0 - fee)


async def test_an_order_that_ended_while_the_lists_were_read_holds_nothing_back(desk: Desk) -> None:
    """Its end was heard live between the list of open orders and the end of the reading."""
    await desk.held()
    desk.clock.advance(60)
    reading = await desk.broker.snapshot()
    stop = desk.ours(OrderRole.STOP)
    await desk.broker.cancel(stop.ib_order_id)
    await desk.manager.drain()
    assert stop.is_terminal
    row = next(row for row in compare(book(desk), reading) if row["order_id"] == stop.order_id)
    assert (row["state"], row["blocks"]) == ("pending", False)
    later = replace(reading, taken_at=reading.taken_at + timedelta(seconds=3))
    row = next(row for row in compare(book(desk), later) if row["order_id"] == stop.order_id)
    assert (row["state"], row["blocks"]) == ("missing_here", True)
