"""A demo provider over real HTTP, with a clock that tests move."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from events.clock import ManualClock
from signals import flow_link
from signals.demo.provider import Provider
from signals.demo.server import DemoServer
from signals.demo.world import World
from signals.domain.client import OptionsFlowClient
from signals.domain.limiter import Budget, CallClass, LocalLimiter

KEY = "a-key-only-for-tests"
START = datetime(2026, 6, 4, 15, 30, 30, tzinfo=UTC)  # a Thursday, in session


@pytest.fixture(scope="session")
def world() -> World:
    return World(7)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def demo(world: World, clock: ManualClock) -> Iterator[DemoServer]:
    """The demo API, on the test's own clock, without rate limits."""
    server = DemoServer(Provider(world, KEY, clock=lambda: clock.now().timestamp(), limited=False))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def desk_demo(world: World, settings, live_redis) -> Iterator[DemoServer]:
    """The demo API on real time, and the desk's settings pointing to it."""
    server = DemoServer(Provider(world, KEY))
    server.start()
    settings.FLOW_API_URL, settings.FLOW_API_KEY = server.base_url, KEY
    flow_link._breaker.cache_clear()
    yield server
    server.stop()


@pytest.fixture
def make_client(demo: DemoServer) -> Callable[..., OptionsFlowClient]:
    """A client of the demo that never really sleeps between tries; `slept` collects what it would have slept."""

    def make(**options) -> OptionsFlowClient:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        plenty = LocalLimiter({kind: Budget(burst=1e6, per_minute=1e6) for kind in CallClass})
        options = {"sleep": sleep, "limiter": plenty} | options
        client = OptionsFlowClient(options.pop("url", demo.base_url), options.pop("key", KEY), **options)
        client.slept = slept
        return client

    return make
