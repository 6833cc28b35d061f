"""The simulated stock market: what any symbol quotes at any time, as a pure function of (seed, symbol, time).

The gateway and the demo flow API each hold a Market of the same seed and so live in the same world without talking.
A price path is stepped once a second and snapped to cents; a bar is exactly the open, high, low and close of the `last`
prices that `quote` gives inside it. Times are epoch seconds (UTC) of the market's own clock, see `market_time`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from positions.gateway.market_calendar import DAY, AlwaysOpen, Calendar, ExchangeCalendar, day_of, day_start, regular_session
from positions.gateway.market_path import Factor, Floats, Paths, Recent, activity, generator
from positions.gateway.market_symbols import SymbolInfo, UnknownSymbol, symbol_info

__all__ = ["ANCHOR", "Bar", "Market", "Quote", "SymbolInfo", "UnknownSymbol", "market_time", "wall_time"]

ANCHOR = 1_767_225_600.0  # 2026-01-01T00:00Z, where every market clock agrees with the wall
_MARKET = Factor("market", 0.0085)
_SECTOR_VOLATILITY = 0.006
_MINUTES = DAY // 60


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


@dataclass(frozen=True, slots=True)
class _Day:
    """One symbol's day in cents: last price per second, and per minute open, high, low, close and cumulated volume."""

    start: int
    first: int  # second of the day at which trading begins
    end: int
    last: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]
    low: npt.NDArray[np.int32]
    top: npt.NDArray[np.int32]  # running high at the end of each minute
    bottom: npt.NDArray[np.int32]
    volume: npt.NDArray[np.int64]  # before each minute; 1441 entries

    def traded(self, second: int) -> int:
        """Shares traded from the start of the day through the end of `second` (-1 = none)."""
        minute, rest = divmod(second + 1, 60)
        if minute >= _MINUTES:
            return int(self.volume[_MINUTES])
        before = int(self.volume[minute])
        return before + (int(self.volume[minute + 1]) - before) * rest // 60


class Market:
    """The whole market of one seed. Unknown symbols raise UnknownSymbol; all else is answered for any time."""

    def __init__(self, seed: int, *, always_open: bool = True) -> None:
        self.seed = seed
        self.always_open = always_open
        self._calendar: Calendar = AlwaysOpen() if always_open else ExchangeCalendar()
        self._paths = Paths(seed, self._calendar, always_open=always_open)
        self._days: Recent[_Day] = Recent(120)
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
        day = self._day(symbol, day_of(at))
        return int(day.last[_second(day, at)]) / 100

    def quote(self, symbol: str, at: float) -> Quote:
        info = symbol_info(symbol)
        number = day_of(at)
        day = self._day(symbol, number)
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
            prev_close=int(self._day(symbol, number - 1).last[-1]) / 100 if number else opening / 100,
        )

    def bar(self, symbol: str, start: int, seconds: int = 60) -> Bar:
        """The bar of [start, start + seconds), trading or not."""
        pieces = []
        at, stop = int(start), int(start) + int(seconds)
        while at < stop:
            day = self._day(symbol, day_of(at))
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

    def drift(self, symbol: str, at: float, horizon_seconds: float) -> float:
        """The return from `at` to `at + horizon_seconds`, as a fraction. The future: only the demo's own edge may look."""
        return self.last(symbol, at + horizon_seconds) / self.last(symbol, at) - 1

    def _day(self, symbol: str, number: int) -> _Day:
        return self._days.get((symbol, number), lambda: self._make_day(symbol, number))

    def _make_day(self, symbol: str, number: int) -> _Day:
        info = symbol_info(symbol)
        level = info.beta * self._paths.path(_MARKET, number)
        level = level + info.sector_load * self._paths.path(Factor(f"sector {info.sector}", _SECTOR_VOLATILITY), number)
        level += self._paths.path(Factor(f"own {symbol}", info.volatility), number)
        last = np.maximum(np.rint(info.base_price * 100 * np.exp(level)), 1).astype(np.int32)
        by_minute = last.reshape(_MINUTES, 60)
        trading = self._calendar.trading(number) or (0, 0)
        first_minute = trading[0] // 60
        high, low = by_minute.max(axis=1), by_minute.min(axis=1)
        return _Day(
            start=day_start(number),
            first=trading[0],
            end=trading[1],
            last=last,
            high=high,
            low=low,
            top=_running(np.maximum, high, first_minute),
            bottom=_running(np.minimum, low, first_minute),
            volume=self._volume(info, number, by_minute),
        )

    def _volume(self, info: SymbolInfo, number: int, by_minute: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Cumulated shares before each minute: the day's activity curve, more when the price moves."""
        total = np.zeros(_MINUTES + 1, dtype=np.int64)
        trading = self._calendar.trading(number)
        if trading is None:
            return total
        opens, closes = regular_session(number) if self.always_open else trading
        shape: Floats = activity(opens, closes, self.always_open).reshape(_MINUTES, 60)[:, 0]
        random = generator(self.seed, "volume", info.symbol, number)
        move = np.abs(by_minute[:, -1] / by_minute[:, 0] - 1) * 600
        shares = info.average_volume / 390 * shape**1.5 * np.exp(random.normal(-0.1, 0.45, _MINUTES)) * (0.8 + move)
        total[1:] = np.cumsum(np.where(shape > 0, np.maximum(100, shares.astype(np.int64)), 0))
        return total


def _second(day: _Day, at: float) -> int:
    """The second of the day, 0 for any time before the market began."""
    return max(0, math.floor(at) - day.start)


def _running(
    fold: np.ufunc,
    values: npt.NDArray[np.int32],
    first: int,
) -> npt.NDArray[np.int32]:
    """The running extreme from minute `first` on; earlier minutes keep their own value."""
    result = values.copy()
    result[first:] = fold.accumulate(values[first:])
    return result


def _extremes(day: _Day, second: int) -> tuple[int, int, int]:
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


def _joined(start: int, pieces: list[tuple[_Day, int, int]]) -> Bar:
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
