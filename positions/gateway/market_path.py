"""The log-price paths behind the simulated market: one per factor and day, second by second.

A stock's log price is base + beta x market + load x sector + its own factor. Every factor is a slow mean-reverting chain
of daily levels with fat tails; inside a day a Brownian bridge in volatility time joins one level to the next, with a jump at the
session's open. Each number comes from a generator keyed by (seed, factor, day), so any day can be asked for first.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from positions.gateway.market_calendar import DAY, Calendar, date_of, regular_session

Floats = npt.NDArray[np.float64]
T = TypeVar("T")

_CHUNK_DAYS = 1024
SHARED_PATHS = 24  # the market and ten sectors, of two days
_REVERSION = 0.99  # a level keeps this much of its distance from the base each day
_ALWAYS_OPEN_PACE = 1.3  # a day without a close moves more than a session, yet less than 24 hours of session would


class Recent(Generic[T]):
    """The last `size` values by key, made on demand; safe to use from several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        value = make()
        with self._lock:
            self._held[key] = value
            while len(self._held) > self._size:
                self._held.popitem(last=False)
        return value


def generator(seed: int, *parts: object) -> np.random.Generator:
    """The random numbers that belong to one (seed, name, day): the same in every process."""
    key = "|".join(map(str, (seed, *parts)))
    return np.random.Generator(np.random.SFC64(int.from_bytes(blake2b(key.encode(), digest_size=16).digest(), "big")))


@lru_cache(maxsize=64)
def activity(opens: int, closes: int, all_day: bool) -> Floats:
    """How busy each second of a day is, mean 1 over the trading seconds: a U over the session, calm nights."""
    seconds = np.arange(DAY, dtype=np.float64)
    place = (seconds - opens) / (closes - opens)
    session = (place >= 0) & (place < 1)
    smile = 0.75 + 1.3 * np.abs(2 * np.clip(place, 0, 1) - 1) ** 3
    shape: Floats = np.where(session, smile, 0.7 if all_day else 0.0)
    shape /= shape[shape > 0].mean()
    shape.setflags(write=False)
    return shape


@dataclass(frozen=True, slots=True)
class Factor:
    """A source of common or own movement; `volatility` is one session's standard deviation of log return."""

    name: str
    volatility: float


class Paths:
    """All factors of one seed and calendar. `path(factor, day)` is the log level at each second of that day."""

    def __init__(self, seed: int, calendar: Calendar, *, always_open: bool) -> None:
        self._seed = seed
        self._calendar = calendar
        self._always_open = always_open
        self._pace = _ALWAYS_OPEN_PACE if always_open else 1.0
        self._gap_share = 0.12 if always_open else 0.35
        self._levels: dict[str, array[float]] = {}
        self._lock = Lock()
        self._recent: Recent[Floats] = Recent(SHARED_PATHS)

    def level(self, factor: Factor, day: int) -> float:
        """The log level at the start of a day."""
        with self._lock:
            levels = self._levels.setdefault(factor.name, array("d", [0.0]))
            while len(levels) <= day:
                self._extend(factor, levels)
            return levels[day]

    def _extend(self, factor: Factor, levels: array[float]) -> None:
        first = len(levels) - 1
        draws = generator(self._seed, "levels", factor.name, first // _CHUNK_DAYS).standard_t(4, _CHUNK_DAYS) / math.sqrt(2)
        steps = self._quiet(first) * (factor.volatility * self._pace) * np.clip(draws, -6.0, 6.0)
        value = levels[-1]
        for step in steps.tolist():
            value = _REVERSION * value + step
            levels.append(value)

    def _quiet(self, first: int) -> Floats | float:
        """How much of a day's movement each day of the chunk has: little at weekends when only sessions trade."""
        if self._always_open:
            return 1.0
        weekdays = (date_of(first).weekday() + np.arange(_CHUNK_DAYS)) % 7
        return np.where(weekdays >= 5, 0.3, 1.0)

    def path(self, factor: Factor, day: int) -> Floats:
        """Made anew each time: what moves one symbol alone is used once."""
        return self._make(factor, day)

    def shared(self, factor: Factor, day: int) -> Floats:
        """The path of a factor that many symbols share, held for them."""
        return self._recent.get((factor.name, day), lambda: self._make(factor, day))

    def end(self, factor: Factor, day: int) -> float:
        """The last value of `path`: where the day after begins."""
        return self._last_level(factor, day) if self._calendar.trading(day) is None else self.level(factor, day + 1)

    def _last_level(self, factor: Factor, day: int) -> float:
        """The level at which the last trading day before `day` ended."""
        for earlier in range(day - 1, max(-1, day - 15), -1):
            if self._calendar.trading(earlier) is not None:
                return self.level(factor, earlier + 1)
        return self.level(factor, day)

    def _make(self, factor: Factor, day: int) -> Floats:
        trading = self._calendar.trading(day)
        before = self._last_level(factor, day)
        if trading is None:
            return np.full(DAY, before)
        opens, closes = regular_session(day)
        if not self._always_open:
            opens, closes = trading
        random = generator(self._seed, "day", factor.name, day)
        clock = activity(opens, closes, self._always_open)
        mood = math.exp(random.normal(0, 0.25))
        bursts = np.repeat(np.exp(random.normal(0, 0.4, DAY // 60)), 60)
        deviation = np.sqrt(clock) * bursts * (mood * factor.volatility * self._pace / math.sqrt(trading[1] - trading[0]))
        walk: Floats = np.cumsum(random.standard_normal(DAY) * deviation)
        jump = float(random.standard_t(4)) / math.sqrt(2)
        gap = self._gap_share * factor.volatility * max(-6.0, min(6.0, jump))
        elapsed = np.cumsum(clock)
        elapsed /= elapsed[-1]
        # The bridge: whatever the walk and the gap did, the day ends at the level where the next one starts.
        end = self.level(factor, day + 1) - before
        path: Floats = before + walk - elapsed * (walk[-1] + gap - end)
        path[opens:] += gap
        path.setflags(write=False)
        return path
