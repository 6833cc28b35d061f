"""A comparison is read beside the rows it speaks of, so those are written before it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events.bus import EventBus
from events.clock import utc_now
from events.feed import Feed
from events.journal import Fenced, JournalFailed
from positions.domain.ports import BrokerSnapshot, PositionReport
from positions.domain.reconcile import ReconcileReport
from tradingsite.worker.books import LIGHT, Books


class Written:
    """The journal and the worker's database thread, as the order in which they were asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.order: list[str] = []
        self._error = error

    async def commit(self) -> None:
        if self._error:
            raise self._error
        self.order.append("journal")

    async def run(self, function: Any, *_: Any) -> None:
        self.order.append(function.__name__)


async def compared(written: Written) -> Books:
    core = SimpleNamespace(account="DU1", book={}, tracker=SimpleNamespace(active=list))
    books = Books(
        bus=EventBus(),
        manager=SimpleNamespace(core=core, holdings_elsewhere={"MSFT": 60.0}),  # type: ignore[arg-type]
        database=written,  # type: ignore[arg-type]
        feed=Feed(),
        commit=written.commit,
        fence=lambda: None,
        epoch=1,
        ref_prefix="desk",
    )
    held = PositionReport(account="DU1", symbol="MSFT", con_id=1, quantity=60.0, average_cost=400.0)
    picture = BrokerSnapshot(taken_at=utc_now(), positions=(held,))
    await books.compared(picture, ReconcileReport(ok=True), kind=LIGHT, reason="a test")
    return books


async def test_what_a_comparison_speaks_of_is_written_before_it() -> None:
    written = Written()
    books = await compared(written)
    assert written.order == ["journal", "save_check"]
    assert [(row["symbol"], row["state"]) for row in books.row["rows"]] == [("MSFT", "external")]


async def test_without_its_rows_a_comparison_is_not_stored_but_shown() -> None:
    written = Written(JournalFailed("the disk is full"))
    books = await compared(written)
    assert written.order == []
    assert books.row["external"] == 1


async def test_a_worker_that_lost_the_epoch_stores_no_comparison() -> None:
    written = Written(Fenced("another worker took over"))
    with pytest.raises(Fenced):
        await compared(written)
    assert written.order == []
