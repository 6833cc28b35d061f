"""Stops, targets and trails that make no sense are refused with a sentence, and change nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from positions.domain.errors import InvalidPrice, PositionsError
from positions.domain.exit_rules import Trail, TrailKind
from positions.domain.levels import check_levels, checked_trail
from positions.domain.stock import StockPosition

NONSENSE = [math.nan, math.inf, -math.inf, -0.1, 0.0, 1.5, 1.0, 0.51, 1e-9, True, "0.03", None]


async def held(price: float = 5.0, *, stop: float | None = None, shares: float = 100) -> StockPosition:
    position = StockPosition("AAPL")
    position.plan(shares, stop_loss=stop)
    await position.open(shares, price)
    return position


@pytest.mark.parametrize("trail", NONSENSE, ids=[repr(value) for value in NONSENSE])
async def test_a_trail_that_makes_no_sense_is_refused_and_moves_nothing(trail: Any) -> None:
    position = await held(stop=4.5)
    for call in (position.calculate_trailing_stop, position.apply_trailing_stop):
        with pytest.raises(PositionsError, match=r"0\.05% to 50% of the price"):
            await call(6.0, trail)
    assert position.stop_loss == 4.5


@pytest.mark.parametrize("trail", [0.0005, 0.03, 0.5])
def test_a_trail_from_a_twentieth_of_a_percent_to_half_the_price_is_one(trail: float) -> None:
    assert checked_trail(trail) == trail


@pytest.mark.parametrize("shares", [100, -100])
@pytest.mark.parametrize(
    ("multiple", "atr"),
    [(2.0, 3.0), (2.0, math.nan), (2.0, math.inf), (2.0, -1.0), (2.0, 0.0), (math.nan, 0.1), (-2.0, 0.1), (0.0, 0.1), (51.0, 0.01)],
)
async def test_an_atr_stop_that_would_be_no_price_is_refused(multiple: float, atr: float, shares: float) -> None:
    position = await held(shares=shares)
    with pytest.raises(PositionsError, match=r"makes no sense|one-minute bars|multiple of the ATR"):
        await position.calculate_optimal_stop_loss(multiple, atr)


async def test_an_atr_of_the_metadata_is_checked_as_well() -> None:
    position = await held()
    position.metadata["atr"] = "3"
    with pytest.raises(PositionsError, match="one-minute bars"):
        await position.calculate_optimal_stop_loss()


@pytest.mark.parametrize("ratio", [math.nan, math.inf, -2.0, 0.0, 1e9])
async def test_a_target_of_a_senseless_ratio_is_refused(ratio: float) -> None:
    position = await held(stop=4.5)
    with pytest.raises(PositionsError, match="reward : risk is a number"):
        await position.calculate_optimal_take_profit(ratio)


async def test_a_target_of_a_short_below_zero_is_refused() -> None:
    position = await held(stop=7.0, shares=-100)
    with pytest.raises(PositionsError, match="ask for less reward"):
        await position.calculate_optimal_take_profit(3.0)


@pytest.mark.parametrize("kind", list(TrailKind))
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 0.0, 50.1, True])
def test_a_trail_rule_of_no_distance_cannot_be_made(kind: TrailKind, value: float) -> None:
    with pytest.raises(InvalidPrice, match="at most 50 percent or ATR"):
        Trail(kind=kind, value=value)


@pytest.mark.parametrize(("direction", "stop", "target"), [(1, None, 1_500.1), (-1, 1_500.1, None)])
def test_a_level_of_more_than_ten_times_the_market_is_a_slip_of_the_hand(direction: int, stop: float | None, target: float | None) -> None:
    check_levels(direction, 150.0, None if stop is None else 1_500.0, None if target is None else 1_500.0)
    with pytest.raises(InvalidPrice, match=r"more than 10 times the market at 150\.00"):
        check_levels(direction, 150.0, stop, target)
