"""Prices moved by hand: a pinned stock stands still, in its quotes and in its bars."""

from __future__ import annotations

import json

import pytest

from positions.gateway.market import Market
from positions.gateway.prices import Prices

NOON = 1_772_470_800  # Monday 2 March 2026, 12:00 in New York


@pytest.fixture
def prices() -> Prices:
    return Prices(Market(7))


def test_the_bars_of_a_pinned_stock_are_flat_from_the_moment_it_was_pinned(prices: Prices) -> None:
    prices.set_price("AAPL", 222.0, NOON + 0.4, hold=True)
    for seconds in (1, 5, 30, 60):
        assert prices.bar("AAPL", NOON, seconds).high == 222.0
    later = prices.bar("AAPL", NOON + 60, 60)
    assert (later.open, later.high, later.low, later.close, later.wap) == (222.0, 222.0, 222.0, 222.0, 222.0)
    assert later.volume > 0


def test_finished_bars_stay_as_they_were_when_it_ticks_again(prices: Prices) -> None:
    prices.set_price("AAPL", 222.0, NOON, hold=True)
    prices.release("AAPL", NOON + 120)
    assert {bar.close for bar in prices.bars("AAPL", NOON, NOON + 120, 60)} == {222.0}
    assert prices.last("AAPL", NOON + 60) == 222.0
    ticking = [prices.last("AAPL", NOON + 120 + second) for second in range(300)]
    assert ticking[0] == pytest.approx(222.0, abs=0.01)
    assert len(set(ticking)) > 10


def test_before_it_was_pinned_it_traded_at_the_market(prices: Prices) -> None:
    untouched = Prices(Market(7))
    prices.set_price("AAPL", 222.0, NOON, hold=True)
    assert prices.bar("AAPL", NOON - 60, 60) == untouched.bar("AAPL", NOON - 60, 60)
    assert prices.last("AAPL", NOON - 1) == untouched.last("AAPL", NOON - 1)


def test_a_pin_and_a_move_survive_a_restart(prices: Prices) -> None:
    prices.set_price("AAPL", 222.0, NOON, hold=True)
    prices.shift("MSFT", -0.05, 10.0, NOON)
    again = Prices(Market(7))
    again.restore(json.loads(json.dumps(prices.state())))
    for symbol in ("AAPL", "MSFT"):
        assert again.quote(symbol, NOON + 30) == prices.quote(symbol, NOON + 30)
        assert again.bar(symbol, NOON, 60) == prices.bar(symbol, NOON, 60)
