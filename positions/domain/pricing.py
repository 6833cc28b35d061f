"""Prices as the venue takes them: checked, and snapped to the contract's increment in Decimal.

The passive side is the one that never pays more than asked: a buy limit and a sell stop round down, a sell limit and a
buy stop round up. (A stop rounded away from the market triggers a hair later, never earlier than the person meant.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TypeGuard

from events.order import OrderSide
from positions.domain.errors import InvalidPrice, InvalidQuantity

CENT = Decimal("0.01")


def decimal(value: float) -> Decimal:
    """The decimal a person would read off `value`; never the binary expansion."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def is_price(value: float | None) -> TypeGuard[float]:
    """Known, finite and positive."""
    return value is not None and math.isfinite(value) and value > 0


def checked_price(price: float | None, what: str = "price") -> float:
    """`price` if it is finite and positive; else InvalidPrice."""
    if price is None or isinstance(price, bool) or not isinstance(price, (int, float)) or not math.isfinite(price) or price <= 0:
        raise InvalidPrice(f"{what} must be a positive number, not {price!r}")
    return price


def checked_quantity(quantity: float, what: str = "quantity") -> float:
    """`quantity` if it is finite and not zero; else InvalidQuantity."""
    if isinstance(quantity, bool) or not isinstance(quantity, (int, float)) or not math.isfinite(quantity) or quantity == 0:
        raise InvalidQuantity(f"{what} must be a number other than zero, not {quantity!r}")
    return quantity


def increment_at(price: float, increments: Sequence[tuple[float, float]]) -> Decimal:
    """The tick that holds at `price`; `increments` are (low edge, tick) ascending, as IB's market rule gives them."""
    tick = increments[0][1]
    for low_edge, candidate in increments:
        if price < low_edge:
            break
        tick = candidate
    return decimal(tick)


def _snap(price: float, increments: Sequence[tuple[float, float]], rounding: str) -> float:
    tick = increment_at(checked_price(price), increments)
    steps = (decimal(price) / tick).to_integral_value(rounding=rounding)
    return float(max(steps, Decimal(1)) * tick)


def snap_limit(price: float, side: OrderSide, increments: Sequence[tuple[float, float]] = ((0.0, 0.01),)) -> float:
    """A limit price on the grid, never worse for us than `price`."""
    return _snap(price, increments, ROUND_FLOOR if side is OrderSide.BUY else ROUND_CEILING)


def snap_stop(price: float, side: OrderSide, increments: Sequence[tuple[float, float]] = ((0.0, 0.01),)) -> float:
    """A stop price on the grid, never closer to the market than `price`."""
    return _snap(price, increments, ROUND_CEILING if side is OrderSide.BUY else ROUND_FLOOR)


def opposite(side: OrderSide) -> OrderSide:
    """The side that undoes `side`."""
    return OrderSide.SELL if side is OrderSide.BUY else OrderSide.BUY


def signed(side: OrderSide, quantity: float) -> float:
    """Shares with a sign: buys positive, sells negative."""
    return quantity if side is OrderSide.BUY else -quantity
