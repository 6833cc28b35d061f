"""The options-flow API over HTTP: eight calls, one GET each, every limit and every refusal handled in one place.

    async with OptionsFlowClient(base_url, api_key) as client:
        data = await client.prediction.get_latest_prediction_async("AAPL")

Calls return the unwrapped `data` object, checked to be a JSON object and nothing more; they raise a FlowError. The key travels
in a header only, redirects are not followed, plain http is for loopback only, and an answer over 5 MiB is cut off.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from types import TracebackType
from typing import Any, Self

import httpx

from events.wording import link_words, quantity_text
from signals.domain.circuit import CircuitBreaker
from signals.domain.endpoints import (
    DataRangeEndpoint,
    DivergenceEndpoint,
    MinuteDataEndpoint,
    PredictionEndpoint,
    StatusEndpoint,
    TickersEndpoint,
    TradesEndpoint,
)
from signals.domain.flow_address import check_resolved, normal_base_url
from signals.domain.flow_answer import read_answer, seconds_to_wait, spent_for
from signals.domain.flow_errors import (
    FlowBadAnswer,
    FlowConfigError,
    FlowError,
    FlowRateLimited,
    FlowRefused,
    FlowTooLarge,
    FlowUnreachable,
)
from signals.domain.limiter import CallClass, Limiter, LocalLimiter, wait_for_token

MAX_ANSWER_BYTES = 5 * 1024 * 1024
CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
SLOW_READ_SECONDS = 180.0
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 60.0

Parameter = str | int | float | bool | date | None


class OptionsFlowClient:
    """One provider, one key. `retries` counts further tries after a failure that may pass; `patience` is how many seconds a call
    may wait for a token, `reserve` how many tokens it leaves to more urgent callers. Limiter and breaker are given by whoever
    shares them between clients."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        limiter: Limiter | None = None,
        breaker: CircuitBreaker | None = None,
        retries: int = 2,
        patience: float = 60.0,
        reserve: float = 0.0,
        private_network: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._base_url = normal_base_url(base_url, private_network=private_network)
        if not api_key or not api_key.isascii() or not api_key.isprintable() or len(api_key) > 500:
            raise FlowConfigError("FLOW_API_KEY is empty or holds characters that a header cannot carry")
        self._api_key = api_key
        self._limiter = limiter or LocalLimiter()
        self._breaker = breaker or CircuitBreaker()
        self._retries = retries
        self._patience = patience
        self._reserve = reserve
        self._private_network = private_network
        self._sleep = sleep
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._http: httpx.AsyncClient | None = None
        self.rate_limited = 0  # answers with 429 so far
        self.status = StatusEndpoint(self)
        self.tickers = TickersEndpoint(self)
        self.prediction = PredictionEndpoint(self)
        self.trades = TradesEndpoint(self)
        self.minute_data = MinuteDataEndpoint(self)
        self.divergence = DivergenceEndpoint(self)
        self.data_range = DataRangeEndpoint(self)

    def __repr__(self) -> str:
        return f"OptionsFlowClient({self._base_url!r}, api_key=***)"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def get(self, path: str, parameters: Mapping[str, Parameter], kind: CallClass, *, slow: bool = False) -> dict[str, Any]:
        """GET base_url/path and return its `data`. Waits for the budget, retries what may pass, trips the breaker."""
        attempt = 0
        while True:
            try:
                return await self._once(path, parameters, kind, slow=slow)
            except FlowError as error:
                if not error.retryable or attempt >= self._retries:
                    raise
            await self._sleep(backoff(attempt))
            attempt += 1

    async def _once(self, path: str, parameters: Mapping[str, Parameter], kind: CallClass, *, slow: bool) -> dict[str, Any]:
        self._breaker.before()
        await wait_for_token(self._limiter, kind, longest=self._patience, reserve=self._reserve, sleep=self._sleep)
        try:
            response, body = await self._exchange(path, parameters, slow=slow)
            await self._heed_limits(response, kind)
            data = read_answer(response.status_code, body, secret=self._api_key, retry_after=seconds_to_wait(response.headers))
        except FlowRateLimited:
            self.rate_limited += 1
            raise
        except FlowError as error:
            # A plain "no" is a living server; silence, garbage and 5xx are not.
            if error.retryable or isinstance(error, FlowBadAnswer):
                self._breaker.failed()
            elif isinstance(error, FlowRefused):
                self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return data

    async def _exchange(self, path: str, parameters: Mapping[str, Parameter], *, slow: bool) -> tuple[httpx.Response, bytes]:
        read = SLOW_READ_SECONDS if slow else self._read_seconds
        try:
            # httpx limits each read; a server that drips one byte a second needs a limit on the whole.
            async with asyncio.timeout(self._connect_seconds + read):
                await check_resolved(self._base_url, private_network=self._private_network)
                async with self._client().stream(
                    "GET",
                    f"{self._base_url}/{path}",
                    params=_query(parameters),
                    headers={"X-API-Key": self._api_key, "Accept": "application/json"},
                    timeout=httpx.Timeout(read, connect=self._connect_seconds),
                ) as response:
                    return response, await _capped(response)
        except (TimeoutError, httpx.TimeoutException):
            raise FlowUnreachable(f"the options-flow API did not answer within {quantity_text(read)} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise FlowUnreachable(f"the options-flow API cannot be reached: {link_words(_cause(error))}") from None

    async def _heed_limits(self, response: httpx.Response, kind: CallClass) -> None:
        wait = seconds_to_wait(response.headers)
        if response.status_code == 429:
            await self._limiter.pause(kind, _LONGEST_BACKOFF if wait is None else wait)
        elif (spent := spent_for(response.headers)) is not None:
            await self._limiter.pause(kind, spent)

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            # trust_env off: a proxy variable must not send our key elsewhere.
            self._http = httpx.AsyncClient(follow_redirects=False, trust_env=False, limits=httpx.Limits(max_connections=8))
        return self._http


async def _capped(response: httpx.Response) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise FlowTooLarge(f"the options-flow API sent more than {MAX_ANSWER_BYTES // 1024 // 1024} MiB")
        parts.append(part)
    return b"".join(parts)


def _query(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """Parameters as the API spells them: booleans in lower case, what is None left out, zero kept."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in parameters.items() if value is not None}


def backoff(attempt: int, *, jitter: Callable[[], float] = random.random) -> float:
    """Seconds before try number attempt + 2: doubling from 1 to 60, spread over its upper half."""
    return min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0**attempt) * (0.5 + jitter() / 2)


def _cause(error: BaseException) -> BaseException:
    """The socket's own error beneath the library's, which has other classes and no words for it."""
    while not isinstance(error, OSError) and (beneath := error.__cause__ or error.__context__) is not None:
        error = beneath
    return error
