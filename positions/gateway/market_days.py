"""The days of the simulated market's symbols: made from the price paths, and held while they are looked at.

A day is 86,400 prices and takes milliseconds to make, so the symbols that are quoted keep their day of now however many
they are; other days (history, the future of the demo's edge) share a small store. A symbol's next day can be made ahead,
so that midnight does not make all of them at once. What the day before closed at needs no prices of it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from positions.gateway.market_calendar import DAY, Calendar, day_start, regular_session
from positions.gateway.market_path import Factor, Floats, Paths, Recent, activity, generator
from positions.gateway.market_symbols import SymbolInfo, symbol_info

QUOTED_SYMBOLS = 400  # that keep their day of now; 350 kB each
OTHER_DAYS = 48
MINUTES = DAY // 60
_MARKET = Factor("market", 0.0085)
_SECTOR_VOLATILITY = 0.006


@dataclass(frozen=True, slots=True)
class Day:
    """One symbol's day in cents: last price per second, and per minute the running extremes and the cumulated volume."""

    number: int
    start: int
    first: int  # second of the day at which trading begins
    end: int
    close_before: int  # the close of the day before; of the first day its own opening price
    last: npt.NDArray[np.int32]
    top: npt.NDArray[np.int32]  # running high at the end of each minute
    bottom: npt.NDArray[np.int32]
    volume: npt.NDArray[np.int64]  # before each minute; 1441 entries

    def traded(self, second: int) -> int:
        """Shares traded from the start of the day through the end of `second` (-1 = none)."""
        minute, rest = divmod(second + 1, 60)
        if minute >= MINUTES:
            return int(self.volume[MINUTES])
        before = int(self.volume[minute])
        return before + (int(self.volume[minute + 1]) - before) * rest // 60

    def opening(self) -> int:
        return int(self.last[self.first])


class Days:
    """`get` answers for any day; `now` is for the day that is quoted, which stays held. Safe to use from several threads."""

    def __init__(self, seed: int, calendar: Calendar, *, always_open: bool) -> None:
        self._seed = seed
        self._calendar = calendar
        self._always_open = always_open
        self._paths = Paths(seed, calendar, always_open=always_open)
        self._quoted: OrderedDict[str, Day] = OrderedDict()  # symbol → its newest day that was quoted
        self._ahead: dict[str, Day] = {}  # symbol → the day after, made before its time
        self._others: Recent[Day] = Recent(OTHER_DAYS)
        self._lock = Lock()

    def now(self, symbol: str, number: int) -> Day:
        """The day in which `symbol` is quoted."""
        with self._lock:
            held = self._quoted.get(symbol)
            if held is not None and held.number == number:
                self._quoted.move_to_end(symbol)
                return held
        day = self.get(symbol, number)
        with self._lock:
            if held is None or number > held.number:
                self._ahead.pop(symbol, None)
                self._quoted[symbol] = day
                self._quoted.move_to_end(symbol)
                while len(self._quoted) > QUOTED_SYMBOLS:
                    dropped, _ = self._quoted.popitem(last=False)
                    self._ahead.pop(dropped, None)
        return day

    def get(self, symbol: str, number: int) -> Day:
        """Any day of `symbol`, made when it is not held."""
        with self._lock:
            for held in (self._quoted.get(symbol), self._ahead.get(symbol)):
                if held is not None and held.number == number:
                    return held
        return self._others.get((symbol, number), lambda: self._make(symbol, number))

    def make_ahead(self, symbol: str) -> bool:
        """Make the day after the one in which `symbol` is quoted; False when there is nothing to do."""
        with self._lock:
            held, ahead = self._quoted.get(symbol), self._ahead.get(symbol)
        if held is None or (ahead is not None and ahead.number == held.number + 1):
            return False
        day = self._make(symbol, held.number + 1)
        with self._lock:
            self._ahead[symbol] = day
        return True

    def close(self, symbol: str, number: int) -> int:
        """The last price of a day in cents, which follows from the levels that its paths end at."""
        info = symbol_info(symbol)
        market, sector, own = _factors(info)
        level = info.beta * self._paths.end(market, number) + info.sector_load * self._paths.end(sector, number)
        return _cents(info, level + self._paths.end(own, number))

    def _make(self, symbol: str, number: int) -> Day:
        info = symbol_info(symbol)
        market, sector, own = _factors(info)
        level = info.beta * self._paths.shared(market, number)
        level = level + info.sector_load * self._paths.shared(sector, number)
        level += self._paths.path(own, number)
        last = np.maximum(np.rint(info.base_price * 100 * np.exp(level)), 1).astype(np.int32)
        by_minute = last.reshape(MINUTES, 60)
        trading = self._calendar.trading(number) or (0, 0)
        first_minute = trading[0] // 60
        return Day(
            number=number,
            start=day_start(number),
            first=trading[0],
            end=trading[1],
            close_before=self.close(symbol, number - 1) if number else int(last[trading[0]]),
            last=last,
            top=_running(np.maximum, by_minute.max(axis=1), first_minute),
            bottom=_running(np.minimum, by_minute.min(axis=1), first_minute),
            volume=self._volume(info, number, by_minute),
        )

    def _volume(self, info: SymbolInfo, number: int, by_minute: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Cumulated shares before each minute: the day's activity curve, more when the price moves."""
        total = np.zeros(MINUTES + 1, dtype=np.int64)
        trading = self._calendar.trading(number)
        if trading is None:
            return total
        opens, closes = regular_session(number) if self._always_open else trading
        shape: Floats = activity(opens, closes, self._always_open).reshape(MINUTES, 60)[:, 0]
        random = generator(self._seed, "volume", info.symbol, number)
        move = np.abs(by_minute[:, -1] / by_minute[:, 0] - 1) * 600
        shares = info.average_volume / 390 * shape**1.5 * np.exp(random.normal(-0.1, 0.45, MINUTES)) * (0.8 + move)
        total[1:] = np.cumsum(np.where(shape > 0, np.maximum(100, shares.astype(np.int64)), 0))
        return total


def _factors(info: SymbolInfo) -> tuple[Factor, Factor, Factor]:
    """What moves a symbol: the market, its sector, and itself."""
    return _MARKET, Factor(f"sector {info.sector}", _SECTOR_VOLATILITY), Factor(f"own {info.symbol}", info.volatility)


def _cents(info: SymbolInfo, level: float) -> int:
    return max(1, round(info.base_price * 100 * math.exp(level)))


def _running(fold: np.ufunc, values: npt.NDArray[np.int32], first: int) -> npt.NDArray[np.int32]:
    """The running extreme from minute `first` on; earlier minutes keep their own value."""
    result = values.copy()
    result[first:] = fold.accumulate(values[first:])
    return result
