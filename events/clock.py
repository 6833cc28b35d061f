"""The only place that reads a clock. Everything else is handed a time or a `Clock`.

Wall time is aware UTC; `monotonic()` is for durations and never goes back.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from events.wording import age_words

CLOCK_TOLERANCE = 2.0  # seconds our clock may be away from the broker's or the database's


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


def unix_milliseconds() -> int:
    """Now, in whole milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds since an arbitrary start; only differences mean anything."""
    return time.monotonic()


def clock_skew(told: datetime, asked: datetime, heard: datetime, *, resolution: timedelta = timedelta()) -> float:
    """Seconds by which our clock is surely ahead of another; negative when behind, 0 when nothing proves a difference.

    `told` is the other's answer, cut to `resolution`, given at a moment between `asked` and `heard` by our clock.
    """
    if asked > told + resolution:
        return (asked - told - resolution).total_seconds()
    return min((heard - told).total_seconds(), 0.0)


def clock_trouble(away: float, whose: str = "broker's") -> str:
    """What is wrong with a clock that is `away` seconds ahead of another (< 0: behind); "" while that does no harm."""
    if abs(away) <= CLOCK_TOLERANCE:
        return ""
    return f"this computer's clock is {age_words(abs(away))} {'ahead of' if away > 0 else 'behind'} the {whose}"


class Clock(Protocol):
    """What a component takes when it needs the time."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return utc_now()

    def monotonic(self) -> float:
        return monotonic()


class ManualClock:
    """A clock that moves only when told to: for tests and replays."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("ManualClock needs an aware datetime")
        self._now = start.astimezone(UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward by `seconds` (>= 0)."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def set_wall(self, now: datetime) -> None:
        """Step the wall clock alone, as an administrator or a time server may."""
        self._now = now.astimezone(UTC)
