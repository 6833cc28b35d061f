"""Each scripted fault as an unmodified ib_insync meets it, against what the gateway itself knows to be true."""

from __future__ import annotations

import asyncio

import pytest

from positions.gateway.server import Server
from positions.tests.gateway.conftest import Local
from positions.tests.gateway.desk_client import AAPL, DeskClient, desk
from tradingsite.testing.patience import PATIENCE, eventually_async

MINE = {"order_ref": "mine"}


async def refused(local: Local, client_id: int) -> DeskClient:
    """A client that asked for this id and was answered by 326; the library itself would wait on."""
    client = DeskClient(local, client_id)
    dialing = asyncio.ensure_future(client.ib.connectAsync("127.0.0.1", local.port, clientId=client_id, timeout=PATIENCE))
    await eventually_async(lambda: (-1, 326) in client.errors or dialing.done(), what="the answer")
    assert (-1, 326) in client.errors
    dialing.cancel()
    with pytest.raises((asyncio.CancelledError, OSError)):
        await dialing
    return client


async def test_a_dropped_order_gets_no_answer_and_is_in_no_list(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="silent_drop", match=MINE)
    dropped = client.place()
    kept = client.place(orderRef="other")
    await client.status(kept, "Submitted")
    assert dropped.orderStatus.status == "PendingSubmit"
    assert [row["order_ref"] for row in await local.rows("book")] == ["other"]


async def test_an_order_dropped_after_entering_the_book_lives_there_unheard(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="silent_drop", match=MINE, enter=True)
    dropped = client.place()
    await eventually_async(lambda: local.gateway.broker.open_orders())
    assert dropped.orderStatus.status == "PendingSubmit"
    found = await client.ib.reqAllOpenOrdersAsync()
    assert [trade.order.orderRef for trade in found] == ["mine"]


async def test_a_lost_acknowledgement_leaves_the_order_in_the_book_and_the_client_disconnected(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="ack_lost", match=MINE)
    client.market()
    await eventually_async(lambda: client.closed)
    await eventually_async(lambda: local.gateway.broker.executions)
    again = await desk(local)
    assert [fill.execution.orderRef for fill in again.ib.fills()] == ["mine"]
    assert [position.position for position in again.ib.positions()] == [100]


@pytest.mark.parametrize("code", [103, 110, 200, 201, 203, 321, 387])
async def test_a_reject_comes_on_the_order_id_and_nothing_enters_the_book(local: Local, code: int) -> None:
    client = await desk(local)
    await local.control(fault="reject", match=MINE, code=code)
    trade = client.place()
    await client.error(code, trade.order.orderId)
    assert await local.rows("orders") == []


async def test_an_inactive_order_is_rejected_by_201(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="inactive", match=MINE)
    trade = client.place()
    await client.error(201, trade.order.orderId)
    assert ("status", "Inactive", 0) in client.heard


async def test_a_short_sale_is_held_for_a_locate(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="locate", match={"side": "SELL"}, seconds=0.5)
    trade = client.place(action="SELL", lmtPrice=1.0)
    await client.error(404, trade.order.orderId)
    assert (trade.orderStatus.status, trade.orderStatus.whyHeld) == ("Inactive", "locate")
    [held] = await client.ib.reqAllOpenOrdersAsync()
    assert (held.orderStatus.status, held.orderStatus.whyHeld) == ("Inactive", "locate")
    assert local.gateway.broker.executions == []
    await eventually_async(lambda: local.gateway.broker.executions, what="the shares are found and sold")
    await client.status(trade, "Filled")


async def test_a_family_that_waits_for_a_locate_can_be_cancelled(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="locate", match={"side": "SELL"}, seconds=60)
    parent = client.place(action="SELL", lmtPrice=1.0, transmit=False)
    stop = client.place(action="BUY", orderType="STP", auxPrice=900.0, parentId=parent.order.orderId)
    await client.error(404, parent.order.orderId)
    await client.status(stop, "PreSubmitted")
    client.ib.cancelOrder(parent.order)
    await client.status(parent, "Cancelled")
    await client.status(stop, "Cancelled")
    assert local.gateway.broker.executions == []


