"""Making the options-flow client from the settings, with the limiter and the breaker that all polls share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import TypeVar

from asgiref.sync import async_to_sync
from django.conf import settings

from signals.domain.circuit import CircuitBreaker
from signals.domain.client import OptionsFlowClient
from signals.domain.flow_errors import FlowConfigError
from signals.rate_limit import RedisLimiter

PATIENCE = 8.0  # seconds a poll waits for a token; the next tick tries again

T = TypeVar("T")


@cache
def _breaker(base_url: str) -> CircuitBreaker:
    """One per process and provider: its threads see each other's failures."""
    return CircuitBreaker()


@asynccontextmanager
async def flow_client() -> AsyncIterator[OptionsFlowClient]:
    """A client for this event loop. Raises FlowConfigError when the settings cannot be used."""
    if not settings.FLOW_API_KEY:
        raise FlowConfigError("FLOW_API_KEY is not set")
    limiter = RedisLimiter(settings.REDIS_URL, settings.FLOW_API_KEY)
    try:
        client = OptionsFlowClient(
            settings.FLOW_API_URL,
            settings.FLOW_API_KEY,
            limiter=limiter,
            breaker=_breaker(settings.FLOW_API_URL),
            retries=1,
            patience=PATIENCE,
        )
        async with client:
            yield client
    finally:
        await limiter.aclose()


def ask(question: Callable[[OptionsFlowClient], Awaitable[T]]) -> T:
    """Run one conversation with the API from synchronous code."""

    async def conversation() -> T:
        async with flow_client() as client:
            return await question(client)

    return async_to_sync(conversation)()
