"""Completed bars from ticks, and Wilder's average true range over them. The worker feeds ticks; nothing here knows a clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from positions.domain.ports import Bar
from positions.domain.pricing import is_price


def true_ranges(bars: Sequence[Bar]) -> list[float]:
    """max(h − l, |h − c₋₁|, |l − c₋₁|) of each bar but the first, which has no previous close."""
    return [max(bar.high - bar.low, abs(bar.high - before.close), abs(bar.low - before.close)) for before, bar in pairwise(bars)]


def wilder_atr(bars: Sequence[Bar], period: int = 14) -> float | None:
    """Wilder's ATR (New Concepts in Technical Trading Systems, 1978) over completed bars, oldest first.

    Fewer true ranges than `period`: their mean. None at all: None.
    """
    if period < 1:
        raise ValueError("the ATR period must be at least 1")
    ranges = true_ranges(bars)
    if not ranges:
        return None
    first = ranges[:period]
    atr = sum(first) / len(first)
    for value in ranges[period:]:
        atr = (atr * (period - 1) + value) / period
    return atr


class BarBuilder:
    """Ticks of one symbol → completed bars of `seconds`, aligned to the epoch.

    A tick older than the bar being built is dropped: a completed bar never changes. A gap makes no empty bars.
    """

    def __init__(self, symbol: str, seconds: int = 60) -> None:
        if seconds < 1:
            raise ValueError("a bar lasts at least one second")
        self.symbol = symbol
        self.seconds = seconds
        self._start: datetime | None = None
        self._open = self._high = self._low = self._close = 0.0
        self._volume = 0.0

    def add(self, price: float | None, at: datetime, size: float = 0.0) -> Bar | None:
        """Take a tick; returns the bar it completed, if it did. `size` is shares traded since the last tick."""
        if not is_price(price):
            return None
        if not math.isfinite(size) or size < 0:
            size = 0.0
        start = self._start_of(at)
        if self._start is not None and start < self._start:
            return None
        done = self.flush(at) if self._start is not None and start > self._start else None
        if self._start is None:
            self._start = start
            self._open = self._high = self._low = price
            self._volume = 0.0
        self._high, self._low, self._close = max(self._high, price), min(self._low, price), price
        self._volume += size
        return done

    def flush(self, now: datetime) -> Bar | None:
        """The bar being built, if its time is over at `now`; for symbols that stopped ticking."""
        if self._start is None or self._start_of(now) <= self._start:
            return None
        done = self.current
        self._start = None
        return done

    @property
    def current(self) -> Bar | None:
        """The bar being built, not yet completed."""
        if self._start is None:
            return None
        return Bar(
            symbol=self.symbol, at=self._start, open=self._open, high=self._high, low=self._low, close=self._close, volume=self._volume
        )

    def _start_of(self, at: datetime) -> datetime:
        return at - timedelta(seconds=at.timestamp() % self.seconds)
