"""The shared budget in Redis: many workers, one limit, a pause for all, and a small budget without Redis."""

import asyncio
import heapq

import pytest
from django.conf import settings

from signals.demo.provider import Provider
from signals.demo.server import DemoServer
from signals.domain.client import OptionsFlowClient
from signals.domain.flow_errors import FlowRateLimited
from signals.domain.limiter import CallClass
from signals.rate_limit import RedisLimiter, _fallback
from signals.tests.conftest import KEY

STANDARD, HEAVY = CallClass.STANDARD, CallClass.HEAVY


class SharedTime:
    """Virtual time for several tasks: it jumps to the next sleeper once everybody who runs has gone to sleep or to the network."""

    def __init__(self):
        self.now = 1_780_587_000.0
        self._sleepers = []
        self._number = 0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self._number += 1
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._number, wake))
        await wake

    async def run(self, workers):
        """Run the workers to their end; time moves only while all that are left sleep."""
        tasks = {asyncio.ensure_future(worker) for worker in workers}
        while running := {task for task in tasks if not task.done()}:
            if len(self._sleepers) < len(running):
                await asyncio.sleep(0.001)
                continue
            self.now, _, wake = heapq.heappop(self._sleepers)
            wake.set_result(None)
            await asyncio.sleep(0)
        for task in tasks:
            task.result()


@pytest.fixture
async def make_limiter(live_redis):
    made = []

    def make(**options):
        limiter = RedisLimiter(settings.REDIS_URL, options.pop("key", KEY), **options)
        made.append(limiter)
        return limiter

    yield make
    for limiter in made:
        await limiter.aclose()


async def test_forty_tickers_and_four_workers_stay_within_the_limits(make_limiter, world):
    time = SharedTime()
    server = DemoServer(Provider(world, KEY, clock=time))  # it refuses what is over its limits
    server.start()
    tickers = [f"T{number}" for number in range(40)]

    async def work(mine):
        # Each worker has its own connection to Redis, as on another host.
        limiter = make_limiter(clock=time)
        async with OptionsFlowClient(server.base_url, KEY, limiter=limiter, sleep=time.sleep, patience=1e9) as client:
            for _ in range(2):
                for ticker in mine:
                    await client.prediction.get_latest_prediction_async(ticker)
                await client.trades.get_trades_async(mine[0], limit=1, recent=True)
                await client.divergence.get_divergence_async(mine[0], limit=1)

    await time.run(work(tickers[number::4]) for number in range(4))
    server.stop()
    assert {seen.status for seen in server.provider.seen} == {200}
    heavy = [seen.at for seen in server.provider.seen if not seen.path.endswith("/latest")]
    standard = [seen.at for seen in server.provider.seen if seen.path.endswith("/latest")]
    assert (len(standard), len(heavy)) == (80, 16)
    assert max(sum(start <= at < start + 60 for at in standard) for start in standard) <= 30
    assert max(sum(start <= at < start + 60 for at in heavy) for start in heavy) <= 15


async def test_two_workers_never_take_the_same_token(make_limiter):
    limiters = [make_limiter(clock=lambda: 1000.0) for _ in range(4)]
    answers = await asyncio.gather(*(limiter.take(STANDARD) for limiter in limiters for _ in range(10)))
    assert answers.count(0) == 6


async def test_a_pause_is_heard_by_every_worker_and_ends(make_limiter):
    now = [1000.0]
    one, other = make_limiter(clock=lambda: now[0]), make_limiter(clock=lambda: now[0])
    await one.pause(STANDARD, 45)
    assert await other.take(STANDARD) == pytest.approx(45)
    assert await other.level(STANDARD) == 0
    assert await other.take(HEAVY) == 0
    now[0] += 45
    assert await other.take(STANDARD) == 0


async def test_another_key_has_its_own_budget(make_limiter, live_redis):
    while not await make_limiter().take(HEAVY):
        pass
    assert await make_limiter(key="another").take(HEAVY) == 0


async def test_without_a_clock_of_its_own_redis_counts(make_limiter):
    limiter = make_limiter()
    assert [await limiter.take(HEAVY) for _ in range(3)] == [0, 0, 0]
    assert 0 < await limiter.take(HEAVY) <= 5


async def test_without_redis_a_small_budget_is_left(make_limiter, live_redis):
    live_redis.kill()
    _fallback.cache_clear()
    one, other = make_limiter(), make_limiter()
    assert await one.take(STANDARD) == 0
    assert await other.take(STANDARD) > 5
    with pytest.raises(FlowRateLimited):
        async with OptionsFlowClient("http://127.0.0.1:9/api/v1", KEY, limiter=other, patience=1) as client:
            await client.status.get_status_async()


async def test_the_key_is_not_in_redis(make_limiter, live_redis):
    limiter = make_limiter()
    await limiter.take(STANDARD)
    names = await limiter._redis.keys("*")
    assert names
    assert not [name for name in names if KEY.encode() in name]
