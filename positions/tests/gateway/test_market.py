"""The simulated market: one world for all processes, continuous, and told the same by quotes and bars."""

import itertools
import math
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from positions.gateway.market import ANCHOR, Market, UnknownSymbol, market_time, wall_time
from positions.gateway.market_calendar import DAY, day_of, day_start, regular_session

NOON = 1_780_000_200  # a Thursday, 16:30 Eastern
SYMBOLS = ("AAPL", "SPY", "BRK B", "QWERTY")


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(7)


@pytest.fixture(scope="module")
def exchange() -> Market:
    return Market(7, always_open=False)


def test_another_process_with_the_same_seed_sees_the_same_prices(market):
    script = (
        "from positions.gateway.market import Market\n"
        f"m = Market(7)\nprint([m.quote(s, {NOON} + k * 977.25) for s in {SYMBOLS!r} for k in range(5)])\n"
        f"print(m.bars('AAPL', {NOON}, {NOON} + 600))"
    )
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "random"}
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, cwd=root).stdout
    quotes = [market.quote(s, NOON + k * 977.25) for s in SYMBOLS for k in range(5)]
    assert said == f"{quotes}\n{market.bars('AAPL', NOON, NOON + 600)}\n"


def test_another_seed_is_another_world(market):
    assert [Market(8).last(s, NOON) for s in SYMBOLS] != [market.last(s, NOON) for s in SYMBOLS]


def test_prices_do_not_depend_on_what_was_asked_before(market):
    questions = [(symbol, NOON + step * 40_003.5) for symbol in SYMBOLS for step in range(-20, 20)]
    shuffled = questions[:]
    random.Random(3).shuffle(shuffled)
    fresh = Market(7)
    answers = {question: fresh.quote(*question) for question in shuffled}
    assert answers == {question: market.quote(*question) for question in questions}


@settings(max_examples=60, deadline=None)
@given(symbol=st.sampled_from(SYMBOLS), at=st.floats(NOON - 40 * DAY, NOON + 40 * DAY, allow_nan=False))
def test_every_quote_is_in_order_positive_and_in_whole_cents(market, symbol, at):
    quote = market.quote(symbol, at)
    assert 0 < quote.bid <= quote.last <= quote.ask
    assert quote.bid < quote.ask
    assert quote.low <= quote.last <= quote.high
    assert quote.low <= quote.open <= quote.high
    for price in (quote.bid, quote.ask, quote.last, quote.open, quote.high, quote.low, quote.prev_close):
        assert price == round(price, 2)
    assert min(quote.bid_size, quote.ask_size, quote.last_size) >= 100


@settings(max_examples=40, deadline=None)
@given(
    symbol=st.sampled_from(SYMBOLS),
    start=st.integers(NOON - 3 * DAY, NOON + 3 * DAY),
    seconds=st.sampled_from([1, 5, 30, 60, 300]),
)
def test_a_bar_is_what_the_quotes_inside_it_pass_through(market, symbol, start, seconds):
    lasts = [market.quote(symbol, at).last for at in range(start, start + seconds)]
    bar = market.bar(symbol, start, seconds)
    assert (bar.open, bar.high, bar.low, bar.close) == (lasts[0], max(lasts), min(lasts), lasts[-1])
    assert bar.low - 0.01 <= bar.wap <= bar.high + 0.01
    if day_of(start - 1) == day_of(start + seconds - 1):
        assert bar.volume == market.quote(symbol, start + seconds - 1).volume - market.quote(symbol, start - 1).volume


