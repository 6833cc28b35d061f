"""The arithmetic that the P&L page prints, against hand-computed cases and a naive model."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from positions.domain.flow_adjusted import Flow, FlowAdjusted
from positions.domain.performance import Result, deepest_falls, figures, sharpe, totals_of

START = datetime(2026, 3, 2, 15, tzinfo=UTC)
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


def curve(*values: float) -> list[tuple[datetime, float]]:
    """One value a minute."""
    return [(START + timedelta(minutes=n), value) for n, value in enumerate(values)]


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40))
def test_the_deepest_falls_are_the_worst_of_all_pairs_in_percent_and_in_money(values: list[float]) -> None:
    pairs = [(earlier, later) for i, earlier in enumerate(values) for later in values[i:]]
    deepest = deepest_falls(curve(*values))
    assert deepest is not None
    assert deepest.percent.size == pytest.approx(min(later / earlier - 1 for earlier, later in pairs), abs=1e-12)
    assert deepest.money.size == pytest.approx(min(later - earlier for earlier, later in pairs), abs=1e-9)
    assert deepest.percent.peak <= deepest.percent.trough


def test_the_deepest_percent_need_not_be_the_deepest_in_money() -> None:
    deepest = deepest_falls(curve(100, 70, 1000, 850))  # 30 % of little, 150 of much
    assert deepest is not None
    assert (deepest.percent.size, deepest.percent.trough) == (pytest.approx(-0.3), START + timedelta(minutes=1))
    assert (deepest.money.size, deepest.money.trough) == (-150, START + timedelta(minutes=3))


def test_a_curve_that_only_rises_or_is_not_there_has_no_fall() -> None:
    rising = deepest_falls(curve(1, 2, 3))
    assert rising is not None
    assert (rising.percent.size, rising.money.size) == (0, 0)
    assert deepest_falls([]) is None


def test_a_withdrawal_is_no_fall_and_a_deposit_hides_none() -> None:
    taken = Flow(at=START + timedelta(minutes=2), amount=-50_000, before=250_000)
    deepest = deepest_falls(curve(255_000, 250_000, 200_000, 196_000), FlowAdjusted([taken]))
    assert deepest is not None
    assert deepest.percent.size == pytest.approx(250 / 255 * 196 / 200 - 1)
    assert deepest.money.size == pytest.approx(-9_000)
    put_in = Flow(at=START + timedelta(minutes=2), amount=100_000, before=80_000)
    hidden = deepest_falls(curve(100_000, 80_000, 180_000, 162_000), FlowAdjusted([put_in]))
    assert hidden is not None
    assert hidden.percent.size == pytest.approx(0.8 * 0.9 - 1)


def test_an_account_that_was_emptied_and_filled_again_goes_on_from_its_index() -> None:
    out = Flow(at=START + timedelta(minutes=1), amount=-100.0, before=100.0)
    back = Flow(at=START + timedelta(minutes=2), amount=500.0, before=0.0)
    adjusted = FlowAdjusted([back, out])
    assert adjusted.index(START + timedelta(minutes=3), 550.0) == pytest.approx(110.0)
    assert adjusted.net(START + timedelta(minutes=3), 550.0) == pytest.approx(150.0)


def test_sharpe_is_not_given_for_a_handful_of_days_or_for_a_flat_line() -> None:
    assert sharpe([100.0 + n for n in range(20)]) is None
    assert sharpe([100.0] * 40) is None
    assert sharpe([100.0] * 30 + [0.0]) is None


def test_sharpe_of_alternating_returns_follows_its_formula() -> None:
    values = [100.0]
    for n in range(40):
        values.append(values[-1] * (1.02 if n % 2 == 0 else 0.99))
    mean, deviation = 0.005, 0.015 * (40 / 39) ** 0.5
    assert sharpe(values) == pytest.approx(mean / deviation * 252**0.5, rel=1e-9)
