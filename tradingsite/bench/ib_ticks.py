"""IB ticks from a socket to the tracker, beside the library alone reading the same bytes.

Both connect to the real simulated gateway through `Wire`, a relay that can slip a block of ready-made ticks into the stream;
so the handshake, the subscriptions and every decoder are the real ones.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import struct
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

from django.conf import settings

from events.benchmarks import row
from events.bus import EventBus
from events.feed import Feed
from positions.broker.ib import IbBroker, IbSettings
from positions.broker.ib_library import IB, LIBRARY, IbStock
from positions.domain.tracker import PositionTracker
from positions.gateway.messages_out import LAYOUTS, message
from positions.gateway.streams import LAST
from tradingsite.bench.table import Row
from tradingsite.testing.network import LOOPBACK, wait_until_accepting
from tradingsite.testing.patience import eventually_async
from tradingsite.worker.ears import Ears
from tradingsite.worker.marks import Marks
from tradingsite.worker.showing import Showing

SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMZN", "GOOG", "META", "TSLA", "AMD", "INTC", "NFLX", "SPY", "QQQ", "IWM", "JPM", "BAC", "XOM")
TICKS = 40_000
ROUNDS = 7
TICK_IDS = tuple(f"{LAYOUTS[name].id}\0".encode() for name in ("tickPrice", "tickSize", "tickString", "tickGeneric"))


def rows() -> list[Row]:
    """One row: ticks a second, ours and the library's."""
    wait_until_accepting(settings.IB_PORT)
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    alone, ours = await _Alone.connected(), await _Ours.connected()
    seen: dict[str, list[float]] = {"alone": [], "ours": []}
    try:
        for number in range(ROUNDS):
            for name, reader in (("alone", alone), ("ours", ours)):
                seen[name].append(await _rate(reader, number))
    finally:
        alone.close()
        ours.close()
    name = f"IB ticks, socket → tracker, {len(SYMBOLS)} positions"
    return [row(name, "ticks/s", statistics.median(seen["ours"]), statistics.median(seen["alone"]), f"{LIBRARY} alone")]


async def _rate(reader: _Reader, number: int) -> float:
    final = 100.5 + number / 100  # a price no tick before had: when it has arrived, all have
    ids = reader.request_ids()
    ticks = [message("tickPrice", ids[n % len(ids)], LAST, 100 + n % 21 / 100, 100, 0) for n in range(TICKS - 1)]
    block = b"".join([*ticks, message("tickPrice", ids[-1], LAST, final, 100, 0)])
    reader.wire.muted = True
    start = perf_counter()
    sender = threading.Thread(target=reader.wire.slip_in, args=(block,), daemon=True)
    sender.start()
    while reader.last_price(SYMBOLS[-1]) != final:
        if perf_counter() - start > 30:
            raise TimeoutError(f"the ticks never arrived; the last price is {reader.last_price(SYMBOLS[-1])}")
        await asyncio.sleep(0.001)
    taken = perf_counter() - start
    reader.wire.muted = False
    return TICKS / taken


class _Reader:
    """Somebody who reads ticks: `ib` is the library's object that is connected through `wire`."""

    def __init__(self, wire: Wire, ib: Any, last_price: Callable[[str], float | None], close: Callable[[], None]) -> None:
        self.wire = wire
        self._ib = ib
        self.last_price = last_price
        self.close = close

    def request_ids(self) -> list[int]:
        """The request id of each symbol's ticks, in the order of SYMBOLS."""
        by_symbol = {ticker.contract.symbol: request for request, ticker in self._ib.wrapper.reqId2Ticker.items()}
        return [by_symbol[symbol] for symbol in SYMBOLS]


class _Alone(_Reader):
    """The library with an empty handler."""

    @classmethod
    async def connected(cls) -> _Alone:
        wire, ib = Wire(), IB()
        await ib.connectAsync(LOOPBACK, wire.port, clientId=71)
        contracts = await ib.qualifyContractsAsync(*(IbStock(symbol, "SMART", "USD") for symbol in SYMBOLS))
        tickers = {contract.symbol: ib.reqMktData(contract, "", False, False) for contract in contracts}
        ib.pendingTickersEvent += lambda moved: None
        return cls(wire, ib, lambda symbol: tickers[symbol].last, ib.disconnect)


class _Ours(_Reader):
    """The adapter, the worker's marks, the bus and the tracker, wired as in the worker."""

    @classmethod
    async def connected(cls) -> _Ours:
        wire, ears, bus = Wire(), Ears(), EventBus()
        tracker, feed = PositionTracker(bus), Feed()
        marks = ears.marks = Marks(bus, tracker, feed, Showing(feed))
        broker = IbBroker(IbSettings(port=wire.port, client_id=72), ears)
        await broker.connect()
        for symbol in SYMBOLS:
            await broker.subscribe(symbol)
        await eventually_async(lambda: len(marks.quotes) == len(SYMBOLS), what="every symbol ticks")
        for symbol in SYMBOLS:
            await tracker.create_stock_position(symbol, 100, 100.0, stop_loss=90.0, take_profit=120.0)
        return cls(wire, broker._ib, tracker.last_price, lambda: broker._drop_session("measured"))


class Wire:
    """A relay between one client and the gateway, frame by frame, on threads of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.muted = False  # drop the gateway's own ticks: they would follow ours at once and hide the last one
        self._to_client: socket.socket | None = None
        self._turn = threading.Lock()  # a frame is never cut in two by another
        threading.Thread(target=self._serve, daemon=True).start()

    def slip_in(self, block: bytes) -> None:
        """Send the client whole frames that the gateway never made."""
        if self._to_client is None:
            raise ConnectionError("nobody is connected")
        with self._turn:
            self._to_client.sendall(block)

    def _serve(self) -> None:
        self._to_client, _ = self._listener.accept()
        gateway = socket.create_connection((LOOPBACK, settings.IB_PORT))
        threading.Thread(target=self._requests, args=(self._to_client, gateway), daemon=True).start()
        self._answers(gateway)

    def _requests(self, client: socket.socket, gateway: socket.socket) -> None:
        while block := _read(client):
            gateway.sendall(block)
        gateway.close()

    def _answers(self, gateway: socket.socket) -> None:
        waiting = b""
        while block := _read(gateway):
            frames, waiting = _frames(waiting + block)
            try:
                self.slip_in(b"".join(frame for frame in frames if not (self.muted and frame[4:].startswith(TICK_IDS))))
            except OSError:
                return


def _read(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def _frames(data: bytes) -> tuple[list[bytes], bytes]:
    """The complete frames of `data`, and the beginning of the next one."""
    frames, end = [], 0
    while len(data) >= end + 4:
        (length,) = struct.unpack_from(">I", data, end)
        if len(data) < end + 4 + length:
            break
        frames.append(data[end : end + 4 + length])
        end += 4 + length
    return frames, data[end:]
