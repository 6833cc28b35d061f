"""Other people's buses doing what ours does, for the benchmark. Only those that are installed; the product needs none of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any

Work = Callable[[], Awaitable[int]]
Handlers = Sequence[Callable[[Any], Any]]


def sync_peers(event: Any, handlers: Handlers, count: int) -> dict[str, Work]:
    """Peer → `count` emits of `event` to plain functions."""
    return _installed({"eventkit": _eventkit, "blinker": _blinker, "pyee": _pyee, "nautilus_trader": _nautilus}, event, handlers, count)


def async_peers(event: Any, handlers: Handlers, count: int) -> dict[str, Work]:
    """Peer → `count` awaited emits to coroutine functions. eventkit and pyee make tasks and do not wait: not the same work."""

    def blinker(event: Any, handlers: Handlers) -> Callable[[], Any]:
        signal = import_module("blinker").Signal()
        for handler in handlers:
            signal.connect(handler, weak=False)
        return lambda: signal.send_async(event)

    try:
        send = blinker(event, handlers)
    except ImportError:
        return {}

    async def work() -> int:
        for _ in range(count):
            await send()
        return count

    return {"blinker": work}


def _installed(peers: dict[str, Callable[[Handlers], Callable[[Any], Any]]], event: Any, handlers: Handlers, count: int) -> dict[str, Work]:
    works = {}
    for name, make in peers.items():
        try:
            works[name] = _work(make(handlers), event, count)
        except ImportError:
            continue
    return works


def _work(emit: Callable[[Any], Any], event: Any, count: int) -> Work:
    async def work() -> int:
        for _ in range(count):
            emit(event)
        return count

    return work


def _eventkit(handlers: Handlers) -> Callable[[Any], Any]:
    signal = import_module("eventkit").Event("price")
    for handler in handlers:
        signal.connect(handler)
    return signal.emit


def _blinker(handlers: Handlers) -> Callable[[Any], Any]:
    signal = import_module("blinker").Signal()
    for handler in handlers:
        signal.connect(handler, weak=False)
    return signal.send


def _pyee(handlers: Handlers) -> Callable[[Any], Any]:
    emitter = import_module("pyee").EventEmitter()
    for handler in handlers:
        emitter.on("price", handler)
    return lambda event: emitter.emit("price", event)


def _nautilus(handlers: Handlers) -> Callable[[Any], Any]:
    component = import_module("nautilus_trader.common.component")
    identifiers = import_module("nautilus_trader.model.identifiers")
    bus = component.MessageBus(trader_id=identifiers.TraderId("BENCH-001"), clock=component.TestClock())
    for handler in handlers:
        bus.subscribe(topic="price", handler=handler)
    return lambda event: bus.publish("price", event)
