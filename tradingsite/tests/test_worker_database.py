"""The worker's database thread: one call at a time, in order, and a slow one is told."""

from __future__ import annotations

import logging
import threading

import pytest

from tradingsite.worker import database
from tradingsite.worker.database import Database


async def test_calls_run_one_at_a_time_in_order_and_off_the_loop():
    rows, ran = Database(), []
    first, second = rows.run(ran.append, 1), rows.run(ran.append, 2)
    await first
    await second
    assert ran == [1, 2]
    assert await rows.run(threading.get_ident) != threading.get_ident()
    await rows.close()


@pytest.mark.parametrize(("limit", "told"), [(0.0, 1), (60.0, 0)])
async def test_a_slow_call_is_told_by_its_name(monkeypatch, caplog, limit, told):
    def save_bars() -> None:
        """Longer than no time at all."""

    monkeypatch.setattr(database, "SLOW_SECONDS", limit)
    rows = Database()
    with caplog.at_level(logging.WARNING, logger=database.__name__):
        await rows.run(save_bars)
    assert len([r for r in caplog.records if "save_bars" in r.getMessage()]) == told
    await rows.close()
