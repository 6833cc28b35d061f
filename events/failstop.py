"""Fail-stop: what holds when the living objects may differ from the journal. Pure.

An exception in the middle of a change leaves memory and rows apart, and everything decided from then on may be wrong. So
nothing is sent or told any more, the process ends, and the next one starts from the rows and the broker's own lists.
`MemoryUntrusted` is no `Exception`: whoever contains ordinary failures must not go on with this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

# What is being carried out ("command 12"), so that what ends the worker again and again can be told from all else.
_cause: ContextVar[str] = ContextVar("cause", default="")


class MemoryUntrusted(BaseException):
    """Raised out of the part that broke, and by every later call into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """`section` is what broke, `cause` what it was working on ("execution 0001.a", "command 12", "section tick"),
    `content` that report as text, "" when it was none."""

    section: str
    cause: str
    error: str
    content: str = ""

    def __str__(self) -> str:
        return f"{self.section} broke on {self.cause}: {self.error}"


@contextmanager
def working_on(cause: str) -> Iterator[None]:
    """Name what this task carries out."""
    token = _cause.set(cause)
    try:
        yield
    finally:
        _cause.reset(token)


def current_cause() -> str:
    """What this task carries out, "" when nobody said."""
    return _cause.get()