async def test_a_preset_warning_leaves_the_order_alive(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="notice", match=MINE, code=10349)
    trade = client.place()
    await client.error(10349, trade.order.orderId)
    assert [row["status"] for row in await local.rows("book")] == ["Submitted"]


async def test_partial_fills_come_in_the_scripted_sizes(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="partials", match=MINE, sizes=[10, 20, 70], delay=0.05)
    trade = client.market()
    await client.status(trade, "Filled")
    assert [fill.execution.shares for fill in trade.fills] == [10, 20, 70]
    assert sum(row["commission"] for row in await local.rows("executions")) == 1.0


async def test_a_script_that_ends_early_leaves_the_rest_working(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="partials", match=MINE, sizes=[40])
    trade = client.market()
    await eventually_async(lambda: trade.orderStatus.filled == 40)
    client.ib.cancelOrder(trade.order)
    await client.status(trade, "Cancelled")
    assert [row["quantity"] for row in await local.rows("positions")] == [40]


async def test_a_fill_may_win_the_race_against_a_cancel(local: Local) -> None:
    client = await desk(local)
    trade = client.place()
    await client.status(trade, "Submitted")
    await local.control(fault="cancel_race", match=MINE)
    client.ib.cancelOrder(trade.order)
    await client.error(10148, trade.order.orderId)
    assert [fill.execution.shares for fill in trade.fills] == [100]
    assert [row["status"] for row in await local.rows("orders")] == ["Filled"]


async def test_a_part_may_fill_in_the_race_and_the_rest_is_cancelled(local: Local) -> None:
    client = await desk(local)
    trade = client.place()
    await client.status(trade, "Submitted")
    await local.control(fault="cancel_race", match=MINE, quantity=30)
    client.ib.cancelOrder(trade.order)
    await client.status(trade, "Cancelled")
    assert [(row["status"], row["filled"]) for row in await local.rows("orders")] == [("Cancelled", 30)]


async def test_an_ignored_cancel_leaves_the_order_working(local: Local) -> None:
    client = await desk(local)
    trade = client.place()
    await client.status(trade, "Submitted")
    await local.control(fault="cancel_ignored", match=MINE)
    client.ib.cancelOrder(trade.order)
    await eventually_async(lambda: local.gateway.received[-1].name == "CANCEL_ORDER")
    assert trade.orderStatus.status == "PendingCancel"
    client.ib.client.cancelOrder(trade.order.orderId)
    await client.status(trade, "Cancelled")


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("status_first", ["status", "status", "exec", "fee"]),
        ("exec_only", ["exec", "fee"]),
        ("commission_first", ["fee", "exec", "status", "status"]),
        ("duplicate", ["exec", "exec", "status", "status", "status", "status", "fee", "fee"]),
        ("no_commission", ["exec", "status", "status"]),
        ("stale_submitted", ["exec", "status", "status", "fee", "status"]),
    ],
)
async def test_reports_come_in_the_scripted_disorder(local: Local, mode: str, kinds: list[str]) -> None:
    client = await desk(local)
    await local.control(fault="disorder", match=MINE, mode=mode)
    trade = client.market()
    await eventually_async(lambda: len(client.heard) >= 1 + len(kinds))
    assert [row[0] for row in client.heard[1:]] == kinds
    if mode == "stale_submitted":
        assert trade.orderStatus.status == "Submitted"
        assert [row["status"] for row in await local.rows("orders")] == ["Filled"]


async def test_a_correction_replaces_an_execution_under_a_higher_revision(local: Local) -> None:
    client = await desk(local)
    trade = client.market()
    await client.status(trade, "Filled")
    first = trade.fills[0].execution.execId
    await local.control(fault="correction", exec_id=first, price=199.0)
    second = await client.hears(2, "exec")
    assert second[1][1] == first[:-2] + "02"
    account = (await local.control(query="account"))["rows"]
    assert account["cash"] == pytest.approx(250_000 - 100 * 199.0 - 1.0)


