"""Three hundred symbols at four ticks a second: what a tick costs, what a client gets, and that midnight costs no more."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import ib_insync
import pytest

from positions.gateway.gateway import Gateway
from positions.gateway.market import Market, Quote
from positions.gateway.market_calendar import DAY, day_of, day_start
from positions.gateway.orders import Kind, OrderSpec, Side, Tif
from positions.gateway.server import TICK_SECONDS
from positions.gateway.wire import PACED
from positions.tests.gateway.conftest import Local
from positions.tests.gateway.desk_client import DeskClient
from tradingsite.testing.patience import eventually_async

SYMBOLS = [f"S{number:03d}" for number in range(300)]
PASS_SECONDS = TICK_SECONDS / 4
LINES = 300


class Ticks:
    """How often each symbol of a client had news."""

    def __init__(self, client: DeskClient) -> None:
        self.of: dict[str, int] = dict.fromkeys(SYMBOLS, 0)
        self.client = client
        client.ib.pendingTickersEvent += self._on_tickers

    def _on_tickers(self, tickers: set[ib_insync.Ticker]) -> None:
        for ticker in tickers:
            if ticker.contract is not None:
                self.of[ticker.contract.symbol] += 1

    def subscribe(self) -> None:
        for symbol in SYMBOLS:
            self.client.ib.reqMktData(ib_insync.Stock(symbol, "SMART", "USD"), "233")

    def forget(self) -> None:
        self.of = dict.fromkeys(SYMBOLS, 0)


@pytest.fixture
async def listening(local: Local) -> Ticks:
    """A client that streams all symbols. The library paces its requests, but on a busy machine they arrive in bursts: those wait."""
    await local.control(fault="line_limit", lines=LINES)
    client = DeskClient(local)
    client.ib.client.setConnectOptions(PACED)
    ticks = Ticks(await client.connect())
    ticks.subscribe()
    await eventually_async(lambda: all(ticks.of.values()), what="a first tick of every symbol")
    return ticks


def rest(gateway: Gateway, number: int, symbol: str) -> None:
    """A stop and a target, both far away."""
    price = gateway.broker.prices.last(symbol, gateway.now())
    sides = {"client_id": 1, "symbol": symbol, "side": Side.SELL, "quantity": 10, "tif": Tif.GTC}
    gateway.broker.exchange.place(
        OrderSpec(order_id=2 * number + 1, kind=Kind.STOP, stop_price=round(price / 2, 2), **sides), gateway.now()
    )
    gateway.broker.exchange.place(
        OrderSpec(order_id=2 * number + 2, kind=Kind.LIMIT, limit_price=round(price * 2, 2), **sides), gateway.now()
    )


async def test_a_tick_of_three_hundred_streamed_symbols_with_stops_and_targets_takes_a_quarter_of_its_time(local):
    await DeskClient(local).connect()
    streams = local.gateway.sessions[1].streams
    for number, symbol in enumerate(SYMBOLS):
        streams.open_line(number, symbol, frozenset({"233"}), local.gateway.shown_quote(symbol))
    await local.control(set_cash=1_000_000_000)  # every one of these orders takes margin
    with local.gateway.broker.store.transaction():
        for number, symbol in enumerate(SYMBOLS[:200]):
            rest(local.gateway, number, symbol)
    assert len(local.gateway.broker.open_orders()) == 400
    spent = [cost_of_a_tick(local.gateway) for _ in range(9)]
    assert statistics.median(spent) <= PASS_SECONDS, [f"{1000 * cost:.0f} ms" for cost in spent]


def cost_of_a_tick(gateway: Gateway) -> float:
    """Seconds of this process's own time."""
    began = time.process_time()
    gateway.tick()
    return time.process_time() - began


async def test_a_client_of_three_hundred_symbols_hears_all_of_them_in_every_round(listening, local):
    listening.forget()
    await eventually_async(lambda: max(listening.of.values()) >= 20, what="twenty rounds")
    assert min(listening.of.values()) >= 16
    assert not listening.client.closed
    assert not [code for _, code in listening.client.errors if code in (100, 101)]


async def test_a_look_of_the_market_that_changes_nothing_writes_nothing(local):
    with local.gateway.broker.store.transaction():
        for number, symbol in enumerate(SYMBOLS[:5]):
            rest(local.gateway, number, symbol)
    written = statements(local.gateway)
    for _ in range(3):
        local.gateway.tick()
    assert written == []


def statements(gateway: Gateway) -> list[str]:
    """What the store is told from now on."""
    told: list[str] = []
    gateway.broker.store._db.set_trace_callback(told.append)
    return told


class EveningGateway(Gateway):
    """Its clock stands where the test puts it."""

    at = 0.0

    def now(self) -> float:
        return self.at or super().now()


