"""Things done again and again: each in a task of its own, a failure counted and logged, never the end of the others."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from django.db import DatabaseError

from events.journal import Fenced
from positions.domain.ports import BrokerError

log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]
CANCEL_AGAIN_SECONDS = 0.2


class Rhythm:
    """`on_fenced` is called when a step finds that another worker has taken over."""

    def __init__(self, *, on_fenced: Callable[[str], None]) -> None:
        self.failures: Counter[str] = Counter()  # step → times it failed
        self.database_ok = True
        self._on_fenced = on_fenced
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, seconds: float, name: str, step: Step) -> None:
        """Run `step` now and then every `seconds` after it has ended."""
        self._tasks.append(asyncio.create_task(self._repeat(seconds, name, step), name=name))

    async def stop(self) -> None:
        """Until every step has ended. A step may swallow a cancel: `asyncio.wait_for` does when its answer comes at that moment."""
        left = set(self._tasks)
        while left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)

    async def _repeat(self, seconds: float, name: str, step: Step) -> None:
        while True:
            try:
                await step()
            except Fenced as error:
                self._on_fenced(str(error))
                return
            except DatabaseError as error:
                self.database_ok = False
                self._count(name, error)
            except BrokerError as error:
                self._count(name, error)
            except Exception:
                self.failures[name] += 1
                log.exception("%s failed", name)
            await asyncio.sleep(seconds)

    def _count(self, name: str, error: Exception) -> None:
        self.failures[name] += 1
        log.warning("%s failed: %s: %s", name, type(error).__name__, error)
