"""Protection as a measured fact: what covers a holding, what is wrong with a stop, and how long it was bare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from events.order import OrderRole
from positions.domain.position import Position
from positions.domain.protection import Fault, fault_of
from positions.domain.protection_clock import ProtectionClock
from positions.tests.domain.desk import Desk

NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


def orders_of(desk: Desk, position: Position) -> list:
    return [order for order in desk.manager.orders.values() if order.position_id == position.position_id]


async def test_a_bracket_protects_from_the_first_filled_share(desk: Desk) -> None:
    order = await desk.entered()
    desk.broker.fill(desk.broker.book[order.ib_order_id], 1, 100.0)
    await desk.manager.drain()
    position = desk.tracker.position(order.position_id)
    assert position.protection.first == 0.0
    assert (position.protection.seconds, position.protection.gaps) == (0.0, 0)


async def test_a_moved_stop_is_no_gap(desk: Desk) -> None:
    position = await desk.held()
    await desk.manager.change_stop(position.position_id, 96.0)
    assert position.stop_state == "pending"
    assert position.protection.bare_since is None


async def test_a_stop_that_vanishes_starts_the_clock_and_its_replacement_stops_it(desk: Desk) -> None:
    position = await desk.held()
    desk.broker._end(desk.broker.order("-S"))
    await desk.manager.drain()
    assert position.protection.bare_since is not None
    assert fault_of(position, orders_of(desk, position), desk.clock.now()) is Fault.MISSING
    await desk.wait(4)
    await desk.manager.drain()
    clock = position.protection
    assert clock.bare_since is None
    assert 0 < clock.seconds <= 3
    assert clock.days == {"2026-03-02": clock.seconds}
    assert fault_of(position, orders_of(desk, position), desk.clock.now()) is None


async def test_the_clock_survives_a_restart_and_a_close_ends_it(desk: Desk) -> None:
    position = await desk.held()
    desk.broker._end(desk.broker.order("-S"))
    await desk.manager.drain()
    row = position.to_dict()
    again = Position.from_dict(row, now=desk.clock.now)
    assert again.protection == position.protection
    desk.clock.advance(7)
    again.apply_fill(-again.held, 99.0)
    assert (again.protection.bare_since, again.protection.seconds) == (None, 7.0)


async def test_an_oversized_stop_and_an_unanswered_change_are_faults(desk: Desk) -> None:
    position = await desk.held()
    stop = desk.ours(OrderRole.STOP)
    stop.quantity = 150
    assert fault_of(position, [stop], desk.clock.now()) is Fault.TOO_LARGE
    stop.quantity = 60
    assert fault_of(position, [stop], desk.clock.now()) is Fault.TOO_SMALL
    stop.quantity = 100
    stop.ask_replace(stop_price=96.0)
    assert fault_of(position, [stop], desk.clock.now()) is None
    assert fault_of(position, [stop], desk.clock.now() + timedelta(seconds=6)) is Fault.WRONG_PRICE


def test_every_gap_counts_once_and_the_day_is_the_exchanges() -> None:
    clock = ProtectionClock()
    clock.observe(bare=True, held=True, now=NOON)
    clock.observe(bare=True, held=True, now=NOON + timedelta(seconds=1))
    clock.observe(bare=False, held=True, now=NOON + timedelta(seconds=3))
    late = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)  # still the evening before in New York
    clock.observe(bare=True, held=True, now=late)
    assert clock.on_day(late + timedelta(seconds=2)) == 5
    assert (clock.first, clock.gaps, clock.seconds) == (3, 2, 3)
    assert ProtectionClock.from_dict(clock.to_dict()) == clock


def test_a_gap_over_midnight_of_the_exchange_belongs_to_both_days() -> None:
    before = datetime(2026, 3, 3, 4, 59, 50, tzinfo=UTC)  # ten seconds to midnight in New York
    clock = ProtectionClock()
    clock.observe(bare=True, held=True, now=before)
    assert clock.on_day(before + timedelta(seconds=9)) == 9
    after = before + timedelta(seconds=40)
    assert clock.on_day(after) == 30
    clock.observe(bare=False, held=True, now=after)
    assert clock.days == {"2026-03-02": 10, "2026-03-03": 30}
    assert (clock.on_day(after), clock.seconds, clock.longest) == (30, 40, 40)


def test_a_gap_over_a_night_in_which_the_clocks_change_is_cut_at_midnight() -> None:
    began, ended = datetime(2026, 3, 8, 3, 0, tzinfo=UTC), datetime(2026, 3, 9, 5, 0, tzinfo=UTC)  # Saturday 22:00, Monday 01:00
    clock = ProtectionClock()
    clock.observe(bare=True, held=True, now=began)
    clock.observe(bare=False, held=True, now=ended)
    assert clock.days == {"2026-03-07": 2 * 3600, "2026-03-08": 23 * 3600, "2026-03-09": 3600}
    assert clock.seconds == sum(clock.days.values())


async def test_the_time_a_worker_is_away_counts_where_nothing_protected_and_not_where_a_stop_rested(desk: Desk) -> None:
    position = await desk.held()
    desk.clock.advance(600)
    desk = await desk.restarted()
    await desk.manager.reconcile(await desk.broker.snapshot())
    protected = desk.tracker.position(position.position_id).protection
    assert (protected.total(desk.clock.now()), protected.gaps) == (0.0, 0)  # it rested at the broker meanwhile

    desk.broker._end(desk.broker.order("-S"))
    await desk.manager.drain()
    desk.clock.advance(300)  # the worker ends before it could do anything about it
    desk = await desk.restarted()
    position = desk.tracker.position(position.position_id)
    assert position.protection.total(desk.clock.now()) == 300
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(3)
    clock = position.protection
    assert clock.bare_since is None
    assert 300 < clock.seconds <= 303
    assert clock.on_day(desk.clock.now()) == clock.seconds


async def test_a_night_without_a_worker_and_without_a_stop_is_cut_at_midnight_too(desk: Desk) -> None:
    position = await desk.held()
    desk.clock.advance(13 * 3600 + 59 * 60)  # 23:59 in New York
    desk.broker._end(desk.broker.order("-S"))
    await desk.manager.drain()
    desk.clock.advance(3600)
    desk = await desk.restarted()
    clock = desk.tracker.position(position.position_id).protection
    assert (clock.total(desk.clock.now()), clock.on_day(desk.clock.now())) == (3600, 3540)
    await desk.manager.reconcile(await desk.broker.snapshot())
    await desk.wait(3)
    assert clock.days["2026-03-02"] == 60
    assert 3540 < clock.days["2026-03-03"] <= 3543
