"""Waiting for something to become true: the only way a test waits.

There is one patience for everything: how long a test waits before it calls what it waits for missing. Nobody measures anything
with it, and a test that succeeds does not use it up; so it is long enough for a machine that is busy with other things. Where a
time itself is under test, `starvation.Stopwatch` measures it in the processes' own terms.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0  # seconds


class NeverHappened(AssertionError):
    """What the test waited for did not come in time."""


def eventually(check: Callable[[], T], *, seconds: float = PATIENCE, every: float = 0.05, what: str = "") -> T:
    """Call `check` until it returns something true, and return that; an AssertionError inside it means "not yet"."""
    deadline = time.monotonic() + seconds
    while True:
        answer, doubt = _try(check)
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise _failure(check, seconds, what, doubt) from doubt
        time.sleep(every)


async def eventually_async(check: Callable[[], T | Awaitable[T]], *, seconds: float = PATIENCE, every: float = 0.02, what: str = "") -> T:
    """`eventually` for a running event loop; `check` may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        doubt: AssertionError | None = None
        answer: T | None = None
        try:
            result = check()
            answer = await result if inspect.isawaitable(result) else result
        except AssertionError as error:
            doubt = error
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise _failure(check, seconds, what, doubt) from doubt
        await asyncio.sleep(every)


def _try(check: Callable[[], T]) -> tuple[T | None, AssertionError | None]:
    try:
        return check(), None
    except AssertionError as error:
        return None, error


def _failure(check: object, seconds: float, what: str, doubt: AssertionError | None) -> NeverHappened:
    name = what or getattr(check, "__name__", repr(check))
    return NeverHappened(f"not within {seconds:g} s: {name}" + (f" ({doubt})" if doubt else ""))
