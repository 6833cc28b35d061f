"""How fast events move, beside what others do with the same work. Ratios from interleaved rounds; absolute figures drift.

`make bench` gathers these: each function returns rows {"name", "ours", "peer", "peer_name", "ratio", "unit"}, higher is better.
`journal()` and `fan_out()` use the database and the channel layer of the settings: give them throwaway ones.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import statistics
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.db import connections

from events.base import BaseEvent
from events.bench_peers import async_peers, sync_peers
from events.bus import EventBus
from events.consumers import DeskConsumer
from events.encoding import to_json
from events.feed import encode, group_of
from events.fields import plain
from events.journal import Journal
from events.market import MarketEvent, PriceEvent
from events.models import EventRecord
from events.order import FillEvent, OrderSide, OrderState, OrderType

ROUNDS = 5
SOCKETS = 200

Row = dict[str, Any]
Work = Callable[[], Awaitable[int]]  # does some work once and returns how many operations that was


def row(name: str, unit: str, ours: float, peer: float, peer_name: str) -> Row:
    return {"name": name, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ours / peer if peer else 0.0, "unit": unit}


async def rates(works: dict[str, Work]) -> dict[str, float]:
    """Operations a second of each work: the median of interleaved rounds, so that a busy moment hits all alike."""
    seen: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            gc.collect()
            start = perf_counter()
            count = await work()
            seen[name].append(count / (perf_counter() - start))
    return {name: statistics.median(values) for name, values in seen.items()}


class LockedBus:
    """The usual hand-written bus: a lock for each emit and a scan of all subscriptions by isinstance."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._subscribers: dict[type[BaseEvent], list[Callable[[Any], Any]]] = {}

    def subscribe(self, kind: type[BaseEvent], handler: Callable[[Any], Any]) -> None:
        self._subscribers.setdefault(kind, []).append(handler)

    async def emit(self, event: BaseEvent) -> None:
        async with self._lock:
            handlers = [handler for kind, found in self._subscribers.items() if isinstance(event, kind) for handler in found]
        for handler in handlers:
            result = handler(event)
            if asyncio.iscoroutine(result):
                await result


def heard(event: Any) -> None:
    """The handler: nothing, so that only the way to it is measured."""


async def heard_later(event: Any) -> None:
    """The same, asynchronous."""


def bus() -> list[Row]:
    """Emitting one event to its handlers."""
    cases = [
        ("bus, 1 sync handler", PriceEvent, 1, heard),
        ("bus, 1 async handler", PriceEvent, 1, heard_later),
        ("bus, 10 handlers", PriceEvent, 10, heard),
        ("bus, handler on a base class", MarketEvent, 1, heard),
    ]
    return [found for case in cases for found in asyncio.run(_bus(*case))]


