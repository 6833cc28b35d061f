"""The entry that a signal would become: limit, stop, target and size, worked out from the price expected now.

Pure, and the one place where it is done: for the cards, for the worker's questions about margin, and for the demo's history.
What cannot be planned says why in `reason`, and has no quantity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from events.order import OrderSide
from positions.domain.errors import PositionsError
from positions.domain.expected import expected_fill
from positions.domain.levels import atr_distance, planned_stop, planned_target
from positions.domain.pricing import opposite, snap_limit, snap_stop
from signals.domain.sizing import Caps, SizingMethod, size


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRules:
    """How entries are made. Everything with `pct` in percent; `amount` is what the method counts: shares, dollars, percent."""

    slippage_pct: float  # how much worse than the quote a fill is expected to be
    offset_pct: float  # how far through the market the limit lies
    atr_multiple: float
    least_stop_pct: float
    reward_risk: float
    method: SizingMethod
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryMarket:
    """The quote, and the ATR of one-minute bars in dollars (None: not known)."""

    bid: float | None
    ask: float | None
    last: float
    atr: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPlan:
    """Prices per share. `quantity` None: nothing can be entered, and `reason` says why; else it says how the size came about."""

    expected: float
    limit: float
    stop: float | None = None
    target: float | None = None
    quantity: int | None = None
    reason: str = ""


def entry_limit(side: OrderSide, market: EntryMarket, rules: PlanRules) -> float:
    """Through the market, so that a moving price is still caught."""
    quoted = (market.ask if side is OrderSide.BUY else market.bid) or market.last
    return snap_limit(quoted * (1 + rules.offset_pct / 100 * (1 if side is OrderSide.BUY else -1)), side)


def plan_entry(side: OrderSide, market: EntryMarket, rules: PlanRules, *, equity: float | None, caps: Caps) -> EntryPlan:
    """The whole entry. Caps are held against the worst case, the limit."""
    limit = entry_limit(side, market, rules)
    slip = rules.slippage_pct
    expected = expected_fill(side, bid=market.bid, ask=market.ask, last=market.last, slippage_pct=slip, limit=limit) or limit
    sign, exit_side = (1 if side is OrderSide.BUY else -1), opposite(side)
    plan = EntryPlan(expected=expected, limit=limit)
    try:
        wide = atr_distance(market.atr, rules.atr_multiple) if market.atr is not None else 0.0
        distance = max(wide, rules.least_stop_pct / 100 * expected)
        stop = snap_stop(planned_stop(sign, expected, distance), exit_side)
        target = snap_limit(planned_target(sign, expected, stop, rules.reward_risk), exit_side)
    except PositionsError as error:
        return replace(plan, reason=str(error))
    worst = replace(caps, worst_price=limit if side is OrderSide.BUY else max(limit, expected))
    sized = size(rules.method, rules.amount, price=expected, stop=stop, equity=equity, caps=worst)
    return replace(plan, stop=stop, target=target, quantity=sized.quantity, reason=sized.reason)