async def test_a_bust_takes_the_shares_back(local: Local) -> None:
    client = await desk(local)
    trade = client.market()
    await client.status(trade, "Filled")
    await local.control(fault="bust", match={"order_ref": "mine"})
    await client.hears(2, "exec")
    assert await local.rows("positions") == []
    executions = await client.ib.reqExecutionsAsync()
    assert [fill.execution.liquidation for fill in executions] == [0, 1]
    again = await local.try_control(fault="correction", match={"order_ref": "mine"}, price=199.0)
    assert not again["ok"], "a bust is the last word: the books would forget the shares a second time"
    assert await local.rows("positions") == []


async def test_an_unsolicited_cancel_comes_with_202(local: Local) -> None:
    client = await desk(local)
    trade = client.place()
    await client.status(trade, "Submitted")
    await local.control(fault="unsolicited_cancel", match=MINE)
    await client.status(trade, "Cancelled")
    await client.error(202, trade.order.orderId)


async def test_an_order_may_be_lost_without_a_word(local: Local) -> None:
    client = await desk(local)
    trade = client.place()
    await client.status(trade, "Submitted")
    await local.control(fault="lose_order", match=MINE)
    assert await local.rows("book") == []
    assert await client.ib.reqAllOpenOrdersAsync() == []
    assert trade.orderStatus.status == "Submitted"  # nobody said anything


async def test_an_order_may_be_altered_without_a_word(local: Local) -> None:
    client = await desk(local)
    trade = client.place()
    await client.status(trade, "Submitted")
    await local.control(fault="alter_order", match=MINE, changes={"quantity": 7})
    assert [row["quantity"] for row in await local.rows("book")] == [7]
    assert trade.order.totalQuantity != 7
    answer = await local.try_control(fault="alter_order", match=MINE, changes={"quantity": -1})
    assert not answer["ok"]
    assert [row["quantity"] for row in await local.rows("book")] == [7]


async def test_a_fill_may_come_after_the_cancel(local: Local) -> None:
    client = await desk(local)
    trade = client.place()
    await client.status(trade, "Submitted")
    client.ib.cancelOrder(trade.order)
    await client.status(trade, "Cancelled")
    await local.control(fault="late_fill", match=MINE, quantity=25, price=150.0)
    assert (await client.hears(1, "exec"))[0][2] == 25
    assert [row["quantity"] for row in await local.rows("positions")] == [25]


async def test_a_client_id_in_use_is_refused_by_326(local: Local) -> None:
    first = await desk(local, 5)
    await refused(local, 5)
    assert first.ib.isConnected()


async def test_a_stuck_client_id_is_free_again_after_its_time(local: Local) -> None:
    await local.control(fault="stuck_client_id", client_id=5, seconds=PATIENCE)
    await refused(local, 5)
    local.gateway.busy_ids[5] -= PATIENCE
    assert (await desk(local, 5)).ib.isConnected()


async def test_a_scripted_busy_answer_strikes_as_often_as_told(local: Local) -> None:
    await local.control(fault="client_busy", match={"client_id": 5}, times=1)
    await refused(local, 5)
    assert (await desk(local, 5)).ib.isConnected()


async def test_fills_during_a_lost_link_are_not_pushed_but_answered_when_asked(local: Local) -> None:
    client = await desk(local)
    trade = client.place(lmtPrice=195.0)
    await client.status(trade, "Submitted")
    await local.control(fault="upstream_lost")
    await client.error(1100)
    await local.control(set_price="AAPL", price=190.0, hold=True)
    await eventually_async(lambda: local.gateway.broker.executions)
    await local.control(fault="upstream_restored", data_kept=True)
    await client.error(1102)
    assert client.heard == [("status", "Submitted", 0)]
    assert [fill.execution.shares for fill in await client.ib.reqExecutionsAsync()] == [100]


async def test_orders_sent_during_a_lost_link_wait_for_it(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="upstream_lost")
    trade = client.place()
    await eventually_async(lambda: local.gateway.received[-1].name == "PLACE_ORDER")
    assert await local.rows("book") == []
    await local.control(fault="upstream_restored")
    await client.status(trade, "Submitted")


