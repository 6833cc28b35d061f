"""Bars from ticks, and Wilder's ATR."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from positions.domain.bars import BarBuilder, wilder_atr
from positions.domain.ports import Bar

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def bars(*rows: tuple[float, float, float]) -> list[Bar]:
    return [
        Bar(symbol="AAPL", at=START + timedelta(minutes=n), open=close, high=high, low=low, close=close)
        for n, (high, low, close) in enumerate(rows)
    ]


def test_no_range_no_atr_and_few_ranges_their_mean() -> None:
    assert wilder_atr([]) is None
    assert wilder_atr(bars((11, 9, 10))) is None
    assert wilder_atr(bars((11, 9, 10), (12, 10, 11), (16, 11, 15)), period=14) == (2 + 5) / 2


def test_a_gap_counts_from_the_previous_close() -> None:
    assert wilder_atr(bars((11, 9, 10), (21, 20, 20.5)), period=1) == 11


def test_after_the_first_period_it_is_smoothed() -> None:
    rows = bars((10, 10, 10), (12, 10, 11), (15, 11, 12), (13, 12, 13))
    assert wilder_atr(rows, period=2) == ((2 + 4) / 2 * 1 + 1) / 2


def test_a_minute_of_ticks_is_one_bar() -> None:
    builder = BarBuilder("AAPL")
    for second, price in ((1, 10.0), (20, 12.0), (30, 9.0), (59.999, 11.0)):
        assert builder.add(price, START + timedelta(seconds=second), 5) is None
    done = builder.add(20.0, START + timedelta(seconds=60), 7)
    assert done == Bar(symbol="AAPL", at=START, open=10.0, high=12.0, low=9.0, close=11.0, volume=20.0)
    assert builder.current is not None
    assert (builder.current.open, builder.current.volume) == (20.0, 7)


def test_a_late_tick_never_changes_a_completed_bar() -> None:
    builder = BarBuilder("AAPL")
    builder.add(10.0, START)
    builder.add(11.0, START + timedelta(seconds=61))
    assert builder.add(99.0, START + timedelta(seconds=59)) is None
    assert builder.current is not None
    assert builder.current.high == 11.0


def test_a_bar_ends_with_its_minute_though_nothing_trades() -> None:
    builder = BarBuilder("AAPL")
    builder.add(10.0, START)
    assert builder.flush(START + timedelta(seconds=59)) is None
    done = builder.flush(START + timedelta(seconds=60))
    assert done is not None
    assert done.close == 10.0
    assert builder.current is None


@pytest.mark.parametrize("price", [None, float("nan"), float("inf"), -1.0, 0.0])
def test_what_is_no_price_makes_no_bar(price: float | None) -> None:
    builder = BarBuilder("AAPL")
    assert builder.add(price, START) is None
    assert builder.current is None


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 10_000)), max_size=80))
def test_bars_hold_their_ticks_and_stand_on_the_grid(ticks: list[tuple[int, int]]) -> None:
    builder, done = BarBuilder("AAPL"), []
    for at, price in sorted(ticks):
        done.append(builder.add(price / 100, START + timedelta(milliseconds=at), 1))
    complete = [bar for bar in [*done, builder.current] if bar is not None]
    assert sum(bar.volume for bar in complete) == len(ticks)
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in complete)
    assert all(bar.at.second == 0 for bar in complete)
    assert len({bar.at for bar in complete}) == len(complete)
