"""Who hears what. One bus per process and event loop; every handler gets the class it asked for and all below it.

Order is the contract. `await emit(e)` returns when every handler of `e` has run: those of the most specific class first,
in order of subscription within a class. An emit from inside a handler waits its turn: first in, first out, never
re-entrant. There is no lock and no task on this path: the handlers of a class are looked up along its bases once and
called inline.

A bus belongs to the event loop it was first used in. `emit`, `post` and `subscribe` from any other raise WrongLoop at
once; other threads call `emit_threadsafe`. An emit that is cancelled half-way, by a time limit for instance, leaves the
handler it was in; the remaining ones still get the event.

A handler that raises is logged, counted in `failures` and reported as a HandlerFailedEvent; the others still run. If it
was a core one (orders, positions, journal), `on_failure` is called as well, and whoever set it halts trading.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from inspect import isawaitable
from types import CoroutineType
from typing import Any

from events.base import BaseEvent
from events.fields import EventError
from events.system import HandlerFailedEvent

log = logging.getLogger(__name__)

Handler = Callable[[Any], Any]
# Called with the event, the handler's name and what it raised; may be async.
FailureCallback = Callable[[BaseEvent, str, Exception], Any]
# An event waiting its turn, the future of whoever waits for it, and who has not heard it yet (None: all of its handlers).
Waiting = tuple[BaseEvent, "asyncio.Future[None] | None", "tuple[Handler, ...] | None"]

# The turn of the handler this code runs in; tasks made by a handler inherit it, so `wait_for` in a handler cannot deadlock.
_turn: ContextVar[object] = ContextVar("bus_turn")

_running_loop = asyncio._get_running_loop  # None outside a loop; written in C, because every emit asks


class WrongLoop(EventError, RuntimeError):
    """The bus was used outside the event loop it belongs to."""


class EventBus:
    """The publish-subscribe bus. Use from its own loop only; other threads go through `emit_threadsafe`."""

    def __init__(self, *, on_failure: FailureCallback | None = None) -> None:
        self.on_failure = on_failure
        self.failures: Counter[str] = Counter()  # handler name → times it raised
        self._subscribers: dict[type[BaseEvent], dict[Handler, bool]] = {}  # class → handler → is it core
        self._routes: dict[type[BaseEvent], tuple[Handler, ...]] = {}  # concrete class → handlers in calling order
        self._enabled = True
        self._busy = False
        self._current_turn: object = None  # of the async handler being awaited
        self._queue: deque[Waiting] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def subscribe(self, event_type: type[BaseEvent], handler: Handler, *, core: bool = True) -> None:
        """Have `handler` (sync or async) called with every `event_type` and subclass. A second time changes nothing but `core`."""
        if not (isinstance(event_type, type) and issubclass(event_type, BaseEvent)):
            raise TypeError(f"{event_type!r} is not an event class")
        if not callable(handler):
            raise TypeError(f"{handler!r} cannot be called")
        self._own_loop()
        self._subscribers.setdefault(event_type, {})[handler] = core
        self._routes.clear()

    async def unsubscribe(self, event_type: type[BaseEvent], handler: Handler) -> bool:
        """Stop calling `handler`; False if it was not subscribed to exactly this class."""
        handlers = self._subscribers.get(event_type, {})
        if handler not in handlers:
            return False
        del handlers[handler]
        if not handlers:
            del self._subscribers[event_type]
        self._routes.clear()
        return True

    def enable(self) -> None:
        """Deliver again. Events emitted while disabled are gone."""
        self._enabled = True

    def disable(self) -> None:
        """Drop every event, those that wait included, until `enable()`: no class has handlers meanwhile."""
        self._enabled = False
        self._routes.clear()

    def get_subscriber_count(self) -> dict[str, int]:
        """Event class name → handlers subscribed to exactly that class."""
        return {event_type.__name__: len(handlers) for event_type, handlers in self._subscribers.items()}

    async def emit(self, event: BaseEvent) -> None:
        """Deliver `event`. From inside a handler it is queued and this returns at once; WrongLoop from another thread."""
        if _running_loop() is not self._loop:
            self._own_loop()
        if self._busy:
            return await self._take_a_turn(event)
        self._busy = True
        try:
            route = self._routes[event.__class__]
        except KeyError:
            route = self._resolve(event.__class__)
        unheard = iter(route)
        try:
            for handler in unheard:
                try:
                    result = handler(event)
                    if result is not None and (result.__class__ is CoroutineType or isawaitable(result)):
                        # `_wait`, without a coroutine of its own around every asynchronous handler
                        self._current_turn = turn = object()
                        _turn.set(turn)
                        await result
                except Exception as error:
                    await self._handler_failed(event, handler, error)
            if self._queue:
                await self._drain()
        except BaseException:  # this task was cancelled half-way: who has not heard it, and what queued up, must still be delivered
            if rest := tuple(unheard):
                self._queue.appendleft((event, None, rest))
            self._busy = False
            self._start_drain()
            raise
        self._busy = False

    def post(self, event: BaseEvent) -> None:
        """`emit` for a sync handler: queue `event`; it is delivered after the current one, or as soon as the loop turns."""
        loop = self._own_loop()
        self._queue.append((event, None, None))
        if not self._busy:
            loop.call_soon(self._start_drain)

    def emit_threadsafe(self, event: BaseEvent) -> concurrent.futures.Future[None]:
        """`emit` from another thread. The future is done when every handler has run."""
        if self._loop is None:
            raise WrongLoop("the bus has no loop yet: nobody has subscribed")
        return asyncio.run_coroutine_threadsafe(self.emit(event), self._loop)

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, which the bus now belongs to; WrongLoop when it belongs to another one that still runs."""
        running, own = _running_loop(), self._loop
        if running is None or (own is not None and own is not running and own.is_running()):
            raise WrongLoop("this bus belongs to the event loop of another thread; call emit_threadsafe(event) from here")
        if own is not running:
            self._loop, self._busy = running, False
        return running

    async def _take_a_turn(self, event: BaseEvent) -> None:
        """Queue behind what is being delivered. Others wait until their event is through; a handler must not wait for itself."""
        if _turn.get(None) is self._current_turn:
            self._queue.append((event, None, None))
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((event, done, None))
        await done

    async def _drain(self) -> None:
        while self._queue:
            event, done, heard_by_some = self._queue.popleft()
            unheard = iter(heard_by_some or self._routes.get(event.__class__) or self._resolve(event.__class__))
            try:
                for handler in unheard:
                    await self._call(handler, event)
            except BaseException:
                if rest := tuple(unheard):
                    self._queue.appendleft((event, done, rest))
                    done = None
                raise
            finally:
                if done is not None and not done.done():
                    done.set_result(None)

    async def _call(self, handler: Handler, event: BaseEvent) -> None:
        try:
            result = handler(event)
            if result is not None and isawaitable(result):
                await self._wait(result)
        except Exception as error:
            await self._handler_failed(event, handler, error)

    async def _wait(self, result: Awaitable[Any]) -> None:
        self._current_turn = turn = object()
        _turn.set(turn)
        await result

    def _start_drain(self) -> None:
        if self._queue and not self._busy:
            self._drainer = asyncio.get_running_loop().create_task(self._drain_alone())

    async def _drain_alone(self) -> None:
        if self._busy:
            return  # an emit came first and drains the queue itself
        self._busy = True
        try:
            await self._drain()
        finally:
            self._busy = False

    def _resolve(self, concrete: type[BaseEvent]) -> tuple[Handler, ...]:
        if not self._enabled:
            return ()
        route = tuple(handler for base in concrete.__mro__ for handler in self._subscribers.get(base, ()))
        self._routes[concrete] = route
        return route

    def _is_core(self, concrete: type[BaseEvent], handler: Handler) -> bool:
        """An unsubscribed handler that still failed counts as core: err on the safe side."""
        known = [handlers[handler] for base in concrete.__mro__ if handler in (handlers := self._subscribers.get(base, {}))]
        return any(known) if known else True

    async def _handler_failed(self, event: BaseEvent, handler: Handler, error: Exception) -> None:
        name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
        core = self._is_core(event.__class__, handler)
        self.failures[name] += 1
        log.error("%s handler %s failed on %s %s", "core" if core else "observer", name, event.event_type, event.event_id, exc_info=error)
        if not isinstance(event, HandlerFailedEvent):  # a failing listener of failures must not feed itself
            failed = HandlerFailedEvent(
                handler=name,
                error=f"{type(error).__name__}: {error}"[:500],
                core=core,
                cause=event.event_id,
                failed_event_id=event.event_id,
                failed_event_type=event.event_type,
            )
            self._queue.append((failed, None, None))
        if core and self.on_failure is not None:
            try:
                result = self.on_failure(event, name, error)
                if isawaitable(result):
                    await self._wait(result)
            except Exception:
                log.exception("on_failure itself failed; trading may not have been halted")
