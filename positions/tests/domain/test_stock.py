"""StockPosition: what it calculates, and that calculating changes nothing."""

from __future__ import annotations

import pytest

from positions.domain.errors import CannotCalculate
from positions.domain.stock import StockPosition


async def opened(quantity: float = 100, price: float = 100.0, **metadata: float) -> StockPosition:
    position = StockPosition("AAPL", metadata=metadata)
    await position.open(quantity, price)
    return position


@pytest.mark.parametrize(("quantity", "stop"), [(100, 95.0), (-100, 105.0)])
async def test_the_atr_stop_is_two_atr_from_the_entry(quantity: float, stop: float) -> None:
    position = await opened(quantity, atr=2.5)
    assert await position.calculate_optimal_stop_loss() == stop
    assert await position.calculate_optimal_stop_loss(1.0, atr_value=5.0) == stop
    assert position.stop_loss is None


async def test_without_an_atr_or_a_stop_nothing_is_calculated() -> None:
    position = await opened()
    with pytest.raises(CannotCalculate):
        await position.calculate_optimal_stop_loss()
    with pytest.raises(ValueError, match="stop"):
        await position.calculate_optimal_take_profit()


@pytest.mark.parametrize(("quantity", "stop", "target"), [(100, 95.0, 110.0), (-100, 105.0, 90.0)])
async def test_the_target_is_twice_the_risk_away(quantity: float, stop: float, target: float) -> None:
    position = await opened(quantity)
    await position.update_stop_loss(stop)
    assert await position.calculate_optimal_take_profit() == target


@pytest.mark.parametrize(("quantity", "up", "down"), [(100, 110.0, 105.0), (-100, 90.0, 95.0)])
async def test_the_applied_trail_only_ratchets(quantity: float, up: float, down: float) -> None:
    position = await opened(quantity)
    await position.update_price(up)
    assert await position.apply_trailing_stop(up)
    stop = position.stop_loss
    await position.update_price(down)
    assert not await position.apply_trailing_stop(down)
    assert position.stop_loss == stop == await position.calculate_trailing_stop(up)


@pytest.mark.parametrize(("quantity", "prices"), [(100, (110.0, 99.0)), (-100, (90.0, 101.0))])
async def test_drawdown_is_from_the_peak_of_the_adjusted_value(quantity: float, prices: tuple[float, float]) -> None:
    position = await opened(quantity)
    for price in prices:
        await position.update_price(price)
    assert position.current_drawdown == pytest.approx(1100 / 11000)


async def test_a_change_of_size_is_no_drawdown() -> None:
    position = await opened()
    await position.update_price(110.0)
    position.apply_fill(-60, 110.0)
    assert position.current_drawdown == 0.0
    await position.update_price(99.0)
    assert position.current_drawdown == pytest.approx(440 / 4400)


async def test_stock_info_leaves_out_what_is_not_given() -> None:
    position = await opened()
    await position.set_stock_info(beta=1.2, sector="Tech")
    await position.set_stock_info(market_cap=3e12)
    assert (position.beta, position.sector, position.market_cap, position.industry) == (1.2, "Tech", 3e12, None)
    assert StockPosition.from_dict(position.to_dict()).to_dict() == position.to_dict()
