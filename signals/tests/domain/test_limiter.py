"""The token bucket of one process, and the wait for a token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.domain.flow_errors import FlowRateLimited
from signals.domain.limiter import CallClass, LocalLimiter, wait_for_token

STANDARD, HEAVY = CallClass.STANDARD, CallClass.HEAVY


class FakeTime:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


async def granted(limiter, time, kind, seconds):
    """When tokens are granted to somebody who never stops asking."""
    moments, end = [], time.now + seconds
    while time.now < end:
        wait = await limiter.take(kind)
        if wait:
            time.now += wait
        else:
            moments.append(time.now)
    return moments


@pytest.mark.parametrize(("kind", "limit"), [(STANDARD, 30), (HEAVY, 15)])
async def test_no_minute_ever_holds_more_than_the_limit(kind, limit):
    time = FakeTime()
    moments = await granted(LocalLimiter(clock=time), time, kind, 600)
    assert max(sum(start <= m < start + 60 for m in moments) for start in moments) <= limit
    assert len(moments) >= limit * 0.8 * 9


async def test_the_classes_do_not_share_tokens():
    time = FakeTime()
    limiter = LocalLimiter(clock=time)
    while not await limiter.take(STANDARD):
        pass
    assert await limiter.take(HEAVY) == 0


async def test_a_pause_gives_nothing_until_it_ends():
    time = FakeTime()
    limiter = LocalLimiter(clock=time)
    await limiter.pause(STANDARD, 45)
    assert await limiter.take(STANDARD) == 45
    assert await limiter.level(STANDARD) == 0
    assert await limiter.take(HEAVY) == 0
    time.now += 45
    assert await limiter.take(STANDARD) == 0


async def test_waiting_longer_than_allowed_is_refused_at_once():
    time = FakeTime()
    limiter = LocalLimiter(clock=time)
    await limiter.pause(STANDARD, 45)
    with pytest.raises(FlowRateLimited) as refused:
        await wait_for_token(limiter, STANDARD, longest=44, sleep=time.sleep)
    assert refused.value.retry_after == 45
    assert time.now == 1000
    await wait_for_token(limiter, STANDARD, longest=46, sleep=time.sleep)
    assert time.now >= 1045


@given(st.lists(st.floats(0, 30), max_size=80))
async def test_tokens_never_exceed_what_the_bucket_holds(waits):
    time = FakeTime()
    limiter = LocalLimiter(clock=time)
    for wait in waits:
        time.now += wait
        await limiter.take(HEAVY)
        assert 0 <= await limiter.level(HEAVY) <= 3
