"""The day's P&L is read from the rows of fills: after a bust they say what the fills that remain give."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from positions.models import FillRecord, PositionRecord
from positions.store import project
from positions.tests.domain.desk import START, Desk
from tradingsite.worker.equity import Past, read_past

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
