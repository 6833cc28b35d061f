"""The market data subscriptions of one session: streaming quotes, tick-by-tick, real-time and keep-up-to-date bars.

The gateway calls `tick` about four times a second; a subscription sends only what changed since the last time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from positions.gateway import history
from positions.gateway.market import Quote
from positions.gateway.messages_out import message

if TYPE_CHECKING:
    from positions.gateway.session import Session

BID, ASK, LAST, HIGH, LOW, VOLUME, CLOSE, OPEN = 1, 2, 4, 6, 7, 8, 9, 14
BID_SIZE, ASK_SIZE, LAST_SIZE = 0, 3, 5
LAST_TIME, SHORTABLE, RT_VOLUME, HALTED, SHORTABLE_SHARES = 45, 46, 48, 49, 89
_DELAYED = {BID: 66, ASK: 67, LAST: 68, BID_SIZE: 69, ASK_SIZE: 70, LAST_SIZE: 71, HIGH: 72, LOW: 73, VOLUME: 74, CLOSE: 75, OPEN: 76}
_PRICES = {BID: ("bid", "bid_size"), ASK: ("ask", "ask_size"), LAST: ("last", "last_size")}
_SIZE_OF = {BID: BID_SIZE, ASK: ASK_SIZE, LAST: LAST_SIZE}
KINDS = {"Last": 1, "AllLast": 2, "BidAsk": 3, "MidPoint": 4}


@dataclass(slots=True, kw_only=True)
class Line:
    """A streaming subscription; `sent` maps tick type → the value sent last."""

    symbol: str
    generic: frozenset[str]
    sent: dict[int, object] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class TickLine:
    """A tick-by-tick subscription."""

    symbol: str
    kind: int
    sent: tuple[object, ...] = ()


@dataclass(slots=True, kw_only=True)
class BarLine:
    """Bars kept up to date: five-second real-time bars (`query` None), or the forming bar of a history request."""

    symbol: str
    query: history.HistoryQuery | None
    sent: tuple[object, ...] = ()
    last_start: int = 0


class Streams:
    """All subscriptions of one session, by request id."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.lines: dict[int, Line] = {}
        self.ticks: dict[int, TickLine] = {}
        self.bars: dict[int, BarLine] = {}

    def clear(self) -> None:
        """What a 1101 leaves: nothing."""
        self.lines.clear()
        self.ticks.clear()
        self.bars.clear()

    def symbols(self) -> set[str]:
        lines: list[Line | TickLine | BarLine] = [*self.lines.values(), *self.ticks.values(), *self.bars.values()]
        return {line.symbol for line in lines}

    def open_line(self, request_id: int, symbol: str, generic: frozenset[str], quote: Quote) -> None:
        line = Line(symbol=symbol, generic=generic)
        self.lines[request_id] = line
        self.begin(request_id, symbol)
        self.send_quote(request_id, line, quote, full=True)

    def begin(self, request_id: int, symbol: str) -> None:
        """What precedes the ticks of a subscription."""
        delayed = self._session.gateway.is_delayed(symbol)
        self._session.send(message("marketDataType", request_id, 3 if delayed else 1))
        self._session.send(message("tickReqParams", request_id, 0.01, "9c0001", 3))

    def tick(self, quotes: Mapping[str, Quote], now: float) -> None:
        """Sends what new quotes changed; `quotes` maps symbol → quote, a symbol without one says nothing."""
        with self._session.transport.together():
            for request_id, line in self.lines.items():
                if (quote := quotes.get(line.symbol)) is not None:
                    self.send_quote(request_id, line, quote)
            for request_id, tick_line in self.ticks.items():
                if (quote := quotes.get(tick_line.symbol)) is not None:
                    self._send_tick(request_id, tick_line, quote)
            for request_id, bar_line in self.bars.items():
                if bar_line.symbol in quotes:
                    self._send_bar(request_id, bar_line, now)

    def send_quote(self, request_id: int, line: Line, quote: Quote, *, full: bool = False) -> None:
        delayed = self._session.gateway.is_delayed(line.symbol)
        traded = line.sent.get(LAST) != quote.last or line.sent.get(VOLUME) != quote.volume
        for tick, (price_name, size_name) in _PRICES.items():
            self._price(request_id, line, tick, getattr(quote, price_name), getattr(quote, size_name), delayed)
        for tick, price in ((HIGH, quote.high), (LOW, quote.low), (CLOSE, quote.prev_close), (OPEN, quote.open)):
            self._price(request_id, line, tick, price, 0, delayed)
        if line.sent.get(VOLUME) != quote.volume:
            line.sent[VOLUME] = quote.volume
            self._session.send(message("tickSize", request_id, _DELAYED[VOLUME] if delayed else VOLUME, quote.volume))
        if traded and quote.last > 0:
            self._trade(request_id, line, quote, delayed)
        if full and "236" in line.generic:
            self._session.send(message("tickGeneric", request_id, SHORTABLE, 3.0))
            self._session.send(message("tickSize", request_id, SHORTABLE_SHARES, 10_000_000))

    def changed(self, symbol: str) -> None:
        """The symbol's data has become live or delayed: every line of it begins again."""
        for request_id, line in self.lines.items():
            if line.symbol == symbol:
                line.sent.clear()
                self.begin(request_id, symbol)

    def fail(self, symbol: str, code: int, text: str) -> None:
        """An error on every line of the symbol."""
        for request_id, line in self.lines.items():
            if line.symbol == symbol:
                self._session.error(request_id, code, text)

    def halted(self, symbol: str, *, value: int) -> None:
        """Tells every line of the symbol that it is halted (1) or trades again (0)."""
        for request_id, line in self.lines.items():
            if line.symbol == symbol and line.sent.get(HALTED, 0) != value:
                line.sent[HALTED] = value
                self._session.send(message("tickGeneric", request_id, HALTED, value))

    def _price(self, request_id: int, line: Line, tick: int, price: float, size: int, delayed: bool) -> None:
        size_tick = _SIZE_OF.get(tick, -1)
        if line.sent.get(tick) != price:
            mask = 1 if tick in (BID, ASK) else 0
            self._session.send(message("tickPrice", request_id, _DELAYED[tick] if delayed else tick, price, size, mask))
        elif size_tick >= 0 and line.sent.get(size_tick) != size:
            self._session.send(message("tickSize", request_id, _DELAYED[size_tick] if delayed else size_tick, size))
        line.sent[tick] = price
        if size_tick >= 0:
            line.sent[size_tick] = size

    def _trade(self, request_id: int, line: Line, quote: Quote, delayed: bool) -> None:
        self._session.send(message("tickString", request_id, 88 if delayed else LAST_TIME, str(int(quote.at))))
        if "233" in line.generic:
            vwap = round((quote.high + quote.low + quote.last) / 3, 4)
            text = f"{quote.last};{quote.last_size};{int(quote.at * 1000)};{quote.volume};{vwap};true"
            self._session.send(message("tickString", request_id, RT_VOLUME, text))

    def _send_tick(self, request_id: int, line: TickLine, quote: Quote) -> None:
        shape: dict[int, tuple[object, ...]] = {
            1: (quote.last, quote.last_size, 0, "NASDAQ", ""),
            2: (quote.last, quote.last_size, 0, "NASDAQ", ""),
            3: (quote.bid, quote.ask, quote.bid_size, quote.ask_size, 0),
            4: (round((quote.bid + quote.ask) / 2, 4),),
        }
        fields = shape[line.kind]
        if fields != line.sent:
            line.sent = fields
            self._session.send(message("tickByTick", request_id, line.kind, int(quote.at), *fields))

    def _send_bar(self, request_id: int, line: BarLine, now: float) -> None:
        prices = self._session.gateway.broker.prices
        if line.query is None:
            self._send_five_seconds(request_id, line, now)
            return
        current = line.query.start_of(now)
        if line.last_start and current > line.last_start:
            finished = prices.bar(line.symbol, line.last_start, line.query.seconds)
            self._session.send(message("historicalDataUpdate", request_id, *history.update_row(line.query, finished)))
        line.last_start = current
        bar = history.forming_bar(prices, line.symbol, line.query, now)
        row = history.update_row(line.query, bar) if bar else ()
        if bar and row != line.sent:
            line.sent = row
            self._session.send(message("historicalDataUpdate", request_id, *row))

    def _send_five_seconds(self, request_id: int, line: BarLine, now: float) -> None:
        start = int(now // 5 * 5) - 5
        if start <= line.last_start:
            return
        line.last_start = start
        bar = self._session.gateway.broker.prices.bar(line.symbol, start, 5)
        self._session.send(
            message("realtimeBar", request_id, start, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.wap, bar.count)
        )
