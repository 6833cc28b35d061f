"""The simulated account: money, average cost, realized results, commissions and margin."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from positions.gateway.account import Account, commission_for
from positions.gateway.orders import Side

BUY, SELL = Side.BUY, Side.SELL


def price(value: float):  # type: ignore[no-untyped-def]
    return lambda _symbol: value


@pytest.mark.parametrize(
    ("quantity", "value", "fee"),
    [(100, 10_000, 1.0), (1000, 10_000, 5.0), (10, 20, 0.2), (1, 500, 1.0)],
)
def test_commission_is_half_a_cent_a_share_at_least_a_dollar_at_most_one_percent(quantity: float, value: float, fee: float) -> None:
    assert commission_for(quantity, value) == fee


def test_average_cost_includes_the_commission() -> None:
    account = Account()
    account.settle("AAPL", BUY, 100, 50.0, 1.0)
    assert account.holdings["AAPL"].average_cost == pytest.approx(50.01)
    assert account.cash == 250_000 - 5_001


def test_a_realized_result_is_net_of_both_commissions() -> None:
    account = Account()
    assert account.settle("AAPL", BUY, 100, 50.0, 1.0).realized is None
    assert account.settle("AAPL", SELL, 100, 52.0, 1.0).realized == pytest.approx(198.0)
    assert account.cash == 250_198


def test_a_short_position_earns_when_the_price_falls() -> None:
    account = Account()
    account.settle("AAPL", SELL, 100, 50.0, 1.0)
    assert account.holdings["AAPL"].average_cost == pytest.approx(49.99)
    assert account.settle("AAPL", BUY, 100, 48.0, 1.0).realized == pytest.approx(198.0)


def test_an_order_through_zero_closes_and_opens() -> None:
    account = Account()
    account.settle("AAPL", BUY, 100, 50.0, 0.0)
    settled = account.settle("AAPL", SELL, 150, 60.0, 0.0)
    assert settled.realized == pytest.approx(1000.0)
    assert (account.holdings["AAPL"].quantity, account.holdings["AAPL"].average_cost) == (-50, 60.0)


def test_margin_is_half_of_what_is_held() -> None:
    account = Account()
    account.settle("AAPL", BUY, 100, 50.0, 0.0)
    assert account.initial_margin(price(50.0)) == 2500.0
    assert account.margin_after("AAPL", SELL, 100, 50.0, price(50.0)) == 0.0
    assert account.values(price(50.0))["AvailableFunds"] == 250_000 - 2500


def test_a_new_day_starts_from_the_equity_of_the_old_one() -> None:
    account = Account()
    account.settle("AAPL", BUY, 100, 50.0, 0.0)
    account.start_day(price(60.0))
    assert account.daily(price(60.0)) == 0.0
    assert account.daily(price(61.0)) == 100.0


@given(
    st.lists(
        st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 500), st.integers(100, 50_000).map(lambda cents: cents / 100)),
        max_size=30,
    ),
    st.integers(100, 50_000).map(lambda cents: cents / 100),
)
def test_equity_is_always_start_plus_realized_plus_unrealized(trades: list[tuple[Side, int, float]], last: float) -> None:
    account = Account()
    for side, quantity, at in trades:
        account.settle("AAPL", side, quantity, at, commission_for(quantity, quantity * at))
    expected = 250_000 + account.realized + account.unrealized(price(last))
    assert math.isclose(account.equity(price(last)), expected, abs_tol=0.01)
