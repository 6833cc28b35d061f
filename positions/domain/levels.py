"""Stops, targets and trails that make sense: finite, above zero, on their right sides, and not absurdly far away."""

from __future__ import annotations

import math

from events.wording import money_text, percent_text, price_text, quantity_text
from positions.domain.errors import CannotCalculate, InvalidPrice
from positions.domain.pricing import checked_price

LEAST_TRAIL, MOST_TRAIL = 0.0005, 0.5  # of the price
LEAST_MULTIPLE, MOST_MULTIPLE = 0.05, 50.0  # of an ATR, or of the risk
MOST_STOP = 0.5  # of the entry price: a stop further away protects nothing that was meant
MOST_TIMES = 10.0  # the market: a level further away is a slip of the hand
HIGHEST_PRICE = 1_000_000.0  # no stock's is higher


def checked_trail(fraction: float) -> float:
    """A trailing distance as a fraction of the price: 0.03 is three percent. Raises InvalidPrice."""
    if not _is_number(fraction) or not LEAST_TRAIL <= fraction <= MOST_TRAIL:
        bounds = f"{percent_text(LEAST_TRAIL)} to {percent_text(MOST_TRAIL, 0)} of the price"
        raise InvalidPrice(f"a trailing distance is from {bounds}, not {_said(fraction)}")
    return fraction


def checked_multiple(multiple: float, what: str) -> float:
    """How many ATR, or how many times the risk. Raises CannotCalculate."""
    if not _is_number(multiple) or not LEAST_MULTIPLE <= multiple <= MOST_MULTIPLE:
        bounds = f"from {quantity_text(LEAST_MULTIPLE)} to {quantity_text(MOST_MULTIPLE)}"
        raise CannotCalculate(f"{what} is a number {bounds}, not {_said(multiple)}")
    return multiple


def atr_distance(atr: float | None, multiple: float) -> float:
    """Dollars: `multiple` times an ATR of one-minute bars. Raises CannotCalculate."""
    if atr is None or not _is_number(atr) or atr <= 0:
        raise CannotCalculate(f"an ATR (one-minute bars) must be a positive number, not {_said(atr)}")
    return atr * checked_multiple(multiple, "the multiple of the ATR")


def planned_stop(direction: int, price: float, distance: float) -> float:
    """The stop `distance` dollars from the entry at `price`. Raises CannotCalculate when there is no such price."""
    stop = price - direction * distance
    if not _is_number(distance) or not 0 < distance <= MOST_STOP * price or not 0 < stop <= HIGHEST_PRICE:
        words = f"a stop {_money(distance)} away from {price_text(price)} makes no sense"
        raise CannotCalculate(f"{words}: the price moves too much for this size of stop")
    return stop


def planned_target(direction: int, price: float, stop: float, ratio: float) -> float:
    """The target `ratio` times as far from the entry as the stop. Raises CannotCalculate when there is no such price."""
    target = price + direction * abs(price - stop) * checked_multiple(ratio, "reward : risk")
    if not math.isfinite(target) or not 0 < target <= HIGHEST_PRICE:
        words = f"a target {quantity_text(ratio)} times as far as the stop, at {_money(target)}, makes no sense"
        raise CannotCalculate(f"{words}: ask for less reward, or bring the stop closer")
    return target


def is_beyond_sense(level: float | None, market: float | None) -> bool:
    """More than so many times the market: no stop or target that anybody means."""
    return level is not None and market is not None and _is_number(level) and level > MOST_TIMES * market


def _is_number(value: float | None) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _money(value: float) -> str:
    return money_text(value) if _is_number(value) else "an unknown distance"


def _said(value: float | None) -> str:
    """A number as it is written, anything else as what it is."""
    return f"{value:g}" if _is_number(value) and value is not None else repr(value)


def check_levels(direction: int, market: float | None, stop_loss: float | None, take_profit: float | None) -> None:
    """Raises InvalidPrice unless stop and target are prices on their right sides of the market, and of each other."""
    side = "long" if direction > 0 else "short"
    for what, level in (("stop", stop_loss), ("target", take_profit)):
        if is_beyond_sense(level, market):
            words = f"the {what} at {price_text(level)} is more than {quantity_text(MOST_TIMES)} times the market"
            raise InvalidPrice(f"{words} at {price_text(market)}")
    if stop_loss is not None:
        checked_price(stop_loss, "stop")
        if market is not None and (market - stop_loss) * direction <= 0:
            raise InvalidPrice(
                f"the stop of a {side} position must be {'below' if direction > 0 else 'above'} the market at {price_text(market)}"
            )
    if take_profit is not None:
        checked_price(take_profit, "target")
        if market is not None and (take_profit - market) * direction <= 0:
            raise InvalidPrice(
                f"the target of a {side} position must be {'above' if direction > 0 else 'below'} the market at {price_text(market)}"
            )
    if stop_loss is not None and take_profit is not None and (take_profit - stop_loss) * direction <= 0:
        raise InvalidPrice(f"the stop and target of a {side} position are the wrong way round")