def test_long_bars_join_short_ones_across_midnight(market):
    start = day_start(day_of(NOON)) - 1_800
    minutes = market.bars("AAPL", start, start + 3_600)
    hour = market.bar("AAPL", start, 3_600)
    assert len(minutes) == 60
    assert (hour.open, hour.close) == (minutes[0].open, minutes[-1].close)
    assert (hour.high, hour.low) == (max(bar.high for bar in minutes), min(bar.low for bar in minutes))
    assert hour.volume == sum(bar.volume for bar in minutes)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_price_is_continuous_except_at_the_open(market, symbol):
    first = day_start(day_of(NOON))
    opens = {first + number * DAY + regular_session(day_of(first + number * DAY))[0] for number in range(3)}
    previous = market.last(symbol, first - 1)
    for at in range(first, first + 3 * DAY, 1):
        price = market.last(symbol, at)
        if at not in opens:
            assert abs(math.log(price / previous)) < 0.004 + 0.011 / price
        previous = price


def test_stocks_move_together_and_each_on_its_own(market):
    def returns(symbol):
        closes = [bar.close for bar in market.bars(symbol, NOON - 2 * DAY, NOON, 300)]
        return [math.log(b / a) for a, b in itertools.pairwise(closes)]

    assert statistics.correlation(returns("MSFT"), returns("AAPL")) > 0.25
    assert statistics.correlation(returns("SPY"), returns("QQQ")) > 0.6
    assert statistics.correlation(returns("XOM"), returns("AAPL")) < 0.9


def test_a_price_stays_near_where_it_lives_for_decades(market):
    for symbol in SYMBOLS:
        base = market.contract(symbol).base_price
        assert all(base / 4 < market.last(symbol, NOON + years * 365 * DAY) < base * 4 for years in range(-20, 60, 4))


def test_the_calendar_market_trades_only_in_sessions_and_gaps_at_the_open(exchange):
    saturday, thanksgiving = 1_795_276_800, 1_795_705_200
    assert not exchange.is_open(saturday)
    assert not exchange.is_open(thanksgiving)
    assert exchange.bars("AAPL", saturday - 3_600, saturday + 3_600) == []
    opens, closes = exchange.session(NOON)
    assert closes - opens == int(6.5 * 3_600)
    assert exchange.is_open(opens)
    assert not exchange.is_open(opens - 1)
    assert not exchange.is_open(closes)
    before = exchange.quote("AAPL", opens - 1)
    assert before.last == before.prev_close
    assert before.volume == 0
    assert exchange.quote("AAPL", opens).last != before.last
    assert exchange.quote("AAPL", closes + 60).volume == exchange.day_bar("AAPL", NOON).volume
    assert len(exchange.bars("AAPL", opens - 7_200, closes + 7_200)) == 390


def test_a_half_day_closes_at_one(exchange):
    day_after_thanksgiving = 1_795_795_200
    opens, closes = exchange.session(day_after_thanksgiving)
    assert closes - opens == int(3.5 * 3_600)


@pytest.mark.parametrize("symbol", ["", "ZZUNKNOWN", "ZZUNKNOWN1", "aapl", "A" * 22, "<b>", "A\n", "ÄA", " A"])
def test_what_is_not_listed_is_unknown(market, symbol):
    for ask in (market.contract, lambda s: market.quote(s, NOON), lambda s: market.bar(s, NOON)):
        with pytest.raises(UnknownSymbol):
            ask(symbol)


def test_contract_ids_are_unique_and_do_not_depend_on_the_seed(market):
    symbols = [f"{a}{b}{c}" for a in "ABCDEFGH" for b in "KLMNO" for c in "XYZW"]
    assert len({market.contract(s).con_id for s in symbols}) == len(symbols)
    assert Market(99).contract("AAPL") == market.contract("AAPL")


def test_the_future_return_is_the_one_that_then_happens(market):
    drift = market.drift("TSLA", NOON, 1_800)
    assert market.last("TSLA", NOON) * (1 + drift) == pytest.approx(market.last("TSLA", NOON + 1_800))


def test_market_time_runs_at_its_speed_from_the_anchor():
    assert market_time(ANCHOR, 60) == ANCHOR
    assert market_time(ANCHOR + 10, 60) == ANCHOR + 600
    assert wall_time(market_time(1_790_000_000.5, 30), 30) == pytest.approx(1_790_000_000.5)
