"""The request budget of the options-flow API, shared by every worker on every host: token buckets in Redis.

One small script does each step, so that two workers never take the same token. Redis' own clock counts. While Redis is
away each process falls back to a quarter of the budget of its own; the keys are named after a hash of the API key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from signals.domain.limiter import BUDGETS, Budget, CallClass, LocalLimiter, least_tokens

log = logging.getLogger(__name__)

# KEYS[1] the bucket; ARGV: burst, tokens per second, now ("" = Redis' clock), what ("take", "level", "pause"),
# and a number: the seconds of the pause, or the tokens a bucket must hold before one is taken
_SCRIPT = """
local burst, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(ARGV[3])
if not now then
  local t = redis.call('TIME')
  now = tonumber(t[1]) + tonumber(t[2]) / 1000000
end
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'paused')
local tokens, at, paused = tonumber(held[1]) or burst, tonumber(held[2]) or now, tonumber(held[3]) or 0
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
local answer = 0
if ARGV[4] == 'pause' then
  paused = math.max(paused, now + tonumber(ARGV[5]))
elseif now < paused then
  answer = ARGV[4] == 'take' and paused - now or 0
elseif ARGV[4] == 'level' then
  answer = tokens
elseif tokens >= tonumber(ARGV[5]) then
  tokens = tokens - 1
else
  answer = (tonumber(ARGV[5]) - tokens) / rate
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now), 'paused', tostring(paused))
redis.call('PEXPIRE', KEYS[1], math.ceil(math.max(burst / rate, paused - now, 1) * 1000) + 60000)
return tostring(answer)
"""


@cache
def _fallback(
    prefix: str, standard: float = BUDGETS[CallClass.STANDARD].per_minute, heavy: float = BUDGETS[CallClass.HEAVY].per_minute
) -> LocalLimiter:
    """One per process, key and rate, so that a new client does not start with a full bucket."""
    rates = {CallClass.STANDARD: standard, CallClass.HEAVY: heavy}
    return LocalLimiter({kind: Budget(burst=1, per_minute=rate / 4) for kind, rate in rates.items()})


class RedisLimiter:
    """A `Limiter` over Redis. `clock` (seconds) replaces Redis' own in tests."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        budgets: dict[CallClass, Budget] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._redis: Any = redis.asyncio.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._script = self._redis.register_script(_SCRIPT)
        self._prefix = "flow:" + blake2b(api_key.encode(), digest_size=8).hexdigest()
        self._budgets = budgets or BUDGETS
        self._clock = clock
        self._fallback = _fallback(self._prefix, self._budgets[CallClass.STANDARD].per_minute, self._budgets[CallClass.HEAVY].per_minute)

    async def take(self, kind: CallClass, *, reserve: float = 0.0) -> float:
        answer = await self._run(kind, "take", least_tokens(self._budgets[kind], reserve))
        return await self._fallback.take(kind, reserve=reserve) if answer is None else answer

    async def pause(self, kind: CallClass, seconds: float) -> None:
        await self._fallback.pause(kind, seconds)
        await self._run(kind, "pause", seconds)

    async def level(self, kind: CallClass) -> float:
        answer = await self._run(kind, "level")
        return await self._fallback.level(kind) if answer is None else answer

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def _run(self, kind: CallClass, what: str, number: float = 0) -> float | None:
        budget = self._budgets[kind]
        now = repr(self._clock()) if self._clock else ""
        try:
            answer = await self._script(keys=[f"{self._prefix}:{kind}"], args=[budget.burst, budget.per_minute / 60, now, what, number])
        except (RedisError, OSError) as error:
            log.warning("request budget in Redis not reachable (%s); a quarter of it is used here", type(error).__name__)
            return None
        return float(answer)
