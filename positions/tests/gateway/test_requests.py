"""Every other request of the protocol, asked by unmodified ib_insync, and what garbage does to a connection."""

from __future__ import annotations

import asyncio
import math
import struct
from datetime import UTC, datetime
from pathlib import Path

import ib_insync
import pytest

from positions.gateway.gateway import Gateway
from positions.gateway.hours import Hours
from positions.gateway.orders import Kind, OrderSpec, Side
from positions.tests.gateway.conftest import SEED, Local
from positions.tests.gateway.desk_client import AAPL, desk
from tradingsite.testing.patience import PATIENCE, eventually_async


async def test_every_part_of_the_connect_sequence_arrives(local: Local) -> None:
    client = await desk(local)
    assert client.ib.managedAccounts() == ["DUSIM001"]
    names = [row["name"] for row in await local.rows("received")]
    assert sorted(names) == [
        "REQ_ACCOUNT_UPDATES",
        "REQ_ACCOUNT_UPDATES_MULTI",
        "REQ_COMPLETED_ORDERS",
        "REQ_EXECUTIONS",
        "REQ_OPEN_ORDERS",
        "REQ_POSITIONS",
    ]
    assert [code for _, code in client.errors] == [2104, 2106, 2158]


async def test_contract_details_name_rule_hours_and_sizes(local: Local) -> None:
    client = await desk(local)
    (details,) = await client.ib.reqContractDetailsAsync(AAPL)
    assert details.contract.primaryExchange == "NASDAQ"
    assert len(details.marketRuleIds.split(",")) == len(details.validExchanges.split(","))
    assert details.timeZoneId == "US/Eastern"
    assert (details.minSize, details.sizeIncrement) == (1, 1)
    rule = await client.ib.reqMarketRuleAsync(int(details.marketRuleIds.split(",")[0]))
    assert [(step.lowEdge, step.increment) for step in rule] == [(0.0, 0.0001), (1.0, 0.01)]
    by_id = await client.ib.reqContractDetailsAsync(ib_insync.Contract(conId=details.contract.conId))
    assert by_id[0].contract.symbol == "AAPL"


async def test_symbols_are_found_by_their_beginning(local: Local) -> None:
    client = await desk(local)
    found = await client.ib.reqMatchingSymbolsAsync("AA")
    assert "AAPL" in [description.contract.symbol for description in found]


async def test_there_are_no_options(local: Local) -> None:
    client = await desk(local)
    assert not await client.ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 1)


async def test_a_snapshot_ends(local: Local) -> None:
    client = await desk(local)
    (ticker,) = await client.ib.reqTickersAsync(AAPL)
    assert (ticker.bid, ticker.ask, ticker.last) == (199.99, 200.01, 200.0)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Last", {"price": 200.0}),
        ("AllLast", {"price": 200.0}),
        ("BidAsk", {"bidPrice": 199.99, "askPrice": 200.01}),
        ("MidPoint", {"midPoint": 200.0}),
    ],
)
async def test_tick_by_tick_data_flows(local: Local, kind: str, expected: dict[str, float]) -> None:
    client = await desk(local)
    ticker = client.ib.reqTickByTickData(AAPL, kind)
    await eventually_async(lambda: ticker.tickByTicks)
    tick = ticker.tickByTicks[0]
    assert {name: getattr(tick, name) for name in expected} == expected


async def test_generic_ticks_bring_volume_and_shortability(local: Local) -> None:
    client = await desk(local)
    ticker = client.ib.reqMktData(AAPL, "233,236")
    await eventually_async(lambda: ticker.shortableShares > 0 and ticker.rtTime)
    assert ticker.volume > 0
    assert ticker.high >= ticker.low > 0
    assert ticker.marketDataType == 1


async def test_a_released_stock_ticks_again(local: Local) -> None:
    client = await desk(local)
    ticker = client.ib.reqMktData(AAPL)
    await eventually_async(lambda: ticker.last == 200.0)
    await local.control(release="AAPL")
    await eventually_async(lambda: ticker.last != 200.0)
    assert abs(ticker.last - 200.0) < 5


async def test_a_shift_moves_the_price_by_its_per_cent(local: Local) -> None:
    await local.control(release="AAPL")
    before = local.gateway.broker.last("AAPL")
    after = (await local.control(shift="AAPL", pct=-10))["last"]
    assert after == pytest.approx(before * 0.9, rel=0.01)


@pytest.mark.parametrize(
    ("size", "duration", "count"), [("1 min", "1800 S", 30), ("5 mins", "1 D", 288), ("1 hour", "2 D", 48), ("1 day", "1 W", 7)]
)
async def test_history_comes_in_all_sizes(local: Local, size: str, duration: str, count: int) -> None:
    client = await desk(local)
    bars = await client.ib.reqHistoricalDataAsync(AAPL, "", duration, size, "TRADES", False, 2)
    assert count <= len(bars) <= count + 1
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
    assert sorted(bar.date for bar in bars) == [bar.date for bar in bars]


