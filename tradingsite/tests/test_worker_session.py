"""The session's own rhythm of comparisons, with a broker and books that say what the test needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from events.bus import EventBus
from events.clock import utc_now
from positions.domain.ports import LinkState, RecoveryHint
from tradingsite.testing.patience import eventually_async
from tradingsite.worker.session import Session, State


class Broker:
    """Connected, with lists that always end."""

    link, account = LinkState.CONNECTED, "DUSIM001"

    async def connect(self) -> Any:
        self.link = LinkState.CONNECTED
        return await self.snapshot()

    async def snapshot(self) -> Any:
        return SimpleNamespace(complete=True, missing=(), taken_at=utc_now())

    async def disconnect(self) -> None:
        self.link = LinkState.DISCONNECTED


class Manager:
    """Finds nothing to do."""

    needs_reconcile, behind, verdict_due = "", False, False

    def set_reconciled(self, value: bool) -> None: ...

    def link_lost(self) -> None:
        self.behind = True

    async def doubt_unanswered(self, why: str) -> None: ...

    async def reconcile(self, *pictures: Any, light: bool = False) -> Any:
        self.behind = False
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


async def answers(account: str) -> bool:
    return True


def session_over(broker: Broker, books: Books, on_change: Callable[[], None] = lambda: None, manager: Manager | None = None) -> Session:
    return Session(
        bus=EventBus(), broker=broker, manager=manager or Manager(), mode="simulated", live_confirmed="", account_answers=answers,
        on_picture=lambda picture: None, on_data_lost=lambda: None, on_ready=nothing, on_change=on_change, books=books,
    )  # type: ignore[arg-type]  # fmt: skip


async def test_a_difference_that_was_only_a_moment_is_looked_at_again_within_seconds_not_at_the_next_light_reconcile() -> None:
    books = Books()
    session = session_over(Broker(), books)
    running = asyncio.create_task(session.run())
    await eventually_async(lambda: books.compared_times == 1)
    assert session.state is State.RECONCILING
    await eventually_async(lambda: session.state is State.READY)
    session.stop()
    await running


async def test_a_lost_link_is_told_in_the_same_moment_and_not_with_the_next_dial() -> None:
    broker, books, told = Broker(), Books(), []
    session = session_over(broker, books, lambda: told.append((session.state, session.detail)))
    running = asyncio.create_task(session.run())
    await eventually_async(lambda: session.state is State.READY)
    broker.link = LinkState.DISCONNECTED
    session.on_link(LinkState.DISCONNECTED, "no answer for 4.5 s", RecoveryHint.NONE)
    assert (session.state, told[-1]) == (State.CONNECTING, (State.CONNECTING, "no answer for 4.5 s"))
    await eventually_async(lambda: session.state is State.READY, what="the next dial works")
    session.stop()
    await running


async def test_a_link_lost_while_the_books_are_compared_makes_nothing_ready() -> None:
    broker, told = Broker(), []

    class LosingBooks(Books):
        async def compared(self, *given: Any, **more: Any) -> str:
            self.compared_times += 1
            if self.compared_times == 1:
                broker.link = LinkState.DISCONNECTED
                session.on_link(LinkState.DISCONNECTED, "cut", RecoveryHint.NONE)
            return ""

    books = LosingBooks()
    session = session_over(broker, books, lambda: told.append((books.compared_times, session.state)))
    running = asyncio.create_task(session.run())
    await eventually_async(lambda: session.state is State.READY)
    assert (1, State.READY) not in told
    assert (1, State.CONNECTING) in told
    session.stop()
    await running


async def test_exits_wait_for_the_first_reading_after_ib_was_away() -> None:
    """A stop may have filled meanwhile: an exit sent on the heels of the 1102 would trade what is held no more."""
    broker, books, asked, reading = Broker(), Books(), asyncio.Event(), asyncio.Event()
    session = session_over(broker, books)
    running = asyncio.create_task(session.run())
    await eventually_async(lambda: session.state is State.READY)
    assert session.link_up
    snapshot = broker.snapshot

    async def slow() -> Any:
        asked.set()
        await reading.wait()
        return await snapshot()

    broker.snapshot = slow  # type: ignore[method-assign]
    broker.link = LinkState.UPSTREAM_LOST
    session.on_link(LinkState.UPSTREAM_LOST, "1100", RecoveryHint.NONE)
    broker.link = LinkState.CONNECTED
    session.on_link(LinkState.CONNECTED, "1102", RecoveryHint.DATA_KEPT)
    await eventually_async(asked.is_set, what="the first reading")
    assert not session.link_up
    reading.set()
    await eventually_async(lambda: session.link_up and session.state is State.READY)
    session.stop()
    await running


async def test_a_doubt_is_settled_in_its_time_although_the_clock_was_set_back_by_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    class SetBack(Broker):
        ahead = timedelta(hours=1)

        async def snapshot(self) -> Any:
            taken_at, self.ahead = utc_now() + self.ahead, timedelta(0)
            return SimpleNamespace(complete=True, missing=(), taken_at=taken_at)

    class InDoubt(Manager):
        pairs = 0

        async def reconcile(self, first: Any, second: Any = None, *, light: bool = False) -> Any:
            apart = second is not None and second.taken_at > first.taken_at
            self.pairs += apart
            return SimpleNamespace(ok=apart, reason="", needs_second=not apart, proving=not apart)

    monkeypatch.setattr("tradingsite.worker.session.SECOND_PASS_SECONDS", 0.6)
    manager = InDoubt()
    session = session_over(SetBack(), Books(), manager=manager)
    running = asyncio.create_task(session.run())
    await eventually_async(lambda: manager.pairs == 1)
    session.stop()
    await running
