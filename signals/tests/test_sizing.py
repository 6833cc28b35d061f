"""How many shares, and why not more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.domain.sizing import Caps, SizingMethod, fixed_dollars, fixed_shares, percent_of_equity, risk_dollars, size


def test_the_four_methods() -> None:
    assert fixed_shares(10.9, price=100.0).quantity == 10
    assert fixed_dollars(1_050.0, price=100.0).quantity == 10
    assert percent_of_equity(5.0, equity=100_000.0, price=49.0).quantity == 102
    assert risk_dollars(500.0, entry=100.0, stop=95.0).quantity == 100
    assert risk_dollars(500.0, entry=95.0, stop=100.0).quantity == 100


def test_an_exact_number_of_shares_is_not_lost_to_a_float() -> None:
    assert fixed_dollars(0.3, price=0.1).quantity == 3
    assert risk_dollars(0.3, entry=1.1, stop=1.0).quantity == 3


def test_nothing_to_buy_is_none_with_a_reason() -> None:
    sizing = fixed_dollars(50.0, price=100.0)
    assert sizing.quantity is None
    assert "not even one share" in sizing.reason


def test_the_smallest_cap_wins_and_is_named() -> None:
    caps = Caps(max_quantity=80, max_notional=5_000.0, buying_power=6_000.0)
    sizing = fixed_shares(100, price=100.0, caps=caps)
    assert sizing.quantity == 50
    assert "$5,000.00" in sizing.reason
    assert fixed_shares(100, price=100.0, caps=Caps(buying_power=-5.0)).quantity is None


def test_risk_needs_a_stop_away_from_the_entry() -> None:
    assert "set a stop" in risk_dollars(500.0, entry=100.0, stop=None).reason
    assert "at the entry" in risk_dollars(500.0, entry=100.0, stop=100.0).reason


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), True])
@pytest.mark.parametrize("method", list(SizingMethod))
def test_garbage_buys_nothing_and_says_so(method: SizingMethod, bad: float) -> None:
    for amount, price in ((bad, 100.0), (100.0, bad)):
        sizing = size(method, amount, price=price, stop=95.0, equity=1e5)
        assert sizing.quantity is None
        assert "positive number" in sizing.reason


def test_percent_of_an_unknown_equity_waits() -> None:
    assert size(SizingMethod.PERCENT_EQUITY, 5.0, price=10.0).quantity is None


@given(
    st.sampled_from(SizingMethod),
    st.floats(0.01, 1e6),
    st.floats(0.01, 1e5),
    st.floats(0.01, 1e5),
    st.integers(1, 10_000),
    st.floats(1, 1e6),
)
def test_no_size_exceeds_its_caps_or_its_money(
    method: SizingMethod, amount: float, price: float, stop: float, most: int, notional: float
) -> None:
    sizing = size(method, amount, price=price, stop=stop, equity=1e6, caps=Caps(max_quantity=most, max_notional=notional))
    assert sizing.reason
    if sizing.quantity is not None:
        assert 1 <= sizing.quantity <= most
        assert sizing.quantity * price <= notional * (1 + 1e-9)
        if method is SizingMethod.RISK_DOLLARS:
            assert sizing.quantity * abs(price - stop) <= amount * (1 + 1e-9)
