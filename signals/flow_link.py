"""Making the options-flow client from the settings, with the limiter and the breaker that all polls share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from asgiref.sync import async_to_sync
from django.conf import settings

from signals.domain.circuit import CircuitBreaker
from signals.domain.client import OptionsFlowClient
from signals.domain.flow_errors import FlowConfigError
from signals.domain.limiter import Budget, CallClass, budgets_within
from signals.rate_limit import RedisLimiter

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a caller asks: seconds it waits for a token, tokens it leaves to others, tries after a failure that may pass.
    Callers of different `line`s do not trip each other's breaker."""

    line: str
    patience: float
    reserve: float = 0.0
    retries: int = 1


# No second try: it would take the token of a ticker that has waited longer. The next turn of this one is its second try.
POLLING = Manner(line="polling", patience=8.0, retries=0)
HISTORY = Manner(line="polling", patience=8.0)
CONTEXT = Manner(line="context", patience=6.0, reserve=1.0, retries=0)  # for a person's eyes only: after everything else


@cache
def _breaker(base_url: str, line: str) -> CircuitBreaker:
    """One per process, provider and line of callers: its threads see each other's failures."""
    return CircuitBreaker()


def budgets() -> dict[CallClass, Budget]:
    """The request budgets by the settings."""
    return budgets_within(settings.FLOW_REQUESTS_PER_MINUTE, settings.FLOW_HEAVY_REQUESTS_PER_MINUTE)


def _limiter() -> RedisLimiter:
    return RedisLimiter(settings.REDIS_URL, settings.FLOW_API_KEY, budgets=budgets())


def tokens(kind: CallClass) -> float:
    """How many requests of this class could leave now; 0 while the provider has told us to wait."""

    async def look() -> float:
        limiter = _limiter()
        try:
            return await limiter.level(kind)
        finally:
            await limiter.aclose()

    return async_to_sync(look)()


@asynccontextmanager
async def flow_client(manner: Manner | None = None) -> AsyncIterator[OptionsFlowClient]:
    """A client for this event loop. Raises FlowConfigError when the settings cannot be used."""
    if not settings.FLOW_API_KEY:
        raise FlowConfigError("FLOW_API_KEY is not set")
    manner = manner or POLLING
    limiter = _limiter()
    try:
        client = OptionsFlowClient(
            settings.FLOW_API_URL,
            settings.FLOW_API_KEY,
            limiter=limiter,
            breaker=_breaker(settings.FLOW_API_URL, manner.line),
            retries=manner.retries,
            patience=manner.patience,
            reserve=manner.reserve,
        )
        async with client:
            yield client
    finally:
        await limiter.aclose()


def ask(question: Callable[[OptionsFlowClient], Awaitable[T]], manner: Manner | None = None) -> T:
    """Run one conversation with the API from synchronous code."""

    async def conversation() -> T:
        async with flow_client(manner) as client:
            return await question(client)

    return async_to_sync(conversation)()
