"""How fast we may ask the options-flow API: a token bucket per class of call, per API key.

`Limiter` is the port; `LocalLimiter` serves one process, and the one in Redis (signals/rate_limit.py) all of them.
A bucket of `burst` tokens that refills at `per_minute` lets at most burst + per_minute requests through in any minute,
which is kept at the provider's limit; the steady rate is 80 % of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Protocol

from events.clock import monotonic
from signals.domain.flow_errors import FlowRateLimited


class CallClass(StrEnum):
    """The two classes of calls that the provider limits apart."""

    STANDARD = "standard"
    HEAVY = "heavy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Tokens a bucket holds, and gains each minute."""

    burst: float
    per_minute: float


BUDGETS = {CallClass.STANDARD: Budget(burst=6, per_minute=24), CallClass.HEAVY: Budget(burst=3, per_minute=12)}


class Limiter(Protocol):
    """Who says when a request may leave."""

    async def take(self, kind: CallClass) -> float:
        """Take a token: 0 when taken, else the seconds to wait before asking again."""
        ...

    async def pause(self, kind: CallClass, seconds: float) -> None:
        """Give no token of this class for so long: the server said so."""
        ...

    async def level(self, kind: CallClass) -> float:
        """Tokens in the bucket now; 0 while paused."""
        ...


class LocalLimiter:
    """The buckets of one process; `clock` is monotonic seconds."""

    def __init__(self, budgets: dict[CallClass, Budget] | None = None, *, clock: Callable[[], float] = monotonic) -> None:
        self._budgets = budgets or BUDGETS
        self._clock = clock
        self._lock = Lock()  # never held across an await
        now = clock()
        # class → (tokens, when they were counted, paused until)
        self._state = {kind: (budget.burst, now, now) for kind, budget in self._budgets.items()}

    def _refilled(self, kind: CallClass) -> tuple[float, float, float]:
        tokens, counted, paused = self._state[kind]
        now, budget = self._clock(), self._budgets[kind]
        tokens = min(budget.burst, tokens + max(0.0, now - counted) * budget.per_minute / 60)
        return tokens, now, paused

    async def take(self, kind: CallClass) -> float:
        with self._lock:
            tokens, now, paused = self._refilled(kind)
            self._state[kind] = (tokens, now, paused)
            if now < paused:
                return paused - now
            if tokens < 1:
                return (1 - tokens) * 60 / self._budgets[kind].per_minute
            self._state[kind] = (tokens - 1, now, paused)
            return 0.0

    async def pause(self, kind: CallClass, seconds: float) -> None:
        with self._lock:
            tokens, now, paused = self._refilled(kind)
            self._state[kind] = (tokens, now, max(paused, now + seconds))

    async def level(self, kind: CallClass) -> float:
        tokens, now, paused = self._refilled(kind)
        return 0.0 if now < paused else tokens


async def wait_for_token(
    limiter: Limiter, kind: CallClass, *, longest: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Return with a token taken, or raise FlowRateLimited when that would take more than `longest` seconds."""
    waited = 0.0
    while wait := await limiter.take(kind):
        if waited + wait > longest:
            raise FlowRateLimited(429, "our own request budget is spent", retry_after=wait)
        pause = max(wait, 0.01)
        await sleep(pause)
        waited += pause
