"""Waiting for something to become true: the only way a test waits."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class NeverHappened(AssertionError):
    """What the test waited for did not come in time."""


def eventually(check: Callable[[], T], *, seconds: float = 10, every: float = 0.05, what: str = "") -> T:
    """Call `check` until it returns something true, and return that; an AssertionError inside it means "not yet"."""
    deadline = time.monotonic() + seconds
    while True:
        answer, doubt = _try(check)
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise _failure(check, seconds, what, doubt) from doubt
        time.sleep(every)


async def eventually_async(check: Callable[[], T | Awaitable[T]], *, seconds: float = 10, every: float = 0.02, what: str = "") -> T:
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