async def test_history_up_to_a_past_moment_ends_there(local: Local) -> None:
    client = await desk(local)
    end = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
    bars = await client.ib.reqHistoricalDataAsync(AAPL, end, "600 S", "1 min", "TRADES", False, 2)
    assert [bar.date.minute for bar in bars] == list(range(50, 60))


@pytest.mark.parametrize(
    ("size", "duration", "what"), [("7 mins", "1 D", "TRADES"), ("1 min", "1 X", "TRADES"), ("1 min", "1 D", "GOSSIP")]
)
async def test_a_history_request_of_unknown_words_is_refused(local: Local, size: str, duration: str, what: str) -> None:
    client = await desk(local)
    assert not await client.ib.reqHistoricalDataAsync(AAPL, "", duration, size, what, False, 2)
    await client.error(321)


async def test_bars_are_kept_up_to_date_until_cancelled(local: Local) -> None:
    client = await desk(local)
    bars = await client.ib.reqHistoricalDataAsync(AAPL, "", "600 S", "1 min", "TRADES", False, 2, True)
    await local.control(set_price="AAPL", price=222.0, hold=True)
    await eventually_async(lambda: bars[-1].high >= 222.0)
    client.ib.cancelHistoricalData(bars)
    await client.error(162)


async def test_five_second_bars_arrive(local: Local) -> None:
    client = await desk(local)
    bars = client.ib.reqRealTimeBars(AAPL, 5, "TRADES", False)
    await eventually_async(lambda: len(bars) >= 1)
    assert bars[0].time.second % 5 == 0


async def test_head_timestamp_and_time_are_answered(local: Local) -> None:
    client = await desk(local)
    assert (await client.ib.reqHeadTimeStampAsync(AAPL, "TRADES", False, 2)).year == 2000
    assert abs((await client.ib.reqCurrentTimeAsync()).timestamp() - local.gateway.now()) < 2


async def test_profit_and_loss_follow_the_price(local: Local) -> None:
    client = await desk(local)
    trade = client.market()
    await client.status(trade, "Filled")
    whole, single = client.ib.reqPnL("DUSIM001"), client.ib.reqPnLSingle("DUSIM001", "", trade.contract.conId or await con_id(client.ib))
    await local.control(set_price="AAPL", price=210.0, hold=True)
    await eventually_async(lambda: single.unrealizedPnL == pytest.approx(100 * 210 - 100 * 200.01 - 1.0))
    await eventually_async(lambda: not math.isnan(whole.unrealizedPnL) and whole.unrealizedPnL == pytest.approx(single.unrealizedPnL))
    assert (single.position, single.value) == (100, 21_000)


async def con_id(ib: ib_insync.IB) -> int:
    return int((await ib.reqContractDetailsAsync(AAPL))[0].contract.conId)


async def test_account_summary_and_portfolio_agree_with_the_gateway(local: Local) -> None:
    client = await desk(local)
    await client.status(client.market(), "Filled")
    truth = (await local.control(query="account"))["rows"]
    summary = {value.tag: value.value for value in await client.ib.accountSummaryAsync()}
    assert float(summary["TotalCashValue"]) == pytest.approx(truth["cash"], abs=0.01)
    await eventually_async(lambda: [item.position for item in client.ib.portfolio()] == [100])
    await eventually_async(lambda: client.ib.portfolio()[0].averageCost == pytest.approx(200.02))


async def test_a_what_if_answers_margin_and_places_nothing(local: Local) -> None:
    client = await desk(local)
    state = await client.ib.whatIfOrderAsync(AAPL, ib_insync.MarketOrder("BUY", 100))
    assert (float(state.initMarginChange), state.commission) == (10_000.0, 1.0)
    assert await local.rows("orders") == []


async def test_a_global_cancel_empties_the_book(local: Local) -> None:
    client = await desk(local)
    trades = [client.place(), client.place()]
    for trade in trades:
        await client.status(trade, "Submitted")
    client.ib.reqGlobalCancel()
    for trade in trades:
        await client.status(trade, "Cancelled")


async def test_a_client_sees_others_orders_only_when_it_asks_for_all_and_can_not_cancel_them(local: Local) -> None:
    owner, other = await desk(local, 1), await desk(local, 2)
    trade = owner.place()
    await owner.status(trade, "Submitted")
    assert await other.ib.reqOpenOrdersAsync() == []
    assert [found.order.clientId for found in await other.ib.reqAllOpenOrdersAsync()] == [1]
    other.ib.client.cancelOrder(trade.order.orderId)
    await other.error(10147, trade.order.orderId)
    assert trade.orderStatus.status == "Submitted"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"eTradeOnly": True}, 10268),
        ({"firmQuoteOnly": True}, 10269),
        ({"orderType": "PEG MKT"}, 321),
        ({"action": "HOLD"}, 321),
        ({"totalQuantity": 0}, 321),
        ({"totalQuantity": 1.5}, 321),
        ({"lmtPrice": -5.0}, 321),
        ({"lmtPrice": 100.001}, 110),
        ({"tif": "SOON"}, 321),
        ({"account": "DU999"}, 321),
        ({"goodTillDate": "tomorrow", "tif": "GTD"}, 321),
        ({"totalQuantity": 600_000}, 201),
        ({"orderType": "LOC", "tif": "GTC"}, 387),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_with_ibs_code(local: Local, fields: dict[str, object], code: int) -> None:
    client = await desk(local)
    trade = client.place(**fields)
    await client.error(code, trade.order.orderId)
    assert await local.rows("orders") == []


