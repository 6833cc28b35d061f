"""Where the simulated gateway must answer as IB does: margin that is spoken for, what it does not simulate, what it cannot read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import ib_insync
import pytest

from positions.tests.gateway.conftest import Local
from positions.tests.gateway.desk_client import DeskClient, desk


async def alive(client: DeskClient) -> bool:
    """Whether the connection still answers."""
    return (await client.ib.reqCurrentTimeAsync()) is not None


NOT_SIMULATED: list[tuple[dict[str, Any], int]] = [
    ({"allOrNone": True}, 321),
    ({"minQty": 50}, 321),
    ({"hidden": True}, 321),
    ({"displaySize": 10}, 321),
    ({"discretionaryAmt": 0.05}, 321),
    ({"sweepToFill": True}, 321),
    ({"percentOffset": 0.01}, 321),
    ({"hedgeType": "D"}, 321),
    ({"adjustedOrderType": "STP", "triggerPrice": 140.0, "adjustedStopPrice": 139.0}, 321),
    ({"algoStrategy": "Vwap", "algoParams": [ib_insync.TagValue("maxPctVol", "0.1")]}, 400),
    ({"conditions": [ib_insync.PriceCondition(price=100.0, exch="SMART", isMore=True, conId=1)]}, 402),
]


@pytest.mark.parametrize(("attributes", "code"), NOT_SIMULATED, ids=[next(iter(fields)) for fields, _ in NOT_SIMULATED])
async def test_an_attribute_that_is_not_simulated_is_refused_and_never_ignored(local: Local, attributes: dict[str, Any], code: int) -> None:
    client = await desk(local)
    await client.error(code, client.market(**attributes).order.orderId)
    assert await local.rows("orders") == []
    await client.status(client.market(), "Filled")


async def test_an_exchange_that_nobody_knows_is_refused(local: Local) -> None:
    client = await desk(local)
    order = ib_insync.Order(action="BUY", totalQuantity=1, orderType="MKT")
    trade = client.ib.placeOrder(ib_insync.Stock("AAPL", "MOON", "USD"), order)
    await client.error(200, trade.order.orderId)
    assert await local.rows("orders") == []


async def test_working_orders_take_margin_and_what_a_change_adds_does_too(local: Local) -> None:
    client = await desk(local)
    await local.control(set_cash=100_000)  # at a half of the price, 1,000 shares at 200
    resting = client.place(totalQuantity=900, lmtPrice=190.0)
    await client.status(resting, "Submitted")
    beyond = client.place(totalQuantity=200, lmtPrice=190.0)
    await client.error(201, beyond.order.orderId)
    resting.order.totalQuantity = 1_100
    client.ib.placeOrder(resting.contract, resting.order)
    await client.error(201, resting.order.orderId)
    [row] = await local.rows("book")
    assert row["quantity"] == 900
    client.ib.cancelOrder(resting.order)
    await client.error(202, resting.order.orderId)
    await client.status(client.place(totalQuantity=200, lmtPrice=190.0), "Submitted")


async def test_exits_take_no_margin(local: Local) -> None:
    client = await desk(local)
    await local.control(set_cash=100_000)
    await client.status(client.market(totalQuantity=950), "Filled")
    await client.status(client.place(action="SELL", totalQuantity=950, lmtPrice=250.0), "Submitted")
    await client.status(client.place(action="SELL", totalQuantity=950, orderType="STP", auxPrice=150.0, lmtPrice=0.0), "PreSubmitted")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("20991201 15:00:00 US/Eastern", datetime(2099, 12, 1, 20, tzinfo=UTC)),
        ("20991201 15:00:00 MET", datetime(2099, 12, 1, 14, tzinfo=UTC)),
        ("20991201-15:00:00", datetime(2099, 12, 1, 15, tzinfo=UTC)),
    ],
)
async def test_the_zone_of_good_till_and_good_after_counts(local: Local, written: str, meant: datetime) -> None:
    client = await desk(local)
    await client.status(client.place(tif="GTD", goodTillDate=written), "Submitted")
    await client.status(client.place(goodAfterTime=written), "PreSubmitted")
    book = await local.rows("book")
    assert {row["good_till"] or row["good_after"] for row in book} == {meant.timestamp()}
    await client.error(321, client.place(tif="GTD", goodTillDate="20991201 15:00:00 Mars/Olympus").order.orderId)


@pytest.mark.parametrize(
    ("message", "request_id", "code"),
    [
        ((22, 4711, 10, "STK", "STK.US.MAJOR"), 4711, 321),  # a market scanner
        ((52, 2, 4712, 0, "AAPL"), 4712, 321),  # fundamentals
        ((86, 4713, 1, "BRFG", "", "", 10, ""), 4713, 321),  # news
        ((777, 4714), -1, 321),
        ((20, "many", "AAPL"), -1, 320),  # bars
        ((9, 8, 4715, "AAPL"), 4715, 320),  # contract details, cut short
        (("what", 1), -1, 320),
    ],
)
async def test_what_is_not_served_or_not_read_is_an_error_on_its_id_and_the_socket_lives(
    local: Local, message: tuple[Any, ...], request_id: int, code: int
) -> None:
    client = await desk(local)
    client.ib.client.send(*message)
    await client.error(code, request_id)
    assert await alive(client)
    assert not client.closed


@pytest.mark.parametrize("symbol", ["APPL", "TSLAA", "QQQQQ", "NOTLISTED", "BRK.B"])
async def test_a_symbol_that_is_not_listed_is_no_contract_and_no_order(local: Local, symbol: str) -> None:
    client = await desk(local)
    stock = ib_insync.Stock(symbol, "SMART", "USD")
    assert await client.ib.reqContractDetailsAsync(stock) == []
    trade = client.ib.placeOrder(stock, ib_insync.Order(action="BUY", totalQuantity=1, orderType="MKT"))
    await client.error(200, trade.order.orderId)


@pytest.mark.parametrize(("symbol", "con_id"), [("AAPL", 265598), ("SPY", 756733), ("BRK B", 0), ("BAC PRL", 0), ("S299", 0)])
async def test_a_listed_symbol_is_one_contract(local: Local, symbol: str, con_id: int) -> None:
    client = await desk(local)
    [details] = await client.ib.reqContractDetailsAsync(ib_insync.Stock(symbol, "SMART", "USD"))
    assert details.contract.symbol == symbol
    assert not con_id or details.contract.conId == con_id


async def test_a_symbol_that_is_listed_twice_is_ambiguous_until_the_exchange_is_named(local: Local) -> None:
    client = await desk(local)
    twice = ib_insync.Stock("ZZTWICE", "SMART", "USD")
    assert {d.contract.primaryExchange for d in await client.ib.reqContractDetailsAsync(twice)} == {"NYSE", "NASDAQ"}
    order = ib_insync.Order(action="BUY", totalQuantity=1, orderType="MKT")
    await client.error(200, client.ib.placeOrder(twice, order).order.orderId)
    named = ib_insync.Stock("ZZTWICE", "SMART", "USD", primaryExchange="NYSE")
    assert len(await client.ib.reqContractDetailsAsync(named)) == 1
