"""The arithmetic that the P&L page prints, against hand-computed cases and a naive model."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from positions.domain.performance import Result, drawdown_series, figures, max_drawdown, sharpe, totals_of

money = st.decimals(min_value=-100_000, max_value=100_000, places=2, allow_nan=False, allow_infinity=False)


def results(*nets: str) -> list[Result]:
    return [Result(net=Decimal(net)) for net in nets]


def test_a_known_set_of_results_gives_the_figures_of_the_formulas() -> None:
    got = figures(totals_of(results("100.00", "-50.00", "200.00", "-25.00", "0.00")))
    assert (got.count, got.wins, got.losses) == (5, 2, 2)
    assert (got.net, got.gross_profit, got.gross_loss) == (Decimal("225.00"), Decimal("300.00"), Decimal("-75.00"))
    assert got.win_rate == pytest.approx(0.4)
    assert got.profit_factor == pytest.approx(4.0)
    assert got.expectancy == Decimal("45.00")
    assert (got.average_win, got.average_loss) == (Decimal("150.00"), Decimal("-37.50"))
    assert got.payoff == pytest.approx(4.0)
    assert (got.best, got.worst) == (Decimal("200.00"), Decimal("-50.00"))


def test_no_results_give_none_and_not_zero_for_every_ratio() -> None:
    got = figures(totals_of([]))
    assert (got.count, got.net) == (0, 0)
    assert got.win_rate is got.profit_factor is got.expectancy is got.average_r is got.best is got.payoff is None


def test_without_a_loss_there_is_no_profit_factor_rather_than_infinity() -> None:
    got = figures(totals_of(results("10", "20")))
    assert got.profit_factor is None
    assert got.payoff is None
    assert got.win_rate == 1.0


def test_average_r_leaves_out_positions_that_had_no_stop() -> None:
    rows = [Result(net=Decimal(1), r_multiple=value) for value in (2.0, None, -1.0, float("nan"))]
    got = figures(totals_of(rows))
    assert got.average_r == pytest.approx(0.5)
    assert got.r_count == 2


@given(st.lists(money, max_size=12), st.lists(money, max_size=12))
def test_the_sums_of_two_sets_are_those_of_both_together(some: list[Decimal], others: list[Decimal]) -> None:
    one, other = (totals_of([Result(net=net, commission=Decimal(1), r_multiple=0.5) for net in nets]) for nets in (some, others))
    assert one + other == totals_of([Result(net=net, commission=Decimal(1), r_multiple=0.5) for net in (*some, *others)])


@given(st.lists(money, max_size=40))
def test_net_is_the_exact_sum_and_equals_profit_plus_loss(nets: list[Decimal]) -> None:
    got = figures(totals_of(Result(net=net) for net in nets))
    assert got.net == sum(nets, Decimal(0))
    assert got.gross_profit + got.gross_loss == got.net
    assert got.wins + got.losses + sum(net == 0 for net in nets) == got.count


@given(st.lists(money, min_size=1, max_size=40))
def test_the_deepest_drawdown_is_the_worst_of_all_pairs(values: list[Decimal]) -> None:
    worst = min((later - earlier for i, earlier in enumerate(values) for later in values[i:]), default=Decimal(0))
    deepest = max_drawdown(values)
    assert deepest is not None
    assert deepest.amount == min(worst, Decimal(0)) == min(drawdown_series(values))
    assert deepest.peak <= deepest.trough
    assert values[deepest.trough] - values[deepest.peak] == deepest.amount


def test_a_drawdown_is_a_fraction_of_the_peak_it_fell_from() -> None:
    deepest = max_drawdown([Decimal(100), Decimal(120), Decimal(90), Decimal(130), Decimal(125)])
    assert deepest is not None
    assert (deepest.amount, deepest.fraction, deepest.peak, deepest.trough) == (Decimal(-30), -0.25, 1, 2)


def test_sharpe_is_not_given_for_a_handful_of_days_or_for_a_flat_line() -> None:
    assert sharpe([Decimal(100 + n) for n in range(20)]) is None
    assert sharpe([Decimal(100)] * 40) is None
    assert sharpe([Decimal(100)] * 30 + [Decimal(0)]) is None


def test_sharpe_of_alternating_returns_follows_its_formula() -> None:
    values = [Decimal(100)]
    for n in range(40):
        values.append(values[-1] * (Decimal("1.02") if n % 2 == 0 else Decimal("0.99")))
    mean, deviation = 0.005, 0.015 * (40 / 39) ** 0.5
    assert sharpe(values) == pytest.approx(mean / deviation * 252**0.5, rel=1e-9)