def test_the_next_day_of_what_is_quoted_is_made_before_midnight(tmp_path: Path):
    gateway = EveningGateway(seed=3, state_dir=tmp_path)
    midnight = day_start(day_of(gateway.now()) + 1)
    gateway.at = midnight - 200.0
    with gateway.broker.store.transaction():
        for number, symbol in enumerate(SYMBOLS[:4]):
            rest(gateway, number, symbol)
    for _ in range(4):
        gateway.tick()
    assert [gateway.broker.prices.market.make_ahead(symbol) for symbol in SYMBOLS[:4]] == [False] * 4
    gateway.at = midnight + 30.0
    fresh = Market(3)
    assert [gateway.broker.prices.market.quote(symbol, gateway.at) for symbol in SYMBOLS[:4]] == [
        fresh.quote(symbol, gateway.at) for symbol in SYMBOLS[:4]
    ]
    gateway.broker.store.close()


def test_the_day_of_now_stays_held_for_every_symbol_that_is_quoted():
    market = Market(3)
    at = 1_780_000_000.0
    first = {symbol: market.quote(symbol, at) for symbol in SYMBOLS[:150]}
    began = time.process_time()
    again = {symbol: market.quote(symbol, at) for symbol in SYMBOLS[:150]}
    assert again == first
    assert time.process_time() - began <= PASS_SECONDS


# What these seeds gave before days were held by symbol: (always open, seed, symbol) → time → prices.
PRICES: dict[tuple[bool, int, str], dict[float, tuple[float, ...]]] = {
    (True, 7, "AAPL"): {
        1780000000.25: (205.22, 205.24, 205.24, 5400, 160247895, 205.98, 210.65, 204.73, 205.99),
        1780319000.5: (213.44, 213.46, 213.44, 5400, 55852310, 212.64, 215.13, 212.31, 212.67),
        1780437599.75: (226.77, 226.8, 226.77, 9000, 188364762, 218.49, 228.78, 216.65, 218.49),
    },
    (True, 7, "S001"): {
        1780000000.25: (90.09, 90.12, 90.11, 300, 3635954, 87.27, 93.66, 87.02, 87.27),
        1780319000.5: (87.12, 87.15, 87.15, 100, 1136693, 86.74, 87.58, 86.16, 86.74),
        1780437599.75: (90.34, 90.37, 90.36, 100, 3193132, 88.85, 91.87, 88.53, 88.84),
    },
    (True, 42, "BRK B"): {
        1780000000.25: (453.59, 453.69, 453.6, 300, 8443121, 448.26, 454.85, 446.05, 448.29),
        1780319000.5: (464.34, 464.44, 464.36, 700, 3032221, 462.38, 466.37, 461.77, 462.38),
        1780437599.75: (459.45, 459.55, 459.55, 800, 8698288, 473.86, 473.86, 459.24, 473.86),
    },
    (False, 7, "AAPL"): {
        1780000000.25: (201.88, 201.9, 201.9, 5400, 67446874, 202.51, 205.86, 201.76, 202.66),
        1780319000.5: (201.39, 201.4, 201.4, 5400, 0, 201.4, 201.4, 201.4, 201.4),
        1780437599.75: (209.79, 209.81, 209.79, 9000, 74199431, 208.64, 212.15, 207.12, 207.83),
    },
    (False, 7, "S001"): {
        1780000000.25: (94.77, 94.8, 94.79, 300, 1654836, 94.61, 99.19, 93.22, 95.11),
        1780319000.5: (93.92, 93.95, 93.95, 100, 0, 93.95, 93.95, 93.95, 93.95),
        1780437599.75: (95.35, 95.39, 95.35, 100, 1245521, 96.55, 97.22, 94.69, 96.08),
    },
    (False, 42, "BRK B"): {
        1780000000.25: (456.52, 456.62, 456.53, 300, 3483187, 446.73, 457.38, 445.25, 446.86),
        1780319000.5: (450.1, 450.2, 450.12, 700, 0, 450.12, 450.12, 450.12, 450.12),
        1780437599.75: (449.61, 449.71, 449.71, 800, 3352937, 460.86, 461.13, 449.59, 461.1),
    },
}


@pytest.mark.parametrize("world", PRICES, ids=str)
def test_a_seed_gives_the_prices_it_always_gave(world):
    always_open, seed, symbol = world
    market = Market(seed, always_open=always_open)
    assert {at: told(market.quote(symbol, at)) for at in PRICES[world]} == PRICES[world]


def told(q: Quote) -> tuple[float, ...]:
    return q.bid, q.ask, q.last, q.bid_size, q.volume, q.open, q.high, q.low, q.prev_close


def test_what_a_day_closed_at_is_its_last_price_on_both_calendars():
    for always_open in (True, False):
        market = Market(5, always_open=always_open)
        for day in range(9_640, 9_650):
            at = day_start(day)
            assert market.quote("AAPL", at + DAY).prev_close == market.last("AAPL", at + DAY - 1)
