"""Which symbols we listen to: what we hold, what may be approved, the watch list. Back-fills their minute bars from IB's history.

IB's lines are few (`lines.py`): when a position or a signal needs one, a symbol of the watch list gives its own up.

A symbol IB does not know is remembered and shown, and asked for again after a while; the others do not wait for it.
A line that says nothing while the market is open is asked for anew: IB may have refused it (354, 10089, 10197) or let it die
(10182) for a reason that is gone, and tells nobody when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from django.db.models import Max

from events.clock import monotonic, utc_now
from positions.domain.ports import Broker, BrokerError, LinkState, UnknownContract
from positions.models import MinuteBar
from positions.store import save_bars
from tradingsite.worker.database import Database
from tradingsite.worker.lines import Lines, Wanted

log = logging.getLogger(__name__)

RETRY_UNKNOWN_SECONDS = 300.0
QUOTE_SECONDS = 15.0  # a first quote comes within a second; one that has not by then is said on the pages
SILENT_SECONDS = 20.0
MOST_MINUTES, LEAST_MINUTES = 1440, 60
GAP = timedelta(minutes=2)
_NEVER = datetime.min.replace(tzinfo=UTC)


class Subscriptions:
    """Keeps what the broker streams equal to what is wanted."""

    def __init__(
        self,
        broker: Broker,
        database: Database,
        *,
        lines: Lines,
        watched: Callable[[], Iterable[str]],
        decided: Callable[[], Iterable[str]],
        held: Callable[[], Iterable[str]],
        heard_at: Callable[[str], datetime | None],
        market_open: Callable[[], bool | None],
    ) -> None:
        """`held` are symbols of positions, `decided` those of signals that wait for a person or were just approved, both in the
        order in which they matter. `heard_at` is when a symbol last ticked, UTC."""
        self.unknown: dict[str, str] = {}  # symbol → why IB does not stream it
        self.symbols: set[str] = set()
        self._broker = broker
        self._database = database
        self._lines = lines
        self._wanted = Wanted()
        self._watched = watched
        self._decided = decided
        self._held = held
        self._heard_at = heard_at
        self._market_open = market_open
        self._asked_at: dict[str, float] = {}  # symbol → when it was last asked for
        self._filling: asyncio.Task[None] | None = None
        self._filled: set[str] = set()

    def reset(self) -> None:
        """The broker has forgotten our subscriptions; bars have a gap since then."""
        self._lines.forget()
        self.symbols.clear()
        self._filled.clear()

    async def sync(self) -> None:
        """Subscribe to what is wanted, in the order in which it matters and as far as the lines go, and drop the rest."""
        if self._broker.link is not LinkState.CONNECTED:
            return
        watched, decided = await self._database.run(lambda: (list(self._watched()), list(self._decided())))
        self._wanted = Wanted.of(self._held(), decided, watched)
        served = [symbol for symbol in self._wanted.in_order() if symbol in self.symbols or self._worth_asking(symbol)][: self._lines.limit]
        for symbol in self.symbols.difference(served):
            await self._give_up(symbol)
        for symbol in self._silent():
            log.warning("nothing was heard of %s for %.0f s; its data are asked for anew", symbol, SILENT_SECONDS)
            await self._give_up(symbol)
        for symbol in served:
            if symbol not in self.symbols and len(self.symbols) < self._lines.limit:
                await self._subscribe(symbol)
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill([s for s in served if s in self.symbols]), name="bar-history")

    async def one(self, symbol: str) -> None:
        """A symbol somebody is about to trade; raises UnknownContract."""
        if symbol in self.symbols:
            return
        await self._make_room()
        self._asked_at[symbol] = monotonic()
        self.symbols.add(symbol)  # before it is asked for: an answer that there is no line takes it out again
        try:
            await self._broker.subscribe(symbol)
        except BaseException:
            self.symbols.discard(symbol)
            raise
        if symbol not in self.symbols:
            await self._broker.unsubscribe(symbol)  # given up while it was asked for

    async def name_of(self, symbol: str) -> str:
        """The company's name, by IB; raises UnknownContract, or LinkDown when it cannot be asked."""
        return (await self._broker.qualify(symbol)).long_name

    def without_quote(self) -> list[str]:
        """Symbols IB was asked to stream QUOTE_SECONDS ago and has never sent a price of."""
        asked_before = monotonic() - QUOTE_SECONDS
        asked = [symbol for symbol in sorted(self.symbols) if self._asked_at.get(symbol, asked_before) <= asked_before]
        return [symbol for symbol in asked if self._heard_at(symbol) is None]

    def no_line(self, symbol: str) -> None:
        """IB's error 101: it serves no more lines than those that we have without this one."""
        self.symbols.discard(symbol)
        self._lines.refused(len(self.symbols))
        log.warning("IB serves %d market-data lines: none is left for %s", self._lines.limit, symbol)

    def report(self) -> dict[str, int | bool]:
        """The lines as health shows them."""
        return self._lines.report(self._wanted, self.symbols)

    async def _make_room(self) -> None:
        """The symbol that matters least gives up its line when there is none left."""
        order = {symbol: place for place, symbol in enumerate(self._wanted.in_order())}
        while self.symbols and len(self.symbols) >= self._lines.limit:
            await self._give_up(max(self.symbols, key=lambda symbol: order.get(symbol, len(order))))

    async def _give_up(self, symbol: str) -> None:
        self.symbols.discard(symbol)
        await self._broker.unsubscribe(symbol)

    def stop(self) -> None:
        if self._filling is not None:
            self._filling.cancel()

    def _silent(self) -> list[str]:
        """Lines that were asked for long enough ago and bring nothing, in a market that is open."""
        if not self._market_open():
            return []
        asked_before, heard_since = monotonic() - SILENT_SECONDS, utc_now() - timedelta(seconds=SILENT_SECONDS)
        asked = [symbol for symbol in sorted(self.symbols) if self._asked_at.get(symbol, 0.0) < asked_before]
        return [symbol for symbol in asked if (self._heard_at(symbol) or _NEVER) < heard_since]

    def _worth_asking(self, symbol: str) -> bool:
        return symbol not in self.unknown or monotonic() - self._asked_at.get(symbol, 0.0) > RETRY_UNKNOWN_SECONDS

    async def _subscribe(self, symbol: str) -> None:
        try:
            await self.one(symbol)
        except UnknownContract as error:
            self.unknown[symbol] = str(error)
            log.warning("no market data for %s: %s", symbol, error)
            return
        self.unknown.pop(symbol, None)

    async def _fill(self, symbols: list[str]) -> None:
        """Bars of the gap since the last stored one, so that ATR and charts work at once."""
        for symbol in symbols:
            if symbol in self._filled:
                continue
            try:
                minutes = minutes_missing(await self._database.run(newest_bar_at, symbol), utc_now())
                if minutes:
                    bars = await self._broker.history(symbol, minutes)
                    await self._database.run(save_bars, bars)
                    log.info("%d minute bars of %s back-filled", len(bars), symbol)
                self._filled.add(symbol)
            except BrokerError as error:
                log.warning("bars of %s are not back-filled: %s", symbol, error)
                return
            except Exception:
                log.exception("bars of %s are not back-filled", symbol)


def newest_bar_at(symbol: str) -> datetime | None:
    newest: datetime | None = MinuteBar.objects.filter(symbol=symbol).aggregate(at=Max("at"))["at"]
    return newest


def minutes_missing(newest: datetime | None, now: datetime) -> int:
    """How many minutes of history to ask for; 0 when there is no gap."""
    if newest is None:
        return MOST_MINUTES
    gap = now - newest
    if gap <= GAP:
        return 0
    return min(MOST_MINUTES, max(LEAST_MINUTES, int(gap.total_seconds() // 60) + 2))
