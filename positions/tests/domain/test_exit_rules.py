"""The evaluator of exit rules: each rule alone, and properties that hold on any path of prices."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from positions.domain.exit_rules import Ask, ExitRules, Held, Market, Pace, PartialTarget, Reverse, Trail, TrailKind, evaluate, watched

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
PACE = Pace(seconds=5, ticks=1)


def held(**changes: object) -> Held:
    """100 shares long from 100 with a first stop at 95: one R is five dollars."""
    long = Held(direction=1, shares=100, opened=100, entry=100.0, risk=5.0, stop=95.0, open_time=NOW)
    return replace(long, **changes)  # type: ignore[arg-type]


def market(price: float, seconds: float = 0, **more: object) -> Market:
    return Market(price=price, now=NOW + timedelta(seconds=seconds), **more)  # type: ignore[arg-type]


def percent(value: float, **more: object) -> ExitRules:
    return ExitRules(trail=Trail(kind=TrailKind.PERCENT, value=value, **more))  # type: ignore[arg-type]


def asked(rules: ExitRules, position: Held, moment: Market) -> list[tuple[Ask, float | None]]:
    rules = watched(rules, position, moment)
    return [(action.ask, action.price) for action in evaluate(rules, position, moment, PACE)]


def test_a_percent_trail_follows_the_best_price_and_never_the_falling_one() -> None:
    assert asked(percent(2), held(), market(110.0)) == [(Ask.MOVE_STOP, 107.8)]
    assert asked(percent(2, best=110.0), held(stop=107.8), market(108.5)) == []


def test_an_atr_trail_waits_for_an_atr() -> None:
    rules = ExitRules(trail=Trail(kind=TrailKind.ATR, value=3))
    assert asked(rules, held(), market(110.0)) == []
    assert asked(rules, held(), market(110.0, atr=1.0)) == [(Ask.MOVE_STOP, 107.0)]


def test_a_short_position_trails_downwards() -> None:
    short = held(direction=-1, risk=5.0, stop=105.0)
    assert asked(percent(2), short, market(90.0)) == [(Ask.MOVE_STOP, 91.8)]
    assert asked(percent(2, best=90.0), short, market(91.0)) == [(Ask.MOVE_STOP, 91.8)]


def test_a_trail_moves_by_a_tick_at_least_and_not_more_often_than_its_pace() -> None:
    assert asked(percent(2), held(stop=107.8), market(110.004)) == []
    moved = percent(2, moved_at=NOW)
    assert asked(moved, held(), market(110.0, 4)) == []
    assert asked(moved, held(), market(110.0, 5)) == [(Ask.MOVE_STOP, 107.8)]


def test_the_stop_moves_to_the_entry_once_the_gain_is_big_enough() -> None:
    rules = ExitRules(break_even_r=1.0)
    assert asked(rules, held(), market(104.99)) == []
    assert asked(rules, held(), market(105.0)) == [(Ask.MOVE_STOP, 100.0)]
    assert asked(rules, held(stop=101.0), market(106.0)) == []


def test_the_tighter_of_two_moves_is_the_one_that_is_asked_for() -> None:
    rules = replace(percent(2), break_even_r=1.0)
    assert asked(rules, held(), market(110.0)) == [(Ask.MOVE_STOP, 107.8)]
    assert asked(replace(percent(20), break_even_r=1.0), held(), market(110.0)) == [(Ask.MOVE_STOP, 100.0)]


def test_a_time_stop_closes_and_silences_the_other_rules() -> None:
    rules = replace(percent(2), close_after_minutes=30)
    assert asked(rules, held(), market(110.0, 30 * 60)) == [(Ask.CLOSE, None)]
    assert asked(ExitRules(close_after_minutes=30), held(), market(100.0, 30 * 60 - 1)) == []


def test_the_session_end_closes_two_minutes_before_it() -> None:
    rules = ExitRules(close_at_session_end=True)
    assert asked(rules, held(), market(100.0, session_end=NOW + timedelta(seconds=121))) == []
    assert asked(rules, held(), market(100.0, session_end=NOW + timedelta(seconds=120))) == [(Ask.CLOSE, None)]


def test_a_partial_target_closes_its_share_of_the_largest_size_once() -> None:
    rules = ExitRules(targets=(PartialTarget(at_r=1, percent=33),))
    action = evaluate(rules, held(), market(105.0), PACE)[0]
    assert (action.ask, action.quantity) == (Ask.CLOSE_PART, 33)
    sent = replace(rules, targets=(replace(rules.targets[0], intent_id="x"),))
    assert evaluate(sent, held(shares=67), market(105.0), PACE) == []


def test_a_partial_target_that_covers_what_is_left_closes_everything() -> None:
    rules = ExitRules(targets=(PartialTarget(at_r=2, percent=50),))
    assert evaluate(rules, held(shares=50), market(110.0), PACE)[0].ask is Ask.CLOSE


def test_without_a_first_stop_rules_in_r_stay_silent() -> None:
    rules = ExitRules(break_even_r=1.0, targets=(PartialTarget(at_r=1, percent=50),))
    assert asked(rules, held(risk=None), market(200.0)) == []


def test_rules_survive_the_row() -> None:
    rules = ExitRules(
        trail=Trail(kind=TrailKind.ATR, value=2.5, best=101.0, moved_at=NOW, moves=3),
        break_even_r=1.0,
        close_after_minutes=15.0,
        targets=(PartialTarget(at_r=1, percent=50, intent_id="x", sent_at=NOW),),
        reverse=Reverse(intent_id="y", quantity=10, risk=1.0, reward=None, expires_at=NOW),
    )
    assert ExitRules.from_dict(rules.to_dict()) == rules
    assert ExitRules.from_dict(None) == ExitRules()


prices = st.lists(st.floats(min_value=1, max_value=500, allow_nan=False).map(lambda price: round(price, 2)), min_size=1, max_size=60)
trails = st.one_of(
    st.builds(Trail, kind=st.just(TrailKind.PERCENT), value=st.floats(0.1, 30)),
    st.builds(Trail, kind=st.just(TrailKind.ATR), value=st.floats(0.5, 10)),
)


@given(prices=prices, trail=trails, direction=st.sampled_from([1, -1]), break_even=st.none() | st.floats(0.2, 3))
def test_on_any_path_the_stop_only_tightens_stays_off_the_market_and_keeps_its_pace(prices, trail, direction, break_even) -> None:
    rules = ExitRules(trail=trail, break_even_r=break_even)
    position = held(direction=direction, stop=100 - 5.0 * direction)
    moved: list[float] = []
    for second, price in enumerate(prices):
        moment = market(price, float(second), atr=0.7)
        rules = watched(rules, position, moment)
        actions = evaluate(rules, position, moment, PACE)
        assert len(actions) <= 1
        for action in actions:
            assert action.price is not None
            assert (action.price - position.stop) * direction >= 0.01 - 1e-6
            assert (price - action.price) * direction > 0
            position = replace(position, stop=action.price)
            if action.rule == "trail":
                moved.append(second)
                rules = replace(rules, trail=replace(rules.trail, moved_at=moment.now))
            else:
                rules = replace(rules, break_even_at=moment.now)
    assert all(later - sooner >= PACE.seconds for sooner, later in itertools.pairwise(moved))


@given(
    prices=prices,
    targets=st.lists(st.tuples(st.floats(0.1, 5), st.floats(1, 100)), min_size=1, max_size=4),
    shares=st.integers(1, 1000),
)
def test_partial_targets_never_ask_for_more_than_is_held(prices, targets, shares) -> None:
    rules = ExitRules(targets=tuple(PartialTarget(at_r=r, percent=share) for r, share in targets))
    position = held(shares=float(shares), opened=float(shares))
    for second, price in enumerate(prices):
        for action in evaluate(rules, position, market(price, float(second)), PACE):
            assert 1 <= action.quantity <= position.shares
            assert action.quantity == int(action.quantity)
            done = replace(rules.targets[action.target], intent_id="sent")
            rules = replace(rules, targets=tuple(done if n == action.target else t for n, t in enumerate(rules.targets)))
            position = replace(position, shares=position.shares - action.quantity)
            if not position.shares:
                return
