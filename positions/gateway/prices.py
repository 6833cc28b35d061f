"""The prices that trade: the seeded market, moved by hand where a script said so.

A move is a factor on the market's own price, constant or ramping over some seconds, so that a moved stock keeps
ticking, spreading and correlating. A pinned stock stands still at one price with a one-cent spread: what a test needs to
trigger exactly one order; its bars are flat for as long as it stands. Moves are plain data (`state`, `restore`), so that they
survive a restart.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace
from itertools import pairwise
from typing import Any

from positions.gateway.market import Bar, Market, Quote

_PENNY = 0.01


@dataclass(frozen=True, slots=True)
class Move:
    """From `begin` on the factor goes from `before` to `after`, which it reaches at `end`; or the price stands still at `pin`."""

    begin: float
    end: float
    before: float
    after: float
    pin: float | None = None

    def factor(self, at: float) -> float:
        if at >= self.end:
            return self.after
        return self.before + (self.after - self.before) * (at - self.begin) / (self.end - self.begin)


class Prices:
    """Quotes and bars of the market with its moves applied."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._moves: dict[str, list[Move]] = {}  # symbol → its moves, oldest first

    def quote(self, symbol: str, at: float) -> Quote:
        quote = self.market.quote(symbol, at)
        pin = self._pin(symbol, at)
        if pin is not None:
            return replace(
                quote,
                bid=round(pin - _PENNY, 4),
                ask=round(pin + _PENNY, 4),
                last=pin,
                high=max(pin, self._cents(quote.high, symbol, at)),
                low=min(pin, self._cents(quote.low, symbol, at)),
            )
        if symbol not in self._moves:
            return quote
        return replace(
            quote,
            bid=self._cents(quote.bid, symbol, at),
            ask=max(self._cents(quote.ask, symbol, at), self._cents(quote.bid, symbol, at) + _PENNY),
            last=self._cents(quote.last, symbol, at),
            high=max(self._cents(quote.high, symbol, at), self._cents(quote.last, symbol, at)),
            low=min(self._cents(quote.low, symbol, at), self._cents(quote.last, symbol, at)),
        )

    def last(self, symbol: str, at: float) -> float:
        pin = self._pin(symbol, at)
        return pin if pin is not None else self._cents(self.market.last(symbol, at), symbol, at)

    def bar(self, symbol: str, start: int, seconds: int) -> Bar:
        """The bar of [start, start + seconds): pieced together where a move begins or ends inside it."""
        if symbol not in self._moves:
            return self.market.bar(symbol, start, seconds)
        cuts = {int(edge) for move in self._moves[symbol] for edge in (move.begin, move.end)}
        edges = sorted({start, start + seconds} | {cut for cut in cuts if start < cut < start + seconds})
        return _joined([self._piece(symbol, first, last) for first, last in pairwise(edges)])

    def bars(self, symbol: str, start: int, end: int, seconds: int) -> list[Bar]:
        """Bars with start <= bar start < end, oldest first; those without a trade are left out."""
        if symbol not in self._moves:
            return self.market.bars(symbol, start, end, seconds)
        made = (self.bar(symbol, at, seconds) for at in range(start, end, seconds))
        return [bar for bar in made if bar.volume > 0]

    def shift(self, symbol: str, fraction: float, seconds: float, at: float) -> None:
        """Moves the stock by `fraction` (-0.05 is 5 % down) over `seconds`; it stays there."""
        self.release(symbol, at)
        before = self._factor(symbol, at)
        move = Move(begin=at, end=at + max(0.0, seconds), before=before, after=before * (1 + fraction))
        self._moves.setdefault(symbol, []).append(move)

    def set_price(self, symbol: str, price: float, at: float, *, hold: bool) -> None:
        """Puts the last price at `price` now. With `hold` it stands still there until released."""
        factor = price / self.market.last(symbol, at)
        pin = price if hold else None
        self._moves.setdefault(symbol, []).append(Move(begin=at, end=at, before=factor, after=factor, pin=pin))

    def release(self, symbol: str, at: float) -> None:
        """Lets a pinned stock tick again, from the price it stood at."""
        pin = self._pin(symbol, at)
        if pin is not None:
            self.set_price(symbol, pin, at, hold=False)

    def state(self) -> dict[str, Any]:
        return {"moves": {symbol: [astuple(move) for move in moves] for symbol, moves in self._moves.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        for symbol, rows in state.get("moves", {}).items():
            self._moves[symbol] = [Move(*row) for row in rows]

    def _move(self, symbol: str, at: float) -> Move | None:
        """The one in force."""
        return next((move for move in reversed(self._moves.get(symbol, ())) if at >= move.begin), None)

    def _pin(self, symbol: str, at: float) -> float | None:
        move = self._move(symbol, at)
        return None if move is None else move.pin

    def _factor(self, symbol: str, at: float) -> float:
        move = self._move(symbol, at)
        return 1.0 if move is None else move.factor(at)

    def _cents(self, price: float, symbol: str, at: float) -> float:
        if symbol not in self._moves:
            return price
        return max(_PENNY, round(price * self._factor(symbol, at), 2))

    def _piece(self, symbol: str, first: int, last: int) -> Bar:
        """A bar inside which no move begins or ends; on a ramp each end has its own factor."""
        bar, pin = self.market.bar(symbol, first, last - first), self._pin(symbol, math.nextafter(last, first))
        if pin is not None:
            return replace(bar, open=pin, high=pin, low=pin, close=pin, wap=pin)
        opening, closing = self._cents(bar.open, symbol, first), self._cents(bar.close, symbol, last - 1)
        highs = [self._cents(bar.high, symbol, at) for at in (first, last - 1)]
        lows = [self._cents(bar.low, symbol, at) for at in (first, last - 1)]
        high, low = max(opening, closing, min(highs)), min(opening, closing, max(lows))
        return replace(bar, open=opening, close=closing, high=high, low=low, wap=round(bar.wap * closing / bar.close, 4))


def _joined(pieces: list[Bar]) -> Bar:
    volume = sum(piece.volume for piece in pieces)
    weighted = sum(piece.wap * piece.volume for piece in pieces)
    return replace(
        pieces[0],
        high=max(piece.high for piece in pieces),
        low=min(piece.low for piece in pieces),
        close=pieces[-1].close,
        volume=volume,
        wap=round(weighted / volume, 4) if volume else pieces[0].wap,
        count=sum(piece.count for piece in pieces),
    )
