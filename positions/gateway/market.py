"""The simulated stock market: what any symbol quotes at any time, as a pure function of (seed, symbol, time).

The gateway and the demo flow API each hold a Market of the same seed and so live in the same world without talking.
A price path is stepped once a second and snapped to cents; a bar is exactly the open, high, low and close of the `last`
prices that `quote` gives inside it. Times are epoch seconds (UTC) of the market's own clock, see `market_time`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from positions.gateway.market_calendar import DAY, AlwaysOpen, Calendar, ExchangeCalendar, day_of, day_start
from positions.gateway.market_days import Day, Days
from positions.gateway.market_symbols import SymbolInfo, UnknownSymbol, symbol_info

__all__ = ["ANCHOR", "Bar", "Market", "Quote", "SymbolInfo", "UnknownSymbol", "market_time", "wall_time"]

ANCHOR = 1_767_225_600.0  # 2026-01-01T00:00Z, where every market clock agrees with the wall


def market_time(wall: float, speed: float = 1.0) -> float:
    """The market's epoch second at a wall-clock epoch second, when it runs `speed` times as fast."""
    return ANCHOR + (wall - ANCHOR) * speed


def wall_time(at: float, speed: float = 1.0) -> float:
    """The inverse of `market_time`."""
    return ANCHOR + (at - ANCHOR) / speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best prices and the day so far. Sizes in shares; volume since the trading day began; bid <= last <= ask."""

    bid: float
    ask: float
    last: float
    bid_size: int
    ask_size: int
    last_size: int
    volume: int
    at: float
    open: float
    high: float
    low: float
    prev_close: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """`start` is its first epoch second; volume in shares; wap the average of its trades."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    wap: float
    count: int


