"""What a gateway still knows after kill -9: everything it had acknowledged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import ib_insync
import pytest

from positions.gateway.gateway import Gateway
from positions.gateway.hours import day_begin
from positions.gateway.orders import Kind, OrderSpec, Side, Status, Tif
from positions.tests.gateway.clients.control import Control
from positions.tests.gateway.conftest import SEED, Process
from tradingsite.testing.patience import PATIENCE, eventually_async

AAPL = ib_insync.Stock("AAPL", "SMART", "USD")
QUERIES = ("orders", "executions", "positions")


def spec(order_id: int, kind: Kind, side: Side = Side.BUY, **more: object) -> OrderSpec:
    return OrderSpec(**{"client_id": 1, "order_id": order_id, "symbol": "AAPL", "side": side, "quantity": 10, "kind": kind, **more})  # type: ignore[arg-type]


OPENED: list[Gateway] = []


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    while OPENED:
        OPENED.pop().broker.store.close()


def opened(state: Path) -> Gateway:
    OPENED.append(Gateway(seed=SEED, state_dir=state))
    return OPENED[-1]


def reopened(_gateway: Gateway, state: Path) -> Gateway:
    """The same folder in a new gateway, while the old one has said no goodbye."""
    return opened(state)


def trade(gateway: Gateway) -> None:
    broker = gateway.broker
    broker.now = gateway.now()
    broker.match({"AAPL": broker.prices.quote("AAPL", broker.now)})


async def test_a_killed_gateway_comes_back_with_its_book_executions_positions_and_money(gateway_process: Process) -> None:
    control = Control(gateway_process.control_port, PATIENCE)
    control(set_price="AAPL", price=200.0, hold=True)
    client = await connected(gateway_process)
    bought = client.placeOrder(AAPL, ib_insync.MarketOrder("BUY", 100))
    resting = client.placeOrder(AAPL, ib_insync.StopOrder("SELL", 100, 190.0, tif="GTC"))
    await eventually_async(lambda: bought.orderStatus.status == "Filled" and resting.orderStatus.status == "PreSubmitted")
    before = {query: control(query=query)["rows"] for query in QUERIES}
    cash = control(query="account")["rows"]["cash"]

    control.close()
    gateway_process.process.kill()
    await eventually_async(lambda: not client.isConnected())
    gateway_process.start()

    control = Control(gateway_process.control_port, PATIENCE)
    assert {query: control(query=query)["rows"] for query in QUERIES} == before
    assert control(query="account")["rows"]["cash"] == cash
    again = await connected(gateway_process)
    assert again.client.getReqId() > resting.order.orderId
    assert [trade.order.permId for trade in again.openTrades()] == [resting.order.permId]
    control(set_price="AAPL", price=189.0, hold=True)
    await eventually_async(lambda: again.openTrades() == [])
    assert control(query="positions")["rows"] == []
    again.disconnect()
    control.close()


async def connected(gateway: Process) -> ib_insync.IB:
    client = ib_insync.IB()
    await client.connectAsync("127.0.0.1", gateway.port, clientId=3)
    return client


def test_order_ids_stay_used_and_perm_ids_and_exec_ids_go_on(state: Path) -> None:
    gateway = opened(state)
    gateway.broker.place(spec(7, Kind.MARKET))
    trade(gateway)
    first = gateway.broker.executions[0]
    gateway = reopened(gateway, state)
    assert gateway.broker.next_order_id(1) == 8
    assert [getattr(report, "code", 0) for report in gateway.broker.place(spec(7, Kind.MARKET))] == [103]
    gateway.broker.place(spec(8, Kind.MARKET))
    trade(gateway)
    second = gateway.broker.executions[1]
    assert second.perm_id > first.perm_id
    assert second.exec_id > first.exec_id


def test_a_bracket_stays_a_family(state: Path) -> None:
    gateway = opened(state)
    gateway.broker.place(spec(1, Kind.LIMIT, limit_price=1.0, tif=Tif.GTC, transmit=False))
    gateway.broker.place(spec(2, Kind.STOP, Side.SELL, stop_price=0.5, parent_id=1, tif=Tif.GTC))
    gateway = reopened(gateway, state)
    gateway.broker.cancel(1, 1)
    assert {order.status for order in gateway.broker.exchange.book.orders.values()} == {Status.CANCELLED}


def test_untransmitted_orders_are_forgotten(state: Path) -> None:
    gateway = opened(state)
    gateway.broker.place(spec(1, Kind.LIMIT, limit_price=1.0, transmit=False))
    gateway = reopened(gateway, state)
    assert gateway.broker.exchange.book.orders == {}


def test_a_trailing_stop_keeps_the_level_it_had_reached(state: Path) -> None:
    gateway = opened(state)
    broker = gateway.broker
    broker.move_price(lambda prices, at: prices.set_price("AAPL", 200.0, at, hold=True), {})
    broker.place(spec(1, Kind.TRAIL, Side.SELL, trail_amount=5.0, tif=Tif.GTC))
    trade(gateway)
    broker.move_price(lambda prices, at: prices.set_price("AAPL", 210.0, at, hold=True), {})
    trade(gateway)
    gateway = reopened(gateway, state)
    assert gateway.broker.exchange.book.orders[1, 1].stop_price == 205.0
    assert gateway.broker.last("AAPL") == 210.0


def test_at_midnight_the_lists_are_emptied_and_day_orders_expire(state: Path) -> None:
    gateway = opened(state)
    broker = gateway.broker
    broker.place(spec(1, Kind.MARKET))
    trade(gateway)
    broker.place(spec(2, Kind.LIMIT, limit_price=1.0))
    broker.place(spec(3, Kind.LIMIT, limit_price=1.0, tif=Tif.GTC))
    broker.advance(day_begin(gateway.now()) + 86_400 + 1)
    assert broker.executions == []
    assert {order.spec.order_id: order.status for order in broker.exchange.book.orders.values()} == {
        2: Status.CANCELLED,
        3: Status.SUBMITTED,
    }
    assert [getattr(report, "code", 0) for report in broker.place(spec(1, Kind.MARKET))] == [103]
    assert [holding.quantity for holding in broker.holdings()] == [10]


def test_the_ledger_tells_everything_and_can_not_be_rewritten(state: Path) -> None:
    gateway = opened(state)
    gateway.broker.place(spec(1, Kind.MARKET))
    trade(gateway)
    ledger = gateway.broker.store.ledger()
    assert [row["kind"] for row in ledger] == ["place", "status", "execution", "status"]
    assert ledger[2]["data"]["quantity"] == 10
    gateway.broker.store.close()
    with sqlite3.connect(state / "gateway.sqlite3") as database, pytest.raises(sqlite3.IntegrityError):
        database.execute("DELETE FROM ledger")
    database.close()


def test_positions_and_cash_can_be_recomputed_from_the_ledger_alone(state: Path) -> None:
    gateway = opened(state)
    for number in range(1, 12):
        gateway.broker.place(spec(number, Kind.MARKET, Side.BUY if number % 3 else Side.SELL))
        trade(gateway)
    executions = [row["data"] for row in gateway.broker.store.ledger() if row["kind"] == "execution"]
    signs = {"BUY": 1, "SELL": -1}
    shares = sum(signs[row["side"]] * row["quantity"] for row in executions)
    cash = 250_000 - sum(signs[row["side"]] * row["quantity"] * row["price"] + row["commission"] for row in executions)
    assert gateway.broker.account.holdings["AAPL"].quantity == shares
    assert gateway.broker.account.cash == pytest.approx(cash, abs=1e-4)
