"""Historical bars: what a request's words mean, and the bars that answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from positions.gateway import times
from positions.gateway.market import Bar
from positions.gateway.market_calendar import date_of, day_of, day_start
from positions.gateway.messages_in import Request
from positions.gateway.prices import Prices

_DAY = 86_400
_UNITS = {"S": 1, "D": _DAY, "W": 7 * _DAY, "M": 30 * _DAY, "Y": 365 * _DAY}
_SIZES = {
    **{f"{n} secs": n for n in (5, 10, 15, 30)},
    "1 secs": 1,
    "1 sec": 1,
    "1 min": 60,
    **{f"{n} mins": 60 * n for n in (2, 3, 5, 10, 15, 20, 30)},
    "1 hour": 3600,
    **{f"{n} hours": 3600 * n for n in (2, 3, 4, 8)},
    "1 day": _DAY,
}
_SHOWN = frozenset({"TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST"})
_MAX_BARS = 20_000


class BadHistory(ValueError):
    """The request can not be answered; the text is IB's explanation for error 162 or 321."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """A request in plain terms: bars of `seconds` with begin <= start < end, daily ones dated by day."""

    begin: int
    end: int
    seconds: int
    epoch_dates: bool
    write: Callable[[float], str]  # how the client reads a moment

    @property
    def daily(self) -> bool:
        """Daily bars run from one market midnight to the next, which is not UTC's."""
        return self.seconds == _DAY

    def start_of(self, at: float) -> int:
        """Where the bar that holds `at` begins."""
        return day_start(day_of(at)) if self.daily else int(at // self.seconds * self.seconds)

    def date_text(self, start: float) -> str:
        """The bar's date as the client asked for it: formatDate 2 is epoch seconds, daily bars always a date."""
        if self.daily:
            return f"{date_of(day_of(start)):%Y%m%d}"
        return str(int(start)) if self.epoch_dates else self.write(start)


def parse_query(
    request: Request, now: float, write: Callable[[float], str] = times.FORMS["plain"], *, forced: bool = False
) -> HistoryQuery:
    """`forced`: also where the client asks for epoch seconds. Raises BadHistory when a word is none of IB's."""
    seconds = _SIZES.get(request["barSize"])
    if seconds is None:
        raise BadHistory(f"Historical data bar size setting is invalid: {request['barSize'][:20]}")
    if request["whatToShow"] not in _SHOWN:
        raise BadHistory("Historical data request for unknown type of data")
    if request["keepUpToDate"] and request["endDateTime"]:
        raise BadHistory("End date not supported with keepUpToDate")
    end = _parse_end(request["endDateTime"], now)
    span = _parse_duration(request["duration"])
    if span / seconds > _MAX_BARS:
        raise BadHistory("Historical data query would return too many bars")
    query = HistoryQuery(begin=0, end=0, seconds=seconds, epoch_dates=request["formatDate"] == 2 and not forced, write=write)
    start = query.start_of(end)
    last = start + seconds if end > start else start
    return replace(query, begin=last - span, end=last)


def bars_for(prices: Prices, symbol: str, query: HistoryQuery, now: float) -> list[Bar]:
    """The finished bars and the forming one, oldest first."""
    begin = query.start_of(query.begin)
    bars = prices.bars(symbol, begin, min(query.end, query.start_of(now)), query.seconds)
    forming = forming_bar(prices, symbol, query, now)
    if forming is not None and query.begin <= forming.start < query.end:
        bars.append(forming)
    return bars


def forming_bar(prices: Prices, symbol: str, query: HistoryQuery, now: float) -> Bar | None:
    """The bar that is not finished at `now`, None while it has no trade."""
    start = query.start_of(now)
    bar = prices.bar(symbol, start, min(int(now) - start + 1, query.seconds))
    return bar if bar.volume > 0 else None


def bar_row(query: HistoryQuery, bar: Bar) -> tuple[object, ...]:
    """A bar in historicalData's order."""
    return (query.date_text(bar.start), bar.open, bar.high, bar.low, bar.close, bar.volume, bar.wap, bar.count)


def update_row(query: HistoryQuery, bar: Bar) -> tuple[object, ...]:
    """A bar in historicalDataUpdate's own order."""
    return (bar.count, query.date_text(bar.start), bar.open, bar.close, bar.high, bar.low, bar.wap, bar.volume)


def _parse_duration(text: str) -> int:
    number, _, unit = text.partition(" ")
    if not number.isdigit() or unit not in _UNITS or not int(number):
        raise BadHistory(f"Historical data request duration is invalid: {text[:20]}")
    return int(number) * _UNITS[unit]


def _parse_end(text: str, now: float) -> float:
    if not text:
        return now
    try:
        return min(times.read(text), now)
    except ValueError as error:
        raise BadHistory(f"Invalid end date time: {text[:40]}") from error
