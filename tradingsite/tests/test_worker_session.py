"""The session's own rhythm of comparisons, with a broker and books that say what the test needs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from events.bus import EventBus
from events.clock import utc_now
from positions.domain.ports import LinkState
from tradingsite.testing.patience import eventually_async
from tradingsite.worker.session import Session, State


class Broker:
    """Connected, with lists that always end."""

    link, account = LinkState.CONNECTED, "DUSIM1"

    async def connect(self) -> Any:
        return await self.snapshot()

    async def snapshot(self) -> Any:
        return SimpleNamespace(complete=True, missing=(), taken_at=utc_now())

    async def disconnect(self) -> None:
        self.link = LinkState.DISCONNECTED


class Manager:
    """Finds nothing to do."""

    needs_reconcile = ""

    def set_reconciled(self, value: bool) -> None: ...

    async def doubt_unanswered(self, why: str) -> None: ...

    async def reconcile(self, *pictures: Any) -> Any:
        return SimpleNamespace(ok=True, reason="", needs_second=False, proving=False)


class Books:
    """Differ the first time: a fill came between two of IB's lists."""

    blocked = ""

    def __init__(self) -> None:
        self.compared_times = 0

    def full_due(self) -> bool:
        return False

    async def compared(self, *given: Any, **more: Any) -> str:
        self.compared_times += 1
        return "MSFT: IB lists it as working, here it is filled." if self.compared_times == 1 else ""


async def nothing() -> None: ...


async def test_a_difference_that_was_only_a_moment_is_looked_at_again_within_seconds_not_at_the_next_light_reconcile() -> None:
    books = Books()
    session = Session(
        bus=EventBus(), broker=Broker(), manager=Manager(), mode="simulated", live_confirmed="", on_account=lambda account: None,
        on_picture=lambda picture: None, on_data_lost=lambda: None, on_ready=nothing, books=books,
    )  # type: ignore[arg-type]  # fmt: skip
    running = asyncio.create_task(session.run())
    await eventually_async(lambda: books.compared_times == 1)
    assert session.state is State.RECONCILING
    await eventually_async(lambda: session.state is State.READY, seconds=6)
    session.stop()
    await running
