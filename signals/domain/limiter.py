"""How fast we may ask the options-flow API: a token bucket per class of call, per API key.

`Limiter` is the port; `LocalLimiter` serves one process, and the one in Redis (signals/rate_limit.py) all of them.
A bucket of `burst` tokens that refills at `per_minute` lets at most burst + per_minute requests through in any minute,
which is kept at the provider's limit; the steady rate is 80 % of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from threading import Lock
from typing import Protocol

from events.clock import monotonic
from signals.domain.flow_errors import FlowBudgetSpent

log = logging.getLogger(__name__)


class CallClass(StrEnum):
    """The two classes of calls that the provider limits apart."""

    STANDARD = "standard"
    HEAVY = "heavy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Tokens a bucket holds, and gains each minute."""

    burst: float
    per_minute: float


def budget_within(per_minute: int) -> Budget:
    """The budget that never exceeds `per_minute` (5 or more) in any minute: a fifth of it at once, the rest as the steady rate.

    A bucket must also hold what flows in during two ticks of the scheduler (10 s) and one more, or some of it would be lost."""
    burst = max(ceil(per_minute / 5), ceil((per_minute + 6) / 7))
    return Budget(burst=burst, per_minute=per_minute - burst)


def budgets_within(standard: int, heavy: int) -> dict[CallClass, Budget]:
    """Both budgets, from what the provider allows in a minute."""
    return {CallClass.STANDARD: budget_within(standard), CallClass.HEAVY: budget_within(heavy)}


STANDARD_PER_MINUTE, HEAVY_PER_MINUTE = 30, 15  # what the API allows by its papers
BUDGETS = budgets_within(STANDARD_PER_MINUTE, HEAVY_PER_MINUTE)
FOR_OTHERS = 1.0  # requests a minute of the standard budget that are not polls: the provider's status


def polls_per_minute(budgets: dict[CallClass, Budget]) -> int:
    """How many predictions may be asked for in a minute, for ever."""
    return int(budgets[CallClass.STANDARD].per_minute - FOR_OTHERS)


_SAY_EVERY = 60.0  # seconds
_said: dict[CallClass, float] = {}  # class → when its spent budget was last told


class Limiter(Protocol):
    """Who says when a request may leave."""

    async def take(self, kind: CallClass, *, reserve: float = 0.0) -> float:
        """Take a token, but leave `reserve` of them to others: 0 when taken, else the seconds to wait before asking again."""
        ...

    async def pause(self, kind: CallClass, seconds: float) -> None:
        """Give no token of this class for so long: the server said so."""
        ...

    async def level(self, kind: CallClass) -> float:
        """Tokens in the bucket now; 0 while paused."""
        ...


def least_tokens(budget: Budget, reserve: float) -> float:
    """Tokens a bucket must hold before somebody who leaves `reserve` of them to others may take one."""
    return 1 + min(max(0.0, reserve), budget.burst - 1)


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

    async def take(self, kind: CallClass, *, reserve: float = 0.0) -> float:
        with self._lock:
            tokens, now, paused = self._refilled(kind)
            self._state[kind] = (tokens, now, paused)
            if now < paused:
                return paused - now
            if tokens < (needed := least_tokens(self._budgets[kind], reserve)):
                return (needed - tokens) * 60 / self._budgets[kind].per_minute
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
    limiter: Limiter,
    kind: CallClass,
    *,
    longest: float,
    reserve: float = 0.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Return with a token taken, or raise FlowBudgetSpent when that would take more than `longest` seconds."""
    waited = 0.0
    while wait := await limiter.take(kind, reserve=reserve):
        if waited + wait > longest:
            _say_spent(kind, wait)
            raise FlowBudgetSpent(wait)
        pause = max(wait, 0.01)
        await sleep(pause)
        waited += pause


def _say_spent(kind: CallClass, wait: float) -> None:
    """A spent budget is everyday life: one line a minute, not one per call."""
    now = monotonic()
    if now - _said.get(kind, -_SAY_EVERY) >= _SAY_EVERY:
        _said[kind] = now
        log.info("our request budget for %s calls is spent; next token in %.0f s", kind, wait)