async def test_an_order_beyond_the_margin_is_refused_but_one_that_reduces_is_not(local: Local) -> None:
    client = await desk(local)
    await client.status(client.market(totalQuantity=1000), "Filled")
    await local.control(set_cash=-199_000)
    refused = client.market(totalQuantity=1000)
    await client.error(201, refused.order.orderId)
    await client.status(client.market(action="SELL", totalQuantity=1000), "Filled")


# Garbage


def frame(*fields: str) -> bytes:
    payload = "".join(field + "\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


HELLO = b"API\0" + struct.pack(">I", 9) + b"v157..176"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"API\0" + struct.pack(">I", 1 << 31),
        b"API\0" + struct.pack(">I", 6) + b"v10..9",
        b"API\0" + struct.pack(">I", 3) + b"abc",
        HELLO + struct.pack(">I", 0),
        HELLO + struct.pack(">I", 0xFFFFFFFF),
        HELLO + frame("71", "2", "x", ""),
        HELLO + frame("1", "11"),
        HELLO + frame("71", "2", "9", "") + frame("4711", "1"),
        HELLO + frame("71", "2", "9", "") + frame("49", "1", "left over"),
        HELLO + frame("71", "2", "9", "") + frame("3", "1", "nonsense"),
        HELLO + frame("71", "2", "9", "") + b"\0\0\0\x02\xff\xfe",
        HELLO + frame("71", "2", "9", "") + b"\0\0\0\x40half a frame",
    ],
)
async def test_garbage_ends_its_own_connection_and_no_other(local: Local, data: bytes) -> None:
    healthy = await desk(local)
    reader, writer = await asyncio.open_connection("127.0.0.1", local.port)
    writer.write(data)
    writer.write_eof()
    await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    await writer.wait_closed()
    assert await healthy.ib.reqCurrentTimeAsync()
    assert [row["client_id"] for row in await local.rows("sessions")] == [1]


# Calendar


def test_a_calendar_gateway_knows_weekends_and_half_days() -> None:
    hours = Hours("XNYS")
    thanksgiving_friday = datetime(2026, 11, 27, 14, 0, tzinfo=UTC).timestamp()
    assert "20261127:0930-20261127:1300;20261128:CLOSED" in hours.liquid_hours(thanksgiving_friday)
    assert not hours.is_open(thanksgiving_friday)
    assert hours.is_open(thanksgiving_friday, outside_regular=True)
    assert hours.is_open(thanksgiving_friday + 3600)
    assert not hours.is_open(thanksgiving_friday + 5 * 3600)


def test_a_day_order_sent_after_the_close_lives_until_the_next_close(tmp_path: Path) -> None:
    broker = Gateway(seed=SEED, state_dir=tmp_path, calendar="XNYS").broker
    broker.advance(datetime(2026, 3, 3, 21, 30, tzinfo=UTC).timestamp())
    broker.place(OrderSpec(client_id=1, order_id=1, symbol="AAPL", side=Side.BUY, quantity=1, kind=Kind.LIMIT, limit_price=1.0))
    order = broker.exchange.book.orders[1, 1]
    broker.advance(datetime(2026, 3, 4, 20, 59, tzinfo=UTC).timestamp())
    assert order.live
    broker.advance(datetime(2026, 3, 4, 21, 0, tzinfo=UTC).timestamp())
    assert order.completed_status == "Expired"
    broker.store.close()


def test_out_of_hours_an_order_is_held_unless_it_may_trade_outside(tmp_path: Path) -> None:
    gateway = Gateway(seed=SEED, state_dir=tmp_path, calendar="XNYS")
    broker = gateway.broker
    broker.now = datetime(2026, 3, 3, 23, 30, tzinfo=UTC).timestamp()  # 18:30 in New York
    order = {"client_id": 1, "symbol": "AAPL", "side": Side.BUY, "quantity": 1.0, "kind": Kind.MARKET}
    held = broker.place(OrderSpec(order_id=1, **order))
    assert [getattr(report, "code", 0) for report in held] == [0, 399]
    broker.place(OrderSpec(order_id=2, outside_rth=True, **order))
    broker.match({"AAPL": broker.prices.quote("AAPL", broker.now)})
    assert [execution.order_id for execution in broker.executions] == [2]
    broker.store.close()
