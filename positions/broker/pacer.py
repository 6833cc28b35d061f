"""How fast we may speak to IB: at most 30 messages in any second, orders before everything else.

IB disconnects a client above 50 a second, and the library answers the same limit with a silent queue that is lost with
the socket. So every message waits here first, where nothing has been promised yet.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from enum import IntEnum
from itertools import count

from events.clock import monotonic


class Priority(IntEnum):
    """Who speaks first when many want to."""

    ORDER = 0
    HEARTBEAT = 1
    QUERY = 2
    DATA = 3


class Pacer:
    """A token bucket: `burst` messages at once, then `per_second`; waiting turns are served by priority, then by arrival."""

    def __init__(self, *, per_second: float = 22.0, burst: int = 8, now: Callable[[], float] = monotonic) -> None:
        self.per_second = per_second
        self.burst = burst
        self._now = now
        self._tokens = float(burst)
        self._filled_at = now()
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []  # (priority, arrival, cost, turn)
        self._arrival = count()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, priority: Priority, cost: int = 1) -> None:
        """Wait until `cost` messages may be written together; at most `burst`."""
        if cost > self.burst:
            raise ValueError(f"{cost} messages at once is above the burst of {self.burst}")
        self._refill()
        if not self._waiting and self._tokens >= cost:
            self._tokens -= cost
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (int(priority), next(self._arrival), cost, waiter))
        self._serve()
        await waiter

    def waiting(self) -> int:
        return len(self._waiting)

    def _refill(self) -> None:
        now = self._now()
        self._tokens = min(float(self.burst), self._tokens + (now - self._filled_at) * self.per_second)
        self._filled_at = now

    def _serve(self) -> None:
        """Hand out turns while tokens last, and set one timer for the next."""
        self._timer = None
        self._refill()
        while self._waiting:
            _, _, cost, waiter = self._waiting[0]
            if waiter.done():  # its task was cancelled while it waited
                heapq.heappop(self._waiting)
                continue
            if self._tokens < cost:
                break
            heapq.heappop(self._waiting)
            self._tokens -= cost
            waiter.set_result(None)
        if self._waiting:
            self._arm(self._waiting[0][2])

    def _arm(self, cost: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.001, (cost - self._tokens) / self.per_second)
        self._timer = asyncio.get_running_loop().call_later(delay, self._serve)