async def test_orders_sent_during_a_lost_link_may_vanish(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="upstream_lost", drop_orders=True)
    client.place()
    await eventually_async(lambda: local.gateway.received[-1].name == "PLACE_ORDER")
    await local.control(fault="upstream_restored")
    assert await local.rows("orders") == []


async def test_after_1101_the_subscriptions_are_gone(local: Local) -> None:
    client = await desk(local)
    client.ib.reqMktData(AAPL)
    await eventually_async(lambda: local.gateway.sessions[1].streams.lines)
    await local.control(fault="upstream_lost")
    await local.control(fault="upstream_restored", data_kept=False)
    await client.error(1101)
    assert [row["lines"] for row in await local.rows("sessions")] == [0]


async def test_the_daily_restart_throws_everybody_out_and_keeps_the_book(local: Local) -> None:
    client = await desk(local)
    kept = client.place()
    await client.status(kept, "Submitted")
    client.place(transmit=False, orderRef="never sent")
    client.place(orderRef="last")
    await local.control(fault="daily_restart", seconds=0.3)
    await eventually_async(lambda: client.closed)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", local.port)
    await eventually_async(lambda: _accepts(local.port))
    again = await desk(local)
    assert [trade.order.orderRef for trade in again.ib.openTrades()] == ["mine", "last"]
    assert again.ib.openTrades()[0].order.permId == kept.order.permId
    await again.error(2103)
    await again.error(2104)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_a_farm_flap_pauses_the_ticks_and_says_so(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="farm_flap", seconds=0.5)
    await client.error(2103)
    assert local.gateway.farms_broken
    await eventually_async(lambda: [code for _, code in client.errors][-3:] == [2104, 2106, 2158])
    assert not local.gateway.farms_broken


async def test_stale_data_stands_still_while_the_market_moves(local: Local) -> None:
    client = await desk(local)
    ticker = client.ib.reqMktData(AAPL)
    await eventually_async(lambda: ticker.bid == 199.99)
    await local.control(fault="data", symbol="AAPL", mode="stale")
    await local.control(set_price="AAPL", price=210.0, hold=True)
    assert ticker.bid == 199.99
    await local.control(fault="data", symbol="AAPL", mode="ok")
    await eventually_async(lambda: ticker.bid == 209.99)


async def test_a_halted_stock_says_so_and_does_not_trade(local: Local) -> None:
    client = await desk(local)
    ticker = client.ib.reqMktData(AAPL)
    await eventually_async(lambda: ticker.bid == 199.99)
    await local.control(fault="data", symbol="AAPL", mode="halted")
    await eventually_async(lambda: ticker.halted == 1)
    trade = client.market()
    await client.status(trade, "PreSubmitted")
    await local.control(fault="data", symbol="AAPL", mode="ok")
    await client.status(trade, "Filled")
    assert ticker.halted == 0


async def test_missing_prices_come_as_minus_one(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="data", symbol="AAPL", mode="none")
    ticker = client.ib.reqMktData(AAPL)
    await eventually_async(lambda: (ticker.bid, ticker.ask, ticker.last) == (-1, -1, -1))
    assert not ticker.hasBidAsk()


@pytest.mark.parametrize(("mode", "code"), [("refused", 354), ("delayed", 10089), ("competing", 10197)])
async def test_data_that_is_not_given_is_refused(local: Local, mode: str, code: int) -> None:
    client = await desk(local)
    await local.control(fault="data", symbol="AAPL", mode=mode)
    client.ib.reqMktData(AAPL)
    await client.error(code)


async def test_delayed_data_is_marked_as_such(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="data", symbol="AAPL", mode="delayed")
    client.ib.reqMarketDataType(3)
    ticker = client.ib.reqMktData(AAPL)
    await client.error(10167)
    await eventually_async(lambda: ticker.bid == 199.99)
    assert ticker.marketDataType == 3
    await local.control(fault="data", symbol="AAPL", mode="ok")
    await eventually_async(lambda: ticker.marketDataType == 1)


async def test_too_many_messages_end_the_connection_with_100(local: Local) -> None:
    client = await desk(local)
    for _ in range(60):
        client.ib.client.conn.sendMsg(b"\0\0\0\x0549\x001\x00")
    await client.error(100)
    await eventually_async(lambda: client.closed)