class Market:
    """The whole market of one seed. Unknown symbols raise UnknownSymbol; all else is answered for any time."""

    def __init__(self, seed: int, *, always_open: bool = True) -> None:
        self.seed = seed
        self.always_open = always_open
        self._calendar: Calendar = AlwaysOpen() if always_open else ExchangeCalendar()
        self._days = Days(seed, self._calendar, always_open=always_open)
        self._flicker = seed * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF

    def contract(self, symbol: str) -> SymbolInfo:
        return symbol_info(symbol)

    def is_open(self, at: float) -> bool:
        """Whether trades happen at this second."""
        day = day_of(at)
        trading = self._calendar.trading(day)
        return trading is not None and trading[0] <= int(at) - day_start(day) < trading[1]

    def session(self, at: float) -> tuple[int, int] | None:
        """(first, one past last) trading epoch second of the market day that holds `at`; None on a closed day."""
        day = day_of(at)
        trading = self._calendar.trading(day)
        return None if trading is None else (day_start(day) + trading[0], day_start(day) + trading[1])

    def last(self, symbol: str, at: float) -> float:
        """The last trade price at a time: the cheap part of `quote`."""
        day = self._days.now(symbol, day_of(at))
        return int(day.last[_second(day, at)]) / 100

    def quote(self, symbol: str, at: float) -> Quote:
        info = symbol_info(symbol)
        day = self._days.now(symbol, day_of(at))
        second = _second(day, at)
        last = int(day.last[second])
        noise = _mix(self._flicker ^ info.con_id * 0x1000193 ^ int(at * 4))
        spread = _spread_cents(info, last, day.start + second, noise)
        below = noise % (spread + 1)  # where inside the spread the last trade printed
        opening, top, bottom = _extremes(day, second)
        lot = max(1, min(30, info.average_volume // 3_000_000))
        return Quote(
            bid=(last - below) / 100 if last > below else 0.01,
            ask=(last + spread - below) / 100,
            last=last / 100,
            bid_size=100 * lot * (1 + (noise >> 8) % 9),
            ask_size=100 * lot * (1 + (noise >> 16) % 9),
            last_size=100 * (1 + (noise >> 24) % (2 * lot)),
            volume=day.traded(second),
            at=at,
            open=opening / 100,
            high=top / 100,
            low=bottom / 100,
            prev_close=day.close_before / 100,
        )

    def bar(self, symbol: str, start: int, seconds: int = 60) -> Bar:
        """The bar of [start, start + seconds), trading or not."""
        pieces = []
        at, stop = int(start), int(start) + int(seconds)
        while at < stop:
            day = self._days.get(symbol, day_of(at))
            until = min(stop, day.start + DAY) if at >= day.start else min(stop, day.start)
            pieces.append((day, max(0, at - day.start), max(1, until - day.start)))
            at = until
        return _joined(int(start), pieces)

    def bars(self, symbol: str, start: int, end: int, seconds: int = 60) -> list[Bar]:
        """The bars with start <= bar start < end, oldest first; those without a trade are left out."""
        made = (self.bar(symbol, at, seconds) for at in range(int(start), int(end), int(seconds)))
        return [bar for bar in made if bar.volume > 0]

    def day_bar(self, symbol: str, at: float) -> Bar:
        """The bar of the whole market day that holds `at` (its trading seconds only)."""
        number = day_of(at)
        trading = self._calendar.trading(number) or (0, DAY)
        return self.bar(symbol, day_start(number) + trading[0], trading[1] - trading[0])

    def make_ahead(self, symbol: str) -> bool:
        """Make the symbol's next day before its time; False when that is done. A day takes some 10 ms."""
        return self._days.make_ahead(symbol)

    def drift(self, symbol: str, at: float, horizon_seconds: float) -> float:
        """The return from `at` to `at + horizon_seconds`, as a fraction. The future: only the demo's own edge may look."""
        return self.last(symbol, at + horizon_seconds) / self.last(symbol, at) - 1


def _second(day: Day, at: float) -> int:
    """The second of the day, 0 for any time before the market began."""
    return max(0, math.floor(at) - day.start)


def _extremes(day: Day, second: int) -> tuple[int, int, int]:
    """Open, high and low of the trading day as of `second`."""
    if second < day.first or day.end <= day.first:
        flat = int(day.last[second])
        return flat, flat, flat
    minute = second // 60
    here = day.last[max(day.first, minute * 60) : second + 1]
    top, bottom = int(here.max()), int(here.min())
    if minute > day.first // 60:
        top, bottom = max(top, int(day.top[minute - 1])), min(bottom, int(day.bottom[minute - 1]))
    return int(day.last[day.first]), top, bottom


def _joined(start: int, pieces: list[tuple[Day, int, int]]) -> Bar:
    highs, lows, means, volume, length = [], [], 0.0, 0, 0
    for day, first, end in pieces:
        part = day.last[first:end]
        highs.append(int(part.max()))
        lows.append(int(part.min()))
        means += float(part.sum(dtype=np.int64))
        length += len(part)
        volume += day.traded(end - 1) - day.traded(first - 1)
    opening, closing = pieces[0][0].last[pieces[0][1]], pieces[-1][0].last[pieces[-1][2] - 1]
    return Bar(
        start=start,
        open=int(opening) / 100,
        high=max(highs) / 100,
        low=min(lows) / 100,
        close=int(closing) / 100,
        volume=volume,
        wap=round(means / length / 100, 4),
        count=max(1, volume // 180) if volume else 0,
    )


def _spread_cents(info: SymbolInfo, last: int, at: int, noise: int) -> int:
    """Bid to ask in cents: wider for dear, wild and thin stocks, and for the odd moment."""
    basis = 0.5 + 60 * info.volatility + 6 / math.sqrt(max(info.average_volume, 100_000) / 1_000_000)
    width = last * basis / 10_000 * 0.5
    if _mix(at * 0x100000001B3 ^ info.con_id) % 37 == 0:
        width *= 2.5
    return max(1, int(width + (noise >> 32) % 100 / 100))


def _mix(word: int) -> int:
    """splitmix64: a cheap even hash of one integer."""
    word = (word + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return word ^ (word >> 31)
