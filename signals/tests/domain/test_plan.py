"""The entry a signal would become, worked out from the price expected now."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from events.order import OrderSide
from positions.domain.expected import expected_fill, money_between
from signals.domain.plan import EntryMarket, EntryPlan, PlanRules, plan_entry
from signals.domain.sizing import Caps, SizingMethod

BUY, SELL = OrderSide.BUY, OrderSide.SELL
RULES = PlanRules(
    slippage_pct=0.01,
    offset_pct=0.15,
    atr_multiple=2.0,
    least_stop_pct=0.4,
    reward_risk=2.0,
    method=SizingMethod.RISK_DOLLARS,
    amount=500.0,
)


def planned(side: OrderSide = BUY, bid: float = 99.99, ask: float = 100.01, atr: float | None = 0.1, **more: object) -> EntryPlan:
    rules = RULES if not more else PlanRules(**{**{name: getattr(RULES, name) for name in RULES.__slots__}, **more})  # type: ignore[arg-type]
    return plan_entry(side, EntryMarket(bid=bid, ask=ask, last=100.0, atr=atr), rules, equity=None, caps=Caps())


@pytest.mark.parametrize(("side", "quoted"), [(BUY, 100.01), (SELL, 99.99)])
def test_a_fill_at_the_quote_risks_what_was_asked_and_its_target_lies_where_it_says(side: OrderSide, quoted: float) -> None:
    plan = planned(side)
    assert plan.quantity is not None
    assert plan.stop is not None
    assert plan.target is not None
    risk = money_between(plan.quantity, quoted, plan.stop) or 0.0
    assert risk == pytest.approx(500, rel=0.04)
    assert abs(plan.target - quoted) / abs(quoted - plan.stop) == pytest.approx(2.0, rel=0.08)
    assert money_between(plan.quantity, plan.limit, plan.stop) == pytest.approx(500 * 0.55 / 0.40, rel=0.06)  # the worst case


@given(
    st.sampled_from((BUY, SELL)),
    st.floats(5, 900),
    st.floats(0, 0.002),
    st.none() | st.floats(1e-4, 20),
    st.floats(0, 0.1),
    st.floats(0.05, 1.0),
)
def test_for_any_quote_the_risk_is_what_was_asked_at_the_expected_fill_and_never_less_at_the_limit(
    side: OrderSide, price: float, spread: float, atr: float | None, slippage: float, offset: float
) -> None:
    bid, ask = round(price * (1 - spread), 2), round(price * (1 + spread), 2)
    plan = planned(side, bid, ask, atr, slippage_pct=slippage, offset_pct=offset)
    assume(plan.quantity is not None)
    assert plan.quantity is not None
    assert plan.stop is not None
    assert plan.target is not None
    risk = money_between(plan.quantity, plan.expected, plan.stop) or 0.0
    assert 500 - abs(plan.expected - plan.stop) - 1e-6 <= risk <= 500 + 1e-6
    assert (money_between(plan.quantity, plan.limit, plan.stop) or 0.0) >= risk - 1e-6
    sign = 1 if side is BUY else -1
    assert (plan.limit - plan.expected) * sign >= 0
    assert plan.stop * sign < plan.expected * sign < plan.target * sign


@pytest.mark.parametrize("atr", [3.0, 2.5, 1e300, math.inf, math.nan, -1.0, 0.0])
def test_an_atr_that_leaves_no_stop_is_refused_in_words(atr: float) -> None:
    plan = plan_entry(BUY, EntryMarket(bid=4.99, ask=5.01, last=5.0, atr=atr), RULES, equity=None, caps=Caps())
    assert (plan.quantity, plan.stop, plan.target) == (None, None, None)
    assert "makes no sense" in plan.reason or "positive number" in plan.reason


def test_a_short_whose_target_would_be_below_zero_is_refused_in_words() -> None:
    plan = planned(SELL, 5.0, 5.01, 1.2, reward_risk=3.0)
    assert plan.quantity is None
    assert "target" in plan.reason


def test_caps_in_dollars_bind_the_worst_case() -> None:
    rules = PlanRules(**{name: getattr(RULES, name) for name in RULES.__slots__} | {"method": SizingMethod.FIXED_SHARES, "amount": 1_000})
    plan = plan_entry(BUY, EntryMarket(bid=99.99, ask=100.0, last=100.0, atr=0.1), rules, equity=None, caps=Caps(max_notional=10_010))
    assert plan.limit == 100.15
    assert plan.quantity == 99


def test_a_fill_is_expected_at_the_quote_slippage_added_and_never_beyond_the_limit() -> None:
    quote = {"bid": 99.0, "ask": 101.0, "last": 100.0}
    assert expected_fill(BUY, **quote, slippage_pct=1.0) == pytest.approx(102.01)
    assert expected_fill(SELL, **quote, slippage_pct=1.0) == pytest.approx(98.01)
    assert expected_fill(BUY, **quote, slippage_pct=1.0, limit=101.5) == 101.5
    assert expected_fill(SELL, **quote, slippage_pct=1.0, limit=98.5) == 98.5
    assert expected_fill(BUY, bid=99.0, ask=None, last=100.0, slippage_pct=0.0) == 100.0
    assert expected_fill(BUY, bid=None, ask=-1.0, last=None, slippage_pct=0.0, limit=7.0) == 7.0