async def test_one_market_data_line_too_many_is_refused(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="line_limit", lines=0)
    client.ib.reqMktData(AAPL)
    await client.error(101)


async def test_a_history_request_can_meet_pacing(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="history", match={"symbol": "AAPL"}, code=162)
    assert not await client.ib.reqHistoricalDataAsync(AAPL, "", "600 S", "1 min", "TRADES", False, 2)
    await client.error(162)


@pytest.mark.parametrize("mode", ["split", "merge", "trickle"])
async def test_a_bad_network_delivers_everything_in_order(local: Local, mode: str) -> None:
    client = await desk(local)
    await local.control(fault="transport", mode=mode)
    trade = client.market()
    await client.status(trade, "Filled")
    await client.hears(1, "fee")
    assert [row[0] for row in client.heard] == ["status", "exec", "status", "status", "fee"]


async def test_a_half_open_socket_stays_up_and_silent(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="transport", mode="half_open", client_id=1)
    trade = client.market()
    await eventually_async(lambda: local.gateway.broker.executions)
    assert (client.ib.isConnected(), trade.orderStatus.status) == (True, "PendingSubmit")


async def test_a_fault_that_stays_meets_the_next_socket_until_it_is_cleared(local: Local) -> None:
    await local.control(fault="transport", mode="half_open", stay=True)
    assert local.gateway.transport_mode == "half_open"
    await local.control(clear_faults=True)
    assert (await desk(local)).ib.isConnected()


async def test_half_a_frame_is_the_last_that_a_wedged_stream_sends(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="transport", mode="half_frame", client_id=1)
    trade = client.market()
    await eventually_async(lambda: local.gateway.broker.executions)
    assert (client.ib.isConnected(), trade.orderStatus.status) == (True, "PendingSubmit")


async def test_ticks_may_go_on_without_any_answer(local: Local) -> None:
    client = await desk(local)
    ticker = client.ib.reqMktData(AAPL, "", False, False)
    await eventually_async(lambda: ticker.last == ticker.last)
    await local.control(fault="transport", mode="ticks_only", client_id=1)
    heard = ticker.time
    trade = client.market()
    await eventually_async(lambda: local.gateway.broker.executions)
    await eventually_async(lambda: ticker.time != heard, what="ticks go on")
    assert (client.ib.isConnected(), trade.orderStatus.status) == (True, "PendingSubmit")


async def test_every_strike_is_logged_with_its_number(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="silent_drop", match=MINE, times=2)
    for _ in range(3):
        client.place()
    await eventually_async(lambda: local.gateway.broker.open_orders())
    strikes = await local.rows("faults")
    assert [(row["sequence"], row["fault"]) for row in strikes] == [(1, "silent_drop"), (2, "silent_drop")]


@pytest.mark.parametrize(
    "command",
    [
        {"fault": "earthquake"},
        {"fault": "silent_drop", "match": {"colour": "red"}},
        {"fault": "disorder", "mode": "upside_down"},
        {"fault": "data", "symbol": "AAPL", "mode": "purple"},
        {"set_price": "AAPL", "price": -1},
        {"set_price": "AAPL", "price": "NaN"},
        {"set_price": "ZZUNKNOWN", "price": 5},
        {"shift": "AAPL", "pct": -100},
        {"query": "secrets"},
        {"fill": {"client_id": 1, "order_id": 999}},
        {"fault": "correction", "exec_id": "none"},
        {"fault": "lose_order", "match": {"order_ref": "nobody's"}},
        {"fault": "alter_order", "match": {"order_ref": "nobody's"}, "changes": {"quantity": 7}},
        {"hello": "world"},
        {},
    ],
)
async def test_a_control_command_that_makes_no_sense_is_refused_with_a_reason(local: Local, command: dict[str, object]) -> None:
    answer = await local.try_control(**command)
    assert not answer["ok"]
    assert answer["error"]


async def test_the_control_port_listens_on_loopback_only(local: Local) -> None:
    server: Server = local.server
    assert server._control_listener is not None
    assert {socket.getsockname()[0] for socket in server._control_listener.sockets} == {"127.0.0.1"}
