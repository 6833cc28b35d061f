"""The numbers that decided a refusal, in a person's words: what each is called and how it is written.

A value without a row here is for programs (an id, a code, what the sentence says already) and is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from events.wording import age_words, money_text, price_text, quantity_text

Write = Callable[[float], str]


def _dollars(value: float) -> str:
    return f"−${money_text(-value)}" if value < 0 else f"${money_text(value)}"


def _percent(value: float) -> str:
    return f"{money_text(value)}%"


def _minutes(value: float) -> str:
    return f"{money_text(value, 0)} min"


def _apart(value: float) -> str:
    return age_words(abs(value))


# value → (what it is called, how it is written). What has a limit gives its limit the same unit.
NAMES: dict[str, tuple[str, Write]] = {
    "age": ("age", _apart),
    "ask": ("ask", price_text),
    "away_pct": ("away from the market", _percent),
    "bid": ("bid", price_text),
    "count": ("now", quantity_text),
    "day_pnl": ("today", _dollars),
    "drift_pct": ("moved", _percent),
    "elsewhere": ("held elsewhere", quantity_text),
    "excess_liquidity": ("free", _dollars),
    "held": ("held", quantity_text),
    "initial_margin": ("margin", _dollars),
    "limit_pct": ("limit", _percent),
    "limit_price": ("limit price", price_text),
    "market": ("market", price_text),
    "max_age": ("limit", _apart),
    "minutes_left": ("left", _minutes),
    "moved_pct": ("moved", _percent),
    "notional": ("value", _dollars),
    "open_risk": ("at risk in all", _dollars),
    "other_price": ("other order", price_text),
    "price_now": ("price now", price_text),
    "price_then": ("price then", price_text),
    "quantity": ("shares", quantity_text),
    "risk": ("at risk", _dollars),
    "skew": ("apart", _apart),
    "stop": ("stop", price_text),
    "stop_distance": ("stop distance", price_text),
    "target": ("target", price_text),
    "this_order": ("this order", _dollars),
    "value": ("value", quantity_text),
    "window": ("within", _apart),
    "working": ("working", quantity_text),
}


def figures_of(values: Mapping[str, Any]) -> list[list[str]]:
    """[[name, text], …] of the values that say something to a person, in their order."""
    numbers = {name: float(value) for name, value in values.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
    shown = [[NAMES[name][0], NAMES[name][1](value)] for name, value in numbers.items() if name in NAMES]
    if "limit" in numbers:
        measured = next((NAMES[name][1] for name in numbers if name in NAMES), quantity_text)
        shown.append(["limit", measured(numbers["limit"])])
    return shown
