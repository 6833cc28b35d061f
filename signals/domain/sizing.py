"""How many shares: four methods, floored to whole shares, capped, and always with a reason.

A `Sizing` whose quantity is None means nothing can be bought, and `reason` says why in words a person can act on.
Pure arithmetic; the limits that refuse an order for good live in `positions.domain.risk`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum

from events.wording import money_text, price_text, quantity_text, shares_words


class SizingMethod(StrEnum):
    FIXED_SHARES = "fixed_shares"
    FIXED_DOLLARS = "fixed_dollars"
    PERCENT_EQUITY = "percent_equity"
    RISK_DOLLARS = "risk_dollars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most one order may be: shares, dollars, and share of buying power. None = no cap.

    Dollars are reckoned at `worst_price`, the limit of the entry, where that is not the price that the size comes from.
    """

    max_quantity: int | None = None
    max_notional: float | None = None
    buying_power: float | None = None
    worst_price: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """Whole shares to buy or sell (> 0), or None; `reason` says how or why not."""

    quantity: int | None
    reason: str


NO_CAPS = Caps()


def fixed_shares(shares: float, *, price: float, caps: Caps = NO_CAPS) -> Sizing:
    """`shares`, floored."""
    return _size(shares, price, caps, bad=_bad(shares=shares, price=price), how=f"{shares_words(shares)} asked")


def fixed_dollars(dollars: float, *, price: float, caps: Caps = NO_CAPS) -> Sizing:
    """What `dollars` buy at `price`."""
    bad = _bad(dollars=dollars, price=price)
    return _size(_ratio(dollars, price, bad), price, caps, bad=bad, how=f"${money_text(dollars)} at {price_text(price)}")


def percent_of_equity(percent: float, *, equity: float, price: float, caps: Caps = NO_CAPS) -> Sizing:
    """What `percent` (5.0 is five percent) of `equity` buys at `price`."""
    bad = _bad(percent=percent, equity=equity, price=price)
    dollars = 0.0 if bad else float(_decimal(equity) * _decimal(percent) / 100)
    return _size(
        _ratio(dollars, price, bad), price, caps, bad=bad, how=f"{quantity_text(percent)}% of ${money_text(equity)} at {price_text(price)}"
    )


def risk_dollars(dollars: float, *, entry: float, stop: float | None, caps: Caps = NO_CAPS) -> Sizing:
    """So many shares that a fill at `stop` loses `dollars`."""
    if stop is None:
        return Sizing(quantity=None, reason="sizing by risk needs a stop; set a stop price")
    bad = _bad(dollars=dollars, entry=entry, stop=stop)
    if not bad and entry == stop:
        return Sizing(quantity=None, reason="the stop is at the entry price; move it away")
    distance = 1.0 if bad else float(abs(_decimal(entry) - _decimal(stop)))
    return _size(
        _ratio(dollars, distance, bad), entry, caps, bad=bad, how=f"${money_text(dollars)} at risk over {price_text(distance)} per share"
    )


def size(
    method: SizingMethod, amount: float, *, price: float, stop: float | None = None, equity: float | None = None, caps: Caps = NO_CAPS
) -> Sizing:
    """One entrance for the four methods; `amount` is shares, dollars, percent or dollars at risk."""
    match method:
        case SizingMethod.FIXED_SHARES:
            return fixed_shares(amount, price=price, caps=caps)
        case SizingMethod.FIXED_DOLLARS:
            return fixed_dollars(amount, price=price, caps=caps)
        case SizingMethod.PERCENT_EQUITY:
            if equity is None:
                return Sizing(quantity=None, reason="the account's equity is not known yet; wait for the worker")
            return percent_of_equity(amount, equity=equity, price=price, caps=caps)
        case SizingMethod.RISK_DOLLARS:
            return risk_dollars(amount, entry=price, stop=stop, caps=caps)


def _size(shares: float, price: float, caps: Caps, *, bad: str, how: str) -> Sizing:
    if bad:
        return Sizing(quantity=None, reason=bad)
    limits: list[tuple[int, str]] = [(_floor(shares), how)]
    price = price if caps.worst_price is None else caps.worst_price
    if caps.max_quantity is not None:
        limits.append((caps.max_quantity, f"capped at {shares_words(caps.max_quantity)}"))
    if caps.max_notional is not None:
        limits.append((_floor(_ratio(caps.max_notional, price, "")), f"capped at ${money_text(caps.max_notional)}"))
    if caps.buying_power is not None:
        limits.append((_floor(_ratio(caps.buying_power, price, "")), f"capped by buying power of ${money_text(caps.buying_power)}"))
    quantity, reason = min(limits, key=lambda limit: limit[0])
    if quantity < 1:
        return Sizing(quantity=None, reason=f"not even one share: {reason}")
    return Sizing(quantity=quantity, reason=reason)


def _bad(**values: float) -> str:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            return f"{name} must be a positive number, not {value!r}"
    return ""


def _decimal(value: float) -> Decimal:
    return Decimal(str(value))


def _ratio(numerator: float, denominator: float, bad: str) -> float:
    return 0.0 if bad else float(_decimal(numerator) / _decimal(denominator))


def _floor(shares: float) -> int:
    """Whole shares; never one more because a float was a hair below an integer, never negative."""
    if not math.isfinite(shares):
        return 0
    return max(0, int(_decimal(shares).to_integral_value(rounding=ROUND_FLOOR)))
