"""The adapter with the real library, over a real socket, against the simulated gateway in the same loop."""

import asyncio
import dataclasses
from dataclasses import replace
from datetime import timedelta

import pytest

from events.clock import utc_now
from events.order import OrderSide, OrderType
from positions.broker.ib import IbBroker, IbSettings
from positions.domain.ports import (
    LinkDown,
    LinkState,
    NothingWritten,
    OrderTicket,
    PartlyWritten,
    RecoveryHint,
    SyncIncomplete,
    UnknownContract,
)
from positions.gateway.transport import Mode
from positions.gateway.wire import Incoming
from positions.tests.broker.conftest import Heard, bracket
from tradingsite.testing.patience import PATIENCE, eventually_async


async def test_connecting_gives_the_whole_first_picture(desk, heard):
    broker = desk.broker(heard)
    picture = await broker.connect()
    assert picture.complete
    assert picture.account_values["TotalCashValue"] > 0
    assert picture.next_order_id >= 1
    assert broker.account.startswith("DUSIM")
    assert [state for state, _ in heard.links] == [LinkState.CONNECTING, LinkState.SYNCING, LinkState.CONNECTED]


async def test_a_family_is_reported_with_its_references_and_filled_once(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    entry, _, stop = await bracket(broker)
    await eventually_async(lambda: heard.commissions, what="filled and charged")
    assert [(e.order_ref, e.quantity) for e in heard.executions] == [(entry.order_ref, 100)]
    await eventually_async(lambda: "PreSubmitted" in heard.statuses(stop.order_ref), what="the stop rests")
    assert all(report.order_ref for report in heard.orders)


async def test_a_modify_changes_the_resting_order(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    _, _, stop = await bracket(broker)
    await eventually_async(lambda: heard.executions, what="filled")
    moved = dataclasses.replace(stop, stop_price=stop.stop_price + 1, parent_ib_order_id=0)
    await broker.modify(moved)
    await eventually_async(
        lambda: any(r.order_ref == stop.order_ref and r.stop_price == moved.stop_price for r in heard.orders), what="the stop moved"
    )


async def test_a_fresh_session_finds_open_completed_executed_and_held(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    entry, target, stop = await bracket(broker)
    await eventually_async(lambda: heard.commissions, what="filled")
    await broker.disconnect()
    picture = await desk.broker(Heard()).connect()
    assert {r.order_ref for r in picture.open_orders} == {target.order_ref, stop.order_ref}
    assert entry.order_ref in {r.order_ref for r in picture.completed_orders}
    assert [(e.order_ref, e.from_query) for e in picture.executions] == [(entry.order_ref, True)]
    assert [c.exec_id for c in picture.commissions] == [e.exec_id for e in picture.executions]
    assert [(p.symbol, p.quantity) for p in picture.positions] == [("AAPL", 100)]
    assert picture.next_order_id > stop.ib_order_id


async def test_reserved_ids_never_repeat_and_stay_above_what_was_used(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    first, second = broker.reserve_ids(3), broker.reserve_ids(2, above=500)
    assert len({*first, *second}) == 5
    assert min(second) > 500


async def test_a_busy_client_id_is_said_at_once_and_leaves_no_socket(desk, heard):
    await desk.broker(Heard()).connect()
    second = desk.broker(heard, connect_timeout=10 * PATIENCE)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(LinkDown, match="client id 17 is in use"):
            await second.connect()
    assert second.link is LinkState.DISCONNECTED
    assert len((await desk.control(query="sessions"))["rows"]) == 1


async def test_a_gateway_that_is_not_there_is_a_link_down(desk, heard):
    nobody = IbBroker(IbSettings(port=1), heard)
    with pytest.raises(LinkDown):
        await nobody.connect()
    assert nobody.link is LinkState.DISCONNECTED


async def test_a_gateway_that_never_greets_is_a_link_down_that_says_so(desk, heard):
    await desk.control(fault="no_greeting", times=1)
    with pytest.raises(LinkDown, match=r"it did not answer in time$"):
        await desk.broker(heard, connect_timeout=0.5).connect()


def asked(desk, name, *, since=""):
    """How often the gateway was asked this, since it was last asked `since`."""
    names = [row.name for row in desk.server.gateway.received]
    return names[len(names) - names[::-1].index(since) if since in names else 0 :].count(name)


@pytest.mark.parametrize("off", [0.0, 61.0, -3600.0])
async def test_the_heartbeat_finds_how_far_our_clock_is_off(desk, heard, monkeypatch, off):
    broker = desk.broker(heard)
    monkeypatch.setattr("positions.broker.ib.utc_now", lambda: utc_now() + timedelta(seconds=off))
    await broker.connect()
    if off:
        await eventually_async(lambda: broker.clock_skew)
    else:  # the first answer was heard before the second question
        await eventually_async(lambda: asked(desk, "REQ_CURRENT_TIME") >= 2, what="a heartbeat was answered")
    assert broker.clock_skew == pytest.approx(off, abs=1.5)
    await broker.disconnect()


async def test_a_half_open_socket_is_noticed_by_the_heartbeat(desk, heard):
    broker = desk.broker(heard, heartbeat_patience=1.0)
    await broker.connect()
    await desk.control(fault="transport", mode="half_open")
    await eventually_async(lambda: broker.link is LinkState.DISCONNECTED, what="the dead link is noticed")
    with pytest.raises(LinkDown):
        await broker.snapshot()


async def test_a_snapshot_on_a_silent_socket_is_not_an_empty_one(desk, heard):
    broker = desk.broker(heard, heartbeat_seconds=10 * PATIENCE)
    await broker.connect()
    broker.settings = replace(broker.settings, request_timeout=0.5)
    await desk.control(fault="transport", mode="half_open")
    picture = await broker.snapshot()
    assert not picture.complete
    assert "open_orders" in picture.missing


async def test_what_breaks_before_the_first_byte_is_known_to_have_told_the_broker_nothing(desk, heard):
    broken = True

    def last_look(tickets):
        if broken:
            raise RuntimeError("the last look broke")

    broker = desk.broker(heard, before_send=last_look)
    await broker.connect()
    with pytest.raises(NothingWritten, match="before anything was written: the last look broke"):
        await bracket(broker, limit=1.0)
    broken = False
    parent, *_ = family = await bracket(broker, limit=1.0)
    broken = True
    with pytest.raises(NothingWritten):
        await broker.modify(replace(parent, limit_price=2.0))
    await broker.cancel(parent.ib_order_id)  # read by the gateway after all that was written before it
    await eventually_async(lambda: "Cancelled" in heard.statuses(parent.order_ref), what="the family is cancelled")
    orders = {order["order_id"]: order for order in (await desk.control(query="orders"))["rows"]}
    assert set(orders) == {ticket.ib_order_id for ticket in family}
    assert orders[parent.ib_order_id]["limit_price"] == 1.0


async def test_what_breaks_within_a_family_names_the_legs_that_were_not_written(desk, heard, monkeypatch):
    broker = desk.broker(heard)
    await broker.connect()
    place, given = broker._ib.client.placeOrder, []

    def breaks(number, contract, order):
        given.append(number)
        if len(given) == 2:
            raise RuntimeError("it broke")
        place(number, contract, order)

    monkeypatch.setattr(broker._ib.client, "placeOrder", breaks)
    with pytest.raises(PartlyWritten, match="RuntimeError: it broke") as broken:
        await bracket(broker, limit=1.0)
    assert list(broken.value.unwritten) == [given[0] + 2]
    await broker.cancel(given[0])  # read by the gateway after all that was written before it
    await eventually_async(lambda: any("Cancelled" in heard.statuses(order.order_ref) for order in heard.orders), what="it is cancelled")
    assert [order["order_id"] for order in (await desk.control(query="orders"))["rows"]] == [given[0]]


async def test_nothing_is_sent_while_ib_is_away_and_its_return_is_told_once(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    heard.links.clear()
    for _ in range(3):  # IB repeats 1100 many times
        await desk.control(fault="notice", code=1100, text="Connectivity between IB and Trader Workstation has been lost.")
    await eventually_async(lambda: broker.link is LinkState.UPSTREAM_LOST, what="1100 is heard")
    with pytest.raises(LinkDown):
        await bracket(broker, limit=1.0)
    await desk.control(fault="notice", code=1101, text="Connectivity restored, data lost.")
    await eventually_async(lambda: broker.link is LinkState.CONNECTED, what="1101 is heard")
    assert heard.links == [(LinkState.UPSTREAM_LOST, RecoveryHint.NONE), (LinkState.CONNECTED, RecoveryHint.DATA_LOST)]


async def test_a_dropped_socket_is_told_and_a_new_session_works(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    await desk.control(fault="drop_socket")
    await eventually_async(lambda: broker.link is LinkState.DISCONNECTED, what="the drop is told")
    assert (await broker.connect()).complete


async def test_an_unknown_symbol_is_not_a_contract(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    with pytest.raises(UnknownContract):
        await broker.qualify("ZZUNKNOWN1")
    with pytest.raises(UnknownContract):
        await broker.qualify("<b>AAPL</b>")


async def test_ticks_stream_and_minus_one_prices_are_none(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    await broker.subscribe("AAPL")
    await eventually_async(lambda: [t for t in heard.ticks if t.symbol == "AAPL" and t.last and t.bid and t.ask], what="a whole tick")
    await desk.control(fault="data", symbol="AAPL", mode="none")
    await eventually_async(lambda: heard.ticks[-1].bid is None, what="-1 is heard as nothing")
    assert not desk.faults


async def test_margin_is_asked_without_placing_anything(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    contract = await broker.qualify("AAPL")
    ticket = OrderTicket(
        order_ref="what-if", ib_order_id=broker.reserve_ids(1)[0], contract=contract, side=OrderSide.BUY, order_type=OrderType.MARKET,
        quantity=100, account=broker.account,
    )  # fmt: skip
    effect = await broker.what_if(ticket)
    assert effect is not None
    assert effect.initial_change > 0
    assert (await desk.control(query="orders"))["rows"] == []


async def test_a_listener_that_raises_is_an_alarm_and_the_session_goes_on(desk, heard):
    def broken(report):
        raise RuntimeError("a bug of ours")

    broker = desk.broker(heard)
    await broker.connect()
    heard.on_execution = broken
    await bracket(broker)
    await eventually_async(lambda: desk.faults, what="the alarm")
    assert (await broker.snapshot()).complete


async def test_a_picture_that_never_ends_does_not_count_as_connected(desk, heard):
    broker = desk.broker(heard)
    original = broker.snapshot

    async def silent():
        return dataclasses.replace(await original(), missing=("executions",))

    broker.snapshot = silent
    with pytest.raises(SyncIncomplete, match="executions"):
        await broker.connect()
    assert broker.link is LinkState.DISCONNECTED


BROKEN_LINKS = ("half_open", "half_frame", "ticks_only")


@pytest.mark.parametrize("mode", BROKEN_LINKS)
async def test_a_wedged_stream_is_noticed_although_ticks_or_lists_go_on(desk, heard, mode):
    """Also while a snapshot waits for its lists, which have more patience than the heartbeat."""
    broker = desk.broker(heard, request_timeout=10 * PATIENCE, heartbeat_patience=0.5)
    await broker.connect()
    await broker.subscribe("AAPL")
    await desk.control(fault="transport", mode=mode)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(LinkDown):
            await broker.snapshot()
    assert broker.link is LinkState.DISCONNECTED


@pytest.mark.parametrize("mode", BROKEN_LINKS)
async def test_a_stream_that_wedges_while_connecting_is_noticed_as_soon(desk, heard, mode):
    def wedge(state, detail, hint):
        if state is LinkState.SYNCING:
            for session in desk.server.gateway.sessions.values():
                session.transport.mode = Mode(mode)

    heard.on_link = wedge
    broker = desk.broker(heard, request_timeout=10 * PATIENCE, heartbeat_patience=0.5)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(LinkDown):
            await broker.connect()


async def test_a_slow_line_that_brings_rows_of_a_list_is_not_a_dead_one(desk, heard):
    broker = desk.broker(heard, request_timeout=10 * PATIENCE, heartbeat_patience=1.2)
    await broker.connect()
    for _ in range(3):
        await bracket(broker, limit=1.0)
    await desk.control(fault="transport", mode="trickle")
    began = asyncio.get_running_loop().time()
    picture = await broker.snapshot()
    assert asyncio.get_running_loop().time() - began > 2.4  # the answer about the time waited behind the rows for longer than its patience
    assert picture.complete
    assert len(picture.open_orders) == 9
    assert broker.link is LinkState.CONNECTED


async def test_the_heartbeat_waits_for_no_other_question(desk, heard):
    """A list that never ends holds no heartbeat back: the gateway hears the time of day asked while it is read."""
    broker = desk.broker(heard)
    await broker.connect()
    desk.server.gateway.handlers[Incoming.REQ_ALL_OPEN_ORDERS] = lambda session, request: None
    reading = asyncio.create_task(broker.open_orders())
    await eventually_async(lambda: asked(desk, "REQ_ALL_OPEN_ORDERS"), what="the list is asked for")
    await eventually_async(lambda: asked(desk, "REQ_CURRENT_TIME", since="REQ_ALL_OPEN_ORDERS") >= 2, what="heartbeats beside it")
    assert not reading.done()
    assert broker.link is LinkState.CONNECTED
    await broker.disconnect()
    with pytest.raises(LinkDown):
        await reading


async def test_a_list_that_never_ends_is_none_and_no_reason_to_hang_up(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    broker.settings = replace(broker.settings, request_timeout=0.5)
    desk.server.gateway.handlers[Incoming.REQ_ALL_OPEN_ORDERS] = lambda session, request: None
    assert await broker.open_orders() is None
    assert broker.link is LinkState.CONNECTED
