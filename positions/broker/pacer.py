"""How fast we may speak to IB: never more than 44 messages in any second, and what protects money before everything else.

IB allows 50 a second, and the library answers the same limit with a silent queue that is lost with the socket. So every
message waits here first, where nothing has been promised yet. Each kind of message may fill the second only so far: market
data leave room for questions, moves of trailing stops for exits, and all of them for the heartbeat.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from itertools import count

from events.clock import monotonic


class Priority(IntEnum):
    """Who speaks first when many want to."""

    ORDER = 0  # exits, cancels, protective stops, entries
    HEARTBEAT = 1
    MOVE = 2  # of a stop that rests and only follows the price
    QUERY = 3
    DATA = 4


CEILINGS: Mapping[Priority, int] = {
    Priority.ORDER: 42,
    Priority.HEARTBEAT: 44,
    Priority.MOVE: 36,
    Priority.QUERY: 28,
    Priority.DATA: 22,
}


class Pacer:
    """A sliding window: a turn is given while the messages of the last `window` seconds stay within the ceiling of its priority.

    Waiting turns are served by priority, then by arrival.
    """

    def __init__(self, *, ceilings: Mapping[Priority, int] = CEILINGS, window: float = 1.0, now: Callable[[], float] = monotonic) -> None:
        self.ceilings = ceilings
        self.window = window
        self._now = now
        self._spoken: deque[float] = deque()  # when each message of the window was allowed
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []  # (priority, arrival, cost, turn)
        self._arrival = count()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, priority: Priority, cost: int = 1) -> None:
        """Wait until `cost` messages may be written together; at most the ceiling of the priority."""
        if cost > self.ceilings[priority]:
            raise ValueError(f"{cost} messages at once are above the ceiling of {self.ceilings[priority]}")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (int(priority), next(self._arrival), cost, waiter))
        self._serve()
        await waiter

    def waiting(self) -> int:
        return len(self._waiting)

    def room(self, priority: Priority) -> int:
        """How many messages of this priority could be written now, if nothing else waited."""
        self._forget(self._now())
        return max(0, self.ceilings[priority] - len(self._spoken))

    async def until_room(self, priority: Priority) -> None:
        """Wait until there is room for one; it is not taken."""
        while not self.room(priority):
            await asyncio.sleep(max(0.001, self._spoken[0] + self.window - self._now()))

    def within(self, seconds: float, priority: Priority) -> int:
        """How many messages of this priority alone can be written in so many seconds."""
        return self.ceilings[priority] * math.ceil(seconds / self.window)

    def _serve(self) -> None:
        """Hand out turns while there is room, and set one timer for the next."""
        now = self._now()
        self._forget(now)
        waiting, self._waiting = sorted(self._waiting), []
        for turn in waiting:
            priority, _, cost, waiter = turn
            if waiter.done():  # its task was cancelled while it waited
                continue
            if len(self._spoken) + cost > self.ceilings[Priority(priority)]:
                self._waiting.append(turn)  # in order: a sorted list is a heap
                continue
            self._spoken.extend([now] * cost)
            waiter.set_result(None)
        self._arm(now)

    def _forget(self, now: float) -> None:
        while self._spoken and self._spoken[0] <= now - self.window:
            self._spoken.popleft()

    def _arm(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._spoken:
            delay = max(0.001, self._spoken[0] + self.window - now)
            self._timer = asyncio.get_running_loop().call_later(delay, self._serve)
