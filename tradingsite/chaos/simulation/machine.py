"""The machine a world runs on: its clocks, its randomness, its disk, and the Redis it does not have."""

from __future__ import annotations

import asyncio
import os
import random as random_module
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from django.db import connection
from django.db.backends.sqlite3.base import DatabaseWrapper, SQLiteCursorWrapper
from django.db.utils import OperationalError

from events import feed, inbox
from positions.gateway import server
from tradingsite.chaos import person
from tradingsite.chaos.simulation.clockwork import VirtualLoop
from tradingsite.worker import subscriptions

FOREVER = 3600.0


class Silence:
    """The channel layer of a world without Redis."""

    async def group_send(self, group: str, message: Any) -> None:
        return None

    async def new_channel(self, prefix: str = "") -> str:
        return prefix

    async def group_add(self, group: str, channel: str) -> None:
        return None

    async def group_discard(self, group: str, channel: str) -> None:
        return None

    async def receive(self, channel: str) -> Any:
        while True:
            await asyncio.sleep(FOREVER)


class Disk:
    """Refuses what the worker writes, for a while. Both words are SQLite's own."""

    LOCKED, FULL = "database is locked", "database or disk is full"

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop, self._word, self._passed, self._until = loop, "", 0, 0.0
        execute, many = SQLiteCursorWrapper.execute, SQLiteCursorWrapper.executemany
        commit = getattr(DatabaseWrapper, "_commit")  # noqa: B009 - which its types do not know

        def checked(write: Callable[..., Any]) -> Callable[..., Any]:
            def run(wrapper: Any, query: str, *rest: Any) -> Any:
                if query.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
                    self._check(sqlite3.OperationalError)
                return write(wrapper, query, *rest)

            return run

        def committed(wrapper: Any) -> Any:
            self._check(OperationalError)
            return commit(wrapper)

        SQLiteCursorWrapper.execute = checked(execute)  # type: ignore[method-assign]
        SQLiteCursorWrapper.executemany = checked(many)  # type: ignore[method-assign]
        setattr(DatabaseWrapper, "_commit", committed)  # noqa: B010

    def fail(self, word: str, *, after: int, seconds: float) -> None:
        """From the worker's write number `after` on, until `seconds` from now."""
        self._word, self._passed, self._until = word, after, self._loop.now + seconds

    def mend(self) -> None:
        self._word = ""

    def _check(self, kind: type[Exception]) -> None:
        if not self._word or not self._loop.running.startswith("worker") or self._loop.now > self._until:
            return
        self._passed -= 1
        if self._passed < 0:
            raise kind(self._word)


def replace_the_machine(loop: VirtualLoop, random: Random) -> None:
    """Durations, sleeping and randomness of this process come from the world; dates do by `time_machine`."""

    def urandom(count: int) -> bytes:
        return random.randbytes(count)

    time.monotonic = loop.time
    time.perf_counter = loop.time
    time.sleep = loop.jump  # type: ignore[assignment]
    os.urandom = urandom
    random_module._urandom = urandom  # type: ignore[attr-defined]
    random_module.seed(random.random())
    setattr(person, "_attempts", lambda *args: [None])  # noqa: B010 - one; whoever asked tries again in virtual time
    subscriptions.MOST_MINUTES = 60  # a day of bars for each symbol would cost half of the computing
    server.TICK_SECONDS = 0.5  # half as many prices, a quarter less to compute
    for module in (feed, inbox):
        module.get_channel_layer = Silence  # type: ignore[attr-defined]
    feed._send_now = lambda *args, **options: False


def use_database(file: Path) -> None:
    connection.close()
    connection.settings_dict["NAME"] = str(file)
