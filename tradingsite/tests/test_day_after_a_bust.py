"""The day's P&L is read from the rows of fills: after a bust they say what the fills that remain give, on the day they were executed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from positions.models import EquityPoint, FillRecord, MinuteBar, PositionRecord
from positions.realized import realized_by_day
from positions.store import project
from positions.tests.domain.desk import START, Desk
from tradingsite.worker.equity import Past, read_past
from tradingsite.worker.guard import read_standing

pytestmark = pytest.mark.django_db


async def sold_and_busted() -> tuple[list[Any], list[Any]]:
    """(what the bus carried until the sale, what it carried after the entry was busted)"""
    desk = await Desk().open()
    await desk.held()
    desk.broker.fill(desk.broker.order("-S"), 100, 94.0)
    await desk.manager.drain()
    sold = list(desk.events)
    desk.broker.correct(0, bust=True)
    await desk.manager.drain()
    return sold, desk.events[len(sold) :]


def day() -> Past:
    return read_past("DU1", START - timedelta(hours=1))


def test_a_sale_whose_entry_is_busted_has_realized_nothing_that_day():
    sold, busted = asyncio.run(sold_and_busted())
    project([(event, number) for number, event in enumerate(sold)], epoch=1)
    assert (day().realized_today, day().realized) == (-602.0, -602.0)
    project([(event, len(sold) + number) for number, event in enumerate(busted)], epoch=1)
    assert (day().realized_today, day().realized) == (-1.0, -1.0)  # the fee of the sale
    assert [float(row.realized_pnl) for row in FillRecord.objects.filter(superseded=False)] == [0.0]
    [short] = PositionRecord.objects.filter(status="open")
    assert (float(short.quantity), float(short.entry_price or 0)) == (-100.0, 94.0)


# --- yesterday's fills, heard today -----------------------------------------------------------------------------------

MIDNIGHT = datetime(2026, 3, 3, 5, tzinfo=UTC)  # the exchange's, after START


def pnl_of_today(unrealized: float) -> float:
    past = read_past("DU1", MIDNIGHT)
    return past.realized_today + unrealized - past.unrealized_before


async def held_over_night(desk: Desk) -> list[Any]:
    """A hundred bought at 100, worth 112 at the end of the day."""
    await desk.held()
    return list(desk.events)


def store_evening(events: list[Any]) -> None:
    project([(event, number) for number, event in enumerate(events)], epoch=1)
    at = MIDNIGHT - timedelta(minutes=1)
    EquityPoint.objects.create(account="DU1", at=at, equity=1, cash=1, unrealized_pnl=1200)
    MinuteBar.objects.create(symbol="AAPL", at=at, open=112, high=112, low=112, close=112)


async def next_morning(desk: Desk, change: str) -> None:
    """What the broker says on the next day of executions of the day before."""
    desk.clock.advance(86_400)
    if change == "a sale":
        desk.broker.mute = True
        desk.broker.fill(desk.broker.order("-T"), 100, 110.0)
        desk.broker.mute = False
        desk.manager.on_execution(replace(desk.broker.executions[-1], time=START + timedelta(hours=2)))
    elif change == "a corrected price":
        desk.broker.correct(0, price=101.0)
    elif change == "fewer shares":
        desk.broker.correct(0, quantity=90)
    else:
        desk.broker.correct(0, bust=True)
    await desk.manager.drain()


@pytest.mark.parametrize(
    ("change", "unrealized_now", "yesterday"),
    [
        ("a sale", 0.0, 1000.0),  # sold at 110
        ("a corrected price", 1100.0, 0.0),  # bought at 101
        ("fewer shares", 1080.0, 0.0),
        ("a bust", 0.0, 0.0),
    ],
)
def test_what_is_learned_of_yesterday_restates_yesterday_and_is_no_loss_of_today(
    change: str, unrealized_now: float, yesterday: float
) -> None:
    async def story() -> tuple[list[Any], list[Any]]:
        desk = await Desk().open()
        evening = await held_over_night(desk)
        await next_morning(desk, change)
        return evening, desk.events[len(evening) :]

    evening, morning = asyncio.run(story())
    for event in evening:
        object.__setattr__(event, "timestamp", START)
    for event in morning:
        object.__setattr__(event, "timestamp", MIDNIGHT + timedelta(hours=10))
    store_evening(evening)
    assert pnl_of_today(1200.0) == 0
    project([(event, len(evening) + number) for number, event in enumerate(morning)], epoch=1)
    assert pnl_of_today(unrealized_now) == 0
    days = realized_by_day("DU1")
    assert set(days) <= {date(2026, 3, 2)}
    assert float(sum(found.gross for found in days.values())) == yesterday


def test_a_busted_close_is_not_a_closed_trade_and_no_losing_one() -> None:
    async def story() -> list[Any]:
        desk = await Desk().open()
        await desk.held()
        desk.broker.fill(desk.broker.order("-S"), 100, 94.0)
        await desk.manager.drain()
        desk.broker.correct(1, bust=True)
        await desk.manager.drain()
        return desk.events

    project([(event, number) for number, event in enumerate(asyncio.run(story()))], epoch=1)
    assert [row.status for row in PositionRecord.objects.all()] == ["open"]
    assert read_standing("DU1", {"day_pnl": 0.0}).trades == []
