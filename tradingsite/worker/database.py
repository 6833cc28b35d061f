"""The worker's own database thread, for everything that is not the journal or the inbox."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connection, connections

from events.clock import monotonic
from events.database_clock import database_skew

log = logging.getLogger(__name__)

T = TypeVar("T")
SLOW_SECONDS = 0.5  # others wait behind it: the lease, the heartbeat


class Database:
    """Runs ORM code off the loop, one call at a time, in order."""

    def __init__(self) -> None:
        self.skew = 0.0  # seconds our clock is ahead of the database's, when it was last compared
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-db")

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _with_fresh_connection, function, args)

    async def compare_clocks(self) -> None:
        self.skew = await self.run(database_skew)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
        self._thread.shutdown()


def _with_fresh_connection(function: Callable[..., T], args: tuple[Any, ...]) -> T:
    began = monotonic()
    try:
        return function(*args)
    except Exception:
        connection.close()  # it may be the connection that is broken; the next call opens a new one
        raise
    finally:
        took = monotonic() - began
        if took > SLOW_SECONDS:
            log.warning("the database took %.1f s for %s", took, function.__qualname__)
