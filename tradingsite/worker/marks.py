"""Ticks in, prices out: each tick becomes a PriceEvent on the bus (the tracker marks with it), a quote, and part of a minute bar.

Prices are never journaled. Pages get what moved at 4 Hz; rows of open positions are written every two seconds, completed
minutes when they are complete.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from events.bus import EventBus
from events.clock import utc_now
from events.feed import Feed
from events.market import PriceEvent
from positions.domain.bars import BarBuilder
from positions.domain.ports import Bar, Tick
from positions.domain.tracker import PositionTracker
from positions.live import bar_row
from tradingsite.worker.showing import Showing

log = logging.getLogger(__name__)

LIVE_DATA = 1
MAX_UNWRITTEN = 5_000  # bars kept while the database is away


class Marks:
    """symbol → latest tick, minute bar being built, and bars waiting to be stored."""

    def __init__(self, bus: EventBus, tracker: PositionTracker, feed: Feed, showing: Showing) -> None:
        self.quotes: dict[str, Tick] = {}
        self.ticks = 0
        self._bus = bus
        self._tracker = tracker
        self._feed = feed
        self._showing = showing
        self._builders: dict[str, BarBuilder] = {}
        self._traded: set[str] = set()  # symbols whose bar is newer than what was put into a frame
        self._completed: list[Bar] = []
        self._volume: dict[str, float] = {}  # symbol → the day's volume at its last tick
        self._moved: dict[str, dict[str, Any]] = {}  # position_id → newest whole row, to be written

    def on_tick(self, tick: Tick) -> None:
        """Called for every market data update; must stay cheap."""
        self.ticks += 1
        before = self.quotes.get(tick.symbol)
        self.quotes[tick.symbol] = tick
        price = price_of(tick)
        if price is None:
            return
        self._bus.post(self._price_event(tick, price, before))
        if tick.market_data_type == LIVE_DATA and tick.last is not None:
            self._build_bar(tick, tick.last)

    def heard_at(self, symbol: str) -> datetime | None:
        """When it last ticked."""
        tick = self.quotes.get(symbol)
        return None if tick is None else tick.time

    def _price_event(self, tick: Tick, price: float, before: Tick | None) -> PriceEvent:
        last = price_of(before) if before is not None else None
        change = price - last if last else 0.0
        return PriceEvent(
            symbol=tick.symbol,
            price=price,
            change=change,
            change_percent=change / last * 100 if last else 0.0,
            bid=tick.bid,
            ask=tick.ask,
            volume=tick.volume,
            price_time=tick.time,
            timestamp=tick.time,
        )

    def _build_bar(self, tick: Tick, price: float) -> None:
        builder = self._builders.get(tick.symbol)
        if builder is None:
            builder = self._builders[tick.symbol] = BarBuilder(tick.symbol)
        size = 0.0
        if tick.volume is not None:
            size = max(0.0, tick.volume - self._volume.get(tick.symbol, tick.volume))
            self._volume[tick.symbol] = tick.volume
        self._traded.add(tick.symbol)
        done = builder.add(price, tick.time, size)
        if done is not None:
            self._complete(done)

    def _complete(self, bar: Bar) -> None:
        self._completed.append(bar)
        if len(self._completed) > MAX_UNWRITTEN:
            del self._completed[0]
        self._feed.put("bars", f"{bar.symbol} {bar.at.isoformat()}", bar_row(bar))

    def publish(self) -> None:
        """Before each frame: the rows of positions that moved, and the bars that grew."""
        for position in self._tracker.moved():
            row = position.state()
            self._moved[position.position_id] = row
            self._showing.row("positions", row)
        for symbol in self._traded:
            builder = self._builders[symbol]
            if builder.current is not None:
                self._feed.put("bars", symbol, bar_row(builder.current))
        self._traded.clear()

    def take_moved(self) -> list[dict[str, Any]]:
        """Whole rows of positions whose marks are newer than their records."""
        rows = list(self._moved.values())
        self._moved.clear()
        return rows

    def take_bars(self, now: datetime) -> list[Bar]:
        """Completed minutes not stored yet; closes the minute of symbols that stopped ticking."""
        for builder in self._builders.values():
            done = builder.flush(now)
            if done is not None:
                self._complete(done)
        bars, self._completed = self._completed, []
        return bars

    def give_back(self, bars: Iterable[Bar]) -> None:
        """They could not be stored; keep them for the next try."""
        self._completed = [*bars, *self._completed][-MAX_UNWRITTEN:]

    def forget(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            self.quotes.pop(symbol, None)

    def quote_rows(self) -> dict[str, dict[str, Any]]:
        """symbol → {last, bid, ask, at, live} for the health row that pages read quotes from."""
        return {symbol: _quote_row(tick) for symbol, tick in self.quotes.items()}

    def newest_age(self, now: Callable[[], datetime] = utc_now) -> float | None:
        """Seconds since the newest tick of any symbol; None without one."""
        newest = max((tick.time for tick in self.quotes.values()), default=None)
        return None if newest is None else max(0.0, (now() - newest).total_seconds())


def price_of(tick: Tick) -> float | None:
    """The last trade; without one the middle of a sane bid and ask."""
    if tick.last is not None:
        return tick.last
    if tick.bid is not None and tick.ask is not None and tick.ask >= tick.bid:
        return (tick.bid + tick.ask) / 2
    return None


def _quote_row(tick: Tick) -> dict[str, Any]:
    live = tick.market_data_type == LIVE_DATA and not tick.halted
    return {"last": tick.last, "bid": tick.bid, "ask": tick.ask, "at": tick.time.isoformat(), "live": live, "halted": tick.halted}
