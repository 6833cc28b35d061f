"""The wall clock was an hour ahead and is set back: nothing that was timed meanwhile may stand still for that hour."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from events.market import PriceEvent
from events.order import OrderState
from positions.domain.exit_rules import ExitRules, Pace, PartialTarget, Trail, TrailKind
from positions.domain.exit_runner import ExitRunner
from positions.domain.order import Order
from positions.domain.position import Position
from positions.tests.domain.desk import Desk

HOUR = timedelta(hours=1)


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


def an_hour_ahead(desk: Desk) -> datetime:
    """Returns the true time."""
    true = desk.clock.now()
    desk.clock.set_wall(true + HOUR)
    return true


def stops(desk: Desk) -> list[float]:
    return [ticket.quantity for what, ticket in desk.broker.wire if what == "send" and ticket.order_ref.endswith("-S")]


async def test_a_stop_that_vanished_meanwhile_is_put_back_within_seconds(desk: Desk) -> None:
    await desk.held()
    true = an_hour_ahead(desk)
    desk.broker._end(desk.broker.order("-S"))
    await desk.manager.drain()
    desk.clock.set_wall(true)
    await desk.wait(4)
    assert stops(desk) == [100, 100]


async def test_an_alarm_of_meanwhile_goes_on_trying(desk: Desk) -> None:
    """Two stops did not stay: the position is held, and a stop is tried again now and then."""
    await desk.held()
    true = an_hour_ahead(desk)
    for _ in range(3):
        desk.broker._end(desk.broker.order("-S"))
        await desk.manager.drain()
        await desk.wait(4)
    assert desk.manager.protection_alarms
    tried = len(stops(desk))
    desk.clock.set_wall(true)
    await desk.wait(40)
    assert len(stops(desk)) > tried


async def test_a_part_that_waits_for_smaller_stops_gives_up_in_its_time(desk: Desk) -> None:
    position = await desk.held()
    true = an_hour_ahead(desk)
    desk.broker.mute = True
    part = await desk.manager.close_position(position.position_id, 40)
    assert isinstance(part, Order)
    desk.clock.set_wall(true)
    await desk.wait(12)
    assert part.state is OrderState.DENIED


async def looked(desk: Desk, run: ExitRunner, price: float) -> None:
    desk.quote(price=price)
    desk.tracker.on_price(PriceEvent(symbol="AAPL", price=price, price_time=desk.clock.now(), timestamp=desk.clock.now()))
    await run.run_once()
    await desk.manager.drain()


async def armed(desk: Desk, rules: ExitRules) -> tuple[Position, ExitRunner]:
    position = await desk.held(take_profit=None)
    run = ExitRunner(desk.manager, desk.tracker, desk.clock.now, pace=Pace(seconds=5))
    await run.arm(position, rules, "armed", by="a trader")
    return position, run


async def test_a_trailing_stop_that_moved_meanwhile_moves_on(desk: Desk) -> None:
    position, run = await armed(desk, ExitRules(trail=Trail(kind=TrailKind.PERCENT, value=2)))
    true = an_hour_ahead(desk)
    await looked(desk, run, 104.0)
    assert position.stop_loss == 101.92
    desk.clock.set_wall(true + timedelta(seconds=6))
    await looked(desk, run, 110.0)
    assert position.stop_loss == 107.8


async def test_a_target_that_was_refused_meanwhile_is_tried_again(desk: Desk) -> None:
    _, run = await armed(desk, ExitRules(targets=(PartialTarget(at_r=1, percent=40),)))
    true = an_hour_ahead(desk)
    desk.broker.down = True
    await looked(desk, run, 105.0)
    desk.broker.down = False
    desk.clock.set_wall(true)
    for _ in range(3):
        await desk.wait(1)
        await looked(desk, run, 105.0)
    assert [ticket.quantity for what, ticket in desk.broker.wire if what == "send" and ticket.order_ref.endswith("-X")] == [40]
