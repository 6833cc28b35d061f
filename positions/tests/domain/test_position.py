"""Position: its state table, its P&L, its stop and target, its history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from events.position import PositionStatus
from positions.domain.errors import IllegalTransition, InvalidPrice, InvalidQuantity, PositionClosed, PositionsError
from positions.domain.holding import in_r
from positions.domain.position import TRANSITIONS, Position


async def opened(quantity: float = 100, price: float = 150.0) -> Position:
    position = Position("AAPL")
    await position.open(quantity, price)
    return position


async def test_a_hundred_shares_from_150_to_160_earn_1000() -> None:
    position = await opened()
    await position.update_price(160.0)
    assert position.unrealized_pnl == 1000.0
    assert position.unrealized_pnl_pct == pytest.approx(1000 / 15000)
    await position.close(160.0, "Take profit")
    assert (position.realized_pnl, position.unrealized_pnl, position.quantity) == (1000.0, 0.0, 0)
    assert position.status is PositionStatus.CLOSED
    assert position.reason == "Take profit"


async def test_a_short_earns_when_the_price_falls() -> None:
    position = await opened(-100)
    await position.update_price(140.0)
    assert position.is_short
    assert position.unrealized_pnl == 1000.0
    assert position.direction == -1
    await position.close(140.0)
    assert position.realized_pnl == 1000.0
    assert position.direction == -1


async def test_adding_averages_and_reducing_realizes_at_unchanged_entry() -> None:
    position = await opened()
    position.apply_fill(100, 160.0)
    assert position.entry_price == 155.0
    position.apply_fill(-50, 165.0)
    assert (position.entry_price, position.realized_pnl, position.held) == (155.0, 500.0, 150)


async def test_crossing_zero_closes_and_hands_the_rest_on() -> None:
    position = await opened()
    assert position.apply_fill(-130, 151.0) == -30
    assert position.status is PositionStatus.CLOSED
    assert position.realized_pnl == 100.0
    assert position.exit_price == 151.0


async def test_a_closed_position_refuses_prices_fills_and_a_second_close() -> None:
    position = await opened()
    await position.close(151.0)
    before = position.to_dict()
    for call in (position.update_price(1.0), position.close(1.0), position.adjust(stop_loss=1.0), position.open(1, 1.0)):
        with pytest.raises(PositionClosed):
            await call
    with pytest.raises(PositionClosed):
        position.apply_fill(1, 1.0)
    assert position.to_dict() == before


async def test_every_move_that_the_table_does_not_list_raises_and_changes_nothing() -> None:
    for source in PositionStatus:
        for target in PositionStatus:
            position = Position("AAPL")
            position._status = source
            if target in TRANSITIONS[source]:
                position._go(target)
                assert position.status is target
            else:
                with pytest.raises(IllegalTransition):
                    position._go(target)
                assert position.status is source


async def test_opening_what_is_already_open_raises() -> None:
    position = await opened()
    with pytest.raises(IllegalTransition):
        await position.open(1, 1.0)


@pytest.mark.parametrize("price", [0, -1, float("nan"), float("inf"), True, "150", None])
async def test_a_price_that_is_none_is_refused(price: float) -> None:
    position = await opened()
    before = position.to_dict()
    with pytest.raises(InvalidPrice):
        await position.update_price(price)
    assert position.to_dict() == before


@pytest.mark.parametrize("quantity", [0, float("nan"), float("-inf"), True])
async def test_a_quantity_that_is_none_is_refused(quantity: float) -> None:
    with pytest.raises(InvalidQuantity):
        await Position("AAPL").open(quantity, 150.0)


async def test_a_stop_may_move_into_profit_but_not_beyond_the_market() -> None:
    position = await opened()
    await position.update_price(160.0)
    await position.update_stop_loss(155.0)
    assert position.stop_loss == 155.0
    assert position.open_risk == 0.0
    for bad in (160.0, 161.0):
        with pytest.raises(InvalidPrice):
            await position.update_stop_loss(bad)
    with pytest.raises(InvalidPrice):
        await position.update_take_profit(159.0)
    assert position.stop_loss == 155.0


async def test_adjust_is_all_or_nothing() -> None:
    position = await opened()
    before = position.to_dict()
    with pytest.raises(PositionsError):
        await position.adjust(quantity=50, stop_loss=140.0, take_profit=10.0)
    assert position.to_dict() == before


async def test_a_size_correction_keeps_the_entry_and_recomputes_at_once() -> None:
    position = await opened()
    await position.update_price(160.0)
    await position.adjust(quantity=150)
    assert (position.entry_price, position.unrealized_pnl, position.status) == (150.0, 1500.0, PositionStatus.OPEN)
    with pytest.raises(InvalidQuantity):
        await position.adjust(quantity=-10)


async def test_every_change_is_in_the_history_with_a_rising_version() -> None:
    position = await opened()
    await position.update_stop_loss(140.0, reason="tighter", by="ann")
    await position.close(151.0)
    versions = [row["version"] for row in position.history]
    assert versions == sorted(set(versions))
    assert position.history[-1]["version"] == position.version
    moved = next(row for row in position.history if row["type"] == "levels")
    assert (moved["reason"], moved["by"], moved["changed"]) == ("tighter", "ann", {"stop_loss": [None, 140.0]})


async def test_commissions_enter_realized_when_they_are_known_even_after_the_close() -> None:
    position = Position("AAPL")
    position.apply_fill(100, 150.0, fill_id="a.01")
    position.apply_fill(-100, 151.0, fill_id="b.01", commission=1.0)
    assert position.realized_pnl == 99.0
    assert position.add_commission("a.01", 0.5)
    assert not position.add_commission("a.01", 0.5)
    assert position.realized_pnl == 98.5


async def test_a_correction_gives_what_the_right_number_would_have_given() -> None:
    wrong, right = Position("AAPL"), Position("AAPL")
    wrong.apply_fill(100, 150.0, fill_id="a.01")
    wrong.apply_fill(50, 151.0, fill_id="b.01")
    wrong.correct_fill("a.02", 90, 149.0)
    right.apply_fill(90, 149.0, fill_id="a.02")
    right.apply_fill(50, 151.0, fill_id="b.01")
    assert (wrong.held, wrong.entry_price, wrong.realized_pnl) == (right.held, right.entry_price, right.realized_pnl)
    assert wrong.correct_fill("a.01", 1, 1.0).quantity == 0
    assert wrong.held == 140


async def test_a_bust_of_the_exit_of_a_closed_position_reopens_it() -> None:
    position = Position("AAPL")
    position.apply_fill(100, 150.0, fill_id="a.01")
    position.apply_fill(-100, 151.0, fill_id="b.01")
    left = position.correct_fill("b.02", -100, 151.0, busted=True)
    assert left.quantity == 0
    assert (position.status, position.held, position.entry_price) == (PositionStatus.OPEN, 100, 150.0)
    assert (position.close_time, position.realized_pnl) == (None, 0.0)
    assert Position.from_dict(position.to_dict()).held == 100


async def test_a_position_closed_when_its_last_fill_was_executed_however_late_it_is_learned() -> None:
    yesterday = datetime(2026, 3, 2, 20, 59, tzinfo=UTC)
    position = Position("AAPL", now=lambda: yesterday + timedelta(hours=17))
    position.apply_fill(100, 150.0, fill_id="a.01", at=yesterday - timedelta(hours=2))
    position.apply_fill(-100, 151.0, fill_id="b.01", at=yesterday)
    assert (position.open_time, position.close_time) == (yesterday - timedelta(hours=2), yesterday)


async def test_r_is_measured_against_the_stop_that_rested_at_the_fill() -> None:
    position = Position("AAPL")
    position.plan(100, stop_loss=145.0)
    await position.open(100, 150.0)
    await position.update_price(160.0)
    await position.update_stop_loss(155.0)
    assert (position.risk_taken, position.r_multiple) == (500.0, 2.0)
    assert position.open_risk == 0.0
    assert (position.to_dict()["risk_taken"], position.to_dict()["r_multiple"]) == (500.0, 2.0)


async def test_r_is_net_of_fees_also_of_those_that_come_after_the_close() -> None:
    position = Position("AAPL")
    position.plan(100, stop_loss=145.0)
    position.apply_fill(100, 150.0, fill_id="a.01")
    position.apply_fill(-100, 160.0, fill_id="b.01")
    assert position.r_multiple == 2.0
    position.add_commission("a.01", 50.0)
    assert position.r_multiple == 1.9


@pytest.mark.parametrize(("direction", "stop", "risk"), [(1, 145.0, 500.0), (-1, 155.0, 500.0), (1, None, None)])
async def test_an_entry_in_parts_risks_what_each_part_does(direction: int, stop: float | None, risk: float | None) -> None:
    position = Position("AAPL")
    position.plan(100 * direction, stop_loss=stop)
    position.apply_fill(60 * direction, 150.0 + direction)
    position.apply_fill(40 * direction, 150.0 - 1.5 * direction)
    assert position.risk_taken == risk
    assert (position.r_multiple is None) == (risk is None)


async def test_added_shares_bring_their_own_risk_and_change_nothing_of_the_first() -> None:
    position = Position("AAPL")
    position.plan(100, stop_loss=95.0)
    position.apply_fill(100, 100.0)
    await position.update_price(110.0)
    await position.update_stop_loss(102.0)  # in profit for the first shares, not for those that come
    position.apply_fill(50, 110.0)
    assert position.risk_taken == 500.0 + 50 * 8.0
    await position.update_stop_loss(109.0)
    assert position.risk_taken == 900.0


async def test_without_a_stop_or_with_one_in_profit_there_is_no_r_and_not_zero() -> None:
    position = Position("AAPL")
    position.plan(100)
    position.apply_fill(100, 100.0)
    await position.update_stop_loss(95.0)  # after the entry: nobody knew then what it risked
    await position.update_price(105.0)
    assert (position.risk_taken, position.r_multiple, in_r(position.mfe, position.risk_taken)) == (None, None, None)
    added = Position("AAPL")
    added.plan(100, stop_loss=95.0)
    added.apply_fill(100, 100.0)
    added.follow_broker(stop_loss=120.0)
    added.apply_fill(50, 119.0)
    assert (added.risk_taken, added.r_multiple) == (None, None)


async def test_a_stop_that_the_broker_does_not_have_is_none() -> None:
    position = Position("AAPL")
    position.plan(100, stop_loss=95.0)
    position.apply_fill(50, 100.0)
    assert position.risk_taken == 250.0
    position.set_stop_state("missing")
    position.apply_fill(50, 100.0)
    assert position.risk_taken is None


def test_a_corrected_or_busted_entry_corrects_the_risk_taken() -> None:
    position = Position("AAPL")
    position.plan(100, stop_loss=95.0)
    position.apply_fill(60, 100.0, fill_id="a.01")
    position.apply_fill(40, 100.0, fill_id="b.01")
    position.correct_fill("a.02", 60, 101.0)
    assert position.risk_taken == 60 * 6.0 + 40 * 5.0
    position.correct_fill("b.02", 40, 100.0, busted=True)
    assert position.risk_taken == 360.0


async def test_a_size_correction_takes_the_risk_of_shares_that_never_were_along() -> None:
    position = Position("AAPL")
    position.plan(100, stop_loss=95.0)
    position.apply_fill(100, 100.0)
    await position.adjust(quantity=80)
    assert position.risk_taken == 400.0
    await position.adjust(quantity=100)
    assert position.risk_taken == 500.0


def test_a_row_of_an_earlier_version_takes_the_first_stop_and_keeps_its_excursions() -> None:
    position = Position("AAPL")
    position.plan(100, stop_loss=95.0)
    position.apply_fill(50, 100.0, fill_id="a.01")
    position.apply_fill(50, 100.0, fill_id="b.01")
    row = position.to_dict() | {"mfe": 300.0, "mae": -200.0}
    for entry in row["fills"]:
        for name in ("stop", "low", "high"):
            del entry[name]
    again = Position.from_dict(row)
    assert again.risk_taken == 500.0
    again.add_commission("b.01", 0.0)
    again.correct_fill("b.02", 50, 100.0)
    assert (again.mfe, again.mae) == (300.0, -200.0)


async def test_excursions_are_of_what_is_realized_and_unrealized_together() -> None:
    position = Position("AAPL")
    position.plan(100, stop_loss=145.0)
    position.apply_fill(100, 150.0)
    await position.update_price(155.0)
    position.apply_fill(-50, 155.0)
    await position.update_price(160.0)
    await position.update_price(149.0)
    position.apply_fill(-50, 149.0)
    assert (position.mfe, position.mae) == (750.0, 0.0)  # 250 realized and 500 open at 160
    assert (in_r(position.mfe, position.risk_taken), in_r(position.mae, position.risk_taken)) == (1.5, 0.0)


async def test_excursions_are_folded_again_when_a_fill_is_corrected() -> None:
    position = Position("AAPL")
    position.apply_fill(100, 150.0, fill_id="a.01")
    await position.update_price(152.0)
    await position.update_price(149.0)
    position.apply_fill(-100, 150.0, fill_id="b.01")
    assert (position.mfe, position.mae) == (200.0, -100.0)
    position.correct_fill("a.02", 100, 148.0)
    assert (position.mfe, position.mae) == (400.0, 0.0)
    position.correct_fill("b.02", -100, 155.0)
    assert (position.mfe, position.mae) == (700.0, 0.0)


async def test_a_wrong_fill_price_that_was_corrected_was_never_an_excursion() -> None:
    position = Position("AAPL")
    position.apply_fill(100, 150.0, fill_id="a.01")
    await position.update_price(150.0)
    position.apply_fill(-50, 15.0, fill_id="b.01")
    assert position.mae == -13500.0
    position.correct_fill("b.02", -50, 150.0)
    assert (position.mfe, position.mae) == (0.0, 0.0)


async def test_excursions_are_the_best_and_the_worst_it_ever_stood() -> None:
    position = await opened()
    for price in (155.0, 140.0, 150.0):
        await position.update_price(price)
    await position.close(152.0)
    assert (position.mfe, position.mae) == (500.0, -1000.0)


async def test_a_dictionary_restores_the_whole_position() -> None:
    position = Position("AAPL", signal_id="s", strategy="flow", account="DU1", metadata={"atr": 2.5})
    position.plan(100, stop_loss=145.0, take_profit=165.0)
    position.begin_opening("o1")
    position.apply_fill(60, 150.1, fill_id="a.01", commission=0.3, at=datetime(2026, 3, 2, tzinfo=UTC))
    position.apply_fill(40, 150.2, fill_id="b.01")
    await position.update_price(151.5)
    position.set_stop_state("resting")
    again = Position.from_dict(position.to_dict())
    assert again.to_dict() == position.to_dict()
    again.apply_fill(-100, 152.0)
    position.apply_fill(-100, 152.0)
    assert again.realized_pnl == position.realized_pnl


async def test_an_abandoned_plan_is_closed_without_a_result() -> None:
    position = Position("AAPL")
    position.plan(100)
    position.begin_opening("o1")
    position.abandon("entry rejected")
    assert (position.status, position.realized_pnl, position.reason) == (PositionStatus.CLOSED, 0.0, "entry rejected")