async def _bus(name: str, kind: type[BaseEvent], handlers: int, handler: Callable[[Any], Any], count: int = 50_000) -> list[Row]:
    event, ours, locked = PriceEvent(symbol="AAPL", price=150.0), EventBus(), LockedBus()
    own = [_copy_of(handler) for _ in range(handlers)]  # one each: subscribing one twice is subscribing it once
    for one in own:
        await ours.subscribe(kind, one)
        locked.subscribe(kind, one)

    async def by_us() -> int:
        for _ in range(count):
            await ours.emit(event)
        return count

    async def by_lock() -> int:
        for _ in range(count // 5):
            await locked.emit(event)
        return count // 5

    async def directly() -> int:
        for _ in range(count):
            for _ in range(handlers):
                handler(event) if handler is heard else await handler(event)
        return count

    works: dict[str, Work] = {"ours": by_us, "a lock and isinstance": by_lock, "a direct call": directly}
    works |= sync_peers(event, own, count) if handler is heard else async_peers(event, own, count)
    found = await rates(works)
    return [row(name, "events/s", found["ours"], rate, peer_name) for peer_name, rate in found.items() if peer_name != "ours"]


def _copy_of(handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if handler is heard:
        return lambda event: None

    async def own(event: Any) -> None:
        pass

    return own


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EagerPrice:
    """A PriceEvent as a plain dataclass makes it: id and metadata at once."""

    event_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    timestamp: datetime = dataclasses.field(default_factory=lambda: datetime.now(UTC))
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
    source: str = "market"
    symbol: str = ""
    price: float | None = None
    change: float | None = None
    change_percent: float | None = None
    bid: float | None = None
    ask: float | None = None
    volume: float | None = None
    price_time: datetime | None = None


def making() -> list[Row]:
    """Making the event of a tick."""

    async def measure(count: int = 20_000) -> dict[str, float]:
        def make(kind: type[Any]) -> Work:
            async def work() -> int:
                for _ in range(count):
                    kind(symbol="AAPL", price=150.0, bid=149.99, ask=150.01)
                return count

            return work

        return await rates({"ours": make(PriceEvent), "a plain dataclass": make(EagerPrice)})

    found = asyncio.run(measure())
    return [row("making a PriceEvent", "events/s", found["ours"], found["a plain dataclass"], "a plain dataclass")]


def fills(count: int) -> list[FillEvent]:
    """Fills as the order manager emits them, with the order's whole state."""
    state = {
        "id": "o",
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 100,
        "limit_price": 150.25,
        "state": "working",
        "created_at": "2026-03-02T15:00:00+00:00",
    }
    return [
        FillEvent(
            order_id=f"order-{n}",
            position_id="position",
            signal_id="signal",
            symbol="AAPL",
            side=OrderSide.BUY,
            status=OrderState.WORKING,
            order_type=OrderType.LIMIT,
            fill_price=150.25,
            fill_quantity=10,
            fill_id=f"0001.{n}",
            order_data=state,
        )
        for n in range(count)
    ]


def encoding() -> list[Row]:
    """An event as JSON."""
    events = fills(2_000)

    async def ours() -> int:
        for event in events:
            to_json(event)
        return len(events)

    async def standard() -> int:
        for event in events:
            json.dumps(event.to_dict())
        return len(events)

    found = asyncio.run(rates({"ours": ours, "json": standard}))
    return [row("event to JSON", "events/s", found["ours"], found["json"], "to_dict and json")]


def journal(count: int = 4_000) -> list[Row]:
    """Storing events durably: ours in the journal, the peer's by bulk_create(1000) of the same rows."""
    found = asyncio.run(_journal(count))
    return [row("journal, durable", "events/s", found["ours"], found["bulk_create"], "Django bulk_create(1000)")]


async def _journal(count: int) -> dict[str, float]:
    batches = [fills(count) for _ in range(2 * ROUNDS)]  # made beforehand: making events is not storing them
    book = Journal()
    loop = asyncio.get_running_loop()

    async def ours() -> int:
        for event in batches.pop():
            book.append(event)
        await book.commit()
        return count

    with ThreadPoolExecutor(max_workers=1) as thread:  # one thread, so one connection that stays open, as the journal has

        async def bulk_create() -> int:
            return await loop.run_in_executor(thread, _bulk_create, batches.pop())

        found = await rates({"ours": ours, "bulk_create": bulk_create})
        await loop.run_in_executor(thread, connections.close_all)
    await book.close()
    return found


def _bulk_create(events: list[FillEvent]) -> int:
    records = [
        EventRecord(
            event_id=event.event_id,
            event_type=event.event_type,
            source=event.source,
            symbol=event.symbol,
            timestamp=event.timestamp,
            signal_id=event.signal_id,
            order_id=event.order_id,
            position_id=event.position_id,
            data={name: plain(getattr(event, name)) for name in event.field_names()},
        )
        for event in events
    ]
    EventRecord.objects.bulk_create(records, batch_size=1000)
    return len(records)


class PlainConsumer(AsyncWebsocketConsumer):
    """As the Channels tutorial has it: every socket has a channel of its own in the group."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("bench.plain", self.channel_name)
        await self.accept()

    async def desk_frame(self, message: dict[str, Any]) -> None:
        await self.send(text_data=message["text"])


class Browsers:
    """So many sockets of one consumer, as the ASGI server runs them; counts the frames they got."""

    def __init__(self, consumer: Any, join: str = "") -> None:
        self.delivered = 0
        self._join = join
        user = SimpleNamespace(pk=1, is_authenticated=True)
        scope = {"type": "websocket", "path": "/ws/", "headers": [], "user": user}
        self._inputs: list[asyncio.Queue[dict[str, Any]]] = [asyncio.Queue() for _ in range(SOCKETS)]
        application = consumer.as_asgi()
        self._tasks = [asyncio.create_task(application(scope, queue.get, self._send)) for queue in self._inputs]

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send" and "rows" in message["text"]:
            self.delivered += 1

    async def open(self) -> None:
        for queue in self._inputs:
            queue.put_nowait({"type": "websocket.connect"})
            if self._join:
                queue.put_nowait({"type": "websocket.receive", "text": self._join})

    async def close(self) -> None:
        for queue in self._inputs:
            queue.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def work(self, group: str, frames: int) -> Work:
        """Send frames to `group`, one when the last is through, until every socket has all of them."""
        text = encode("positions", [{"id": f"p{n}", "v": n, "last": 150.0 + n} for n in range(10)])
        message = {"type": "desk.frame", "topic": "positions", "text": text}

        async def send() -> int:
            layer = get_channel_layer()
            for _ in range(frames):
                goal = self.delivered + SOCKETS
                await layer.group_send(group, message)
                while self.delivered < goal:
                    await asyncio.sleep(0)
            return frames * SOCKETS

        return send


def fan_out(frames: int = 20) -> list[Row]:
    """Frames to 200 sockets of one process: through our consumer and its hub, and through a plain consumer's group."""
    found = asyncio.run(_fan_out(frames))
    return [row(f"frames to {SOCKETS} sockets", "deliveries/s", found["hub"], found["plain"], "plain Channels group_send")]


async def _fan_out(frames: int) -> dict[str, float]:
    ours, plain_ones = Browsers(DeskConsumer, join='{"join": ["positions"]}'), Browsers(PlainConsumer)
    for browsers in (ours, plain_ones):
        await browsers.open()
    await asyncio.sleep(2)  # subscriptions stand
    found = await rates({"hub": ours.work(group_of("positions"), frames), "plain": plain_ones.work("bench.plain", frames)})
    for browsers in (ours, plain_ones):
        await browsers.close()
    await get_channel_layer().flush()
    return found


ALL: tuple[Callable[[], list[Row]], ...] = (bus, making, encoding, journal, fan_out)
