"""An event loop whose time is virtual: it never waits, it jumps. Sockets are memory, threads run on the loop, all by one seed.

What runs on it is tagged with the life it belongs to (a worker, a gateway). A life that is killed never runs another
step, not even its `finally`s: as after kill -9. A life that is frozen stands still, as after SIGSTOP, and goes on later.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

LIFE: contextvars.ContextVar[str] = contextvars.ContextVar("life", default="")
EPOCH = 1_000.0  # virtual seconds at which a loop begins
THREAD_SECONDS = (0.0002, 0.004)  # how long a call on a thread takes
SLOW_THREAD = (0.05, 0.4)  # … now and then
WIRE_SECONDS = (0.0001, 0.003)


class NothingWillHappen(RuntimeError):
    """Everything waits and no timer is set."""


class Killed(BaseException):
    """Unwinds the stack of a life that has just ended."""


class _Jump(selectors.DefaultSelector):
    """Instead of waiting it moves the loop's time."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NothingWillHappen
        if timeout > 0:
            self.loop.jump(timeout)
        return []


@dataclass(slots=True)
class _Call:
    """One callback on its way; `handle` says whether it was cancelled meanwhile."""

    life: str
    run: Callable[[], object]
    context: contextvars.Context
    handle: asyncio.Handle | None = None


class VirtualLoop(asyncio.SelectorEventLoop):
    """`on_jump` hears of every step of time."""

    def __init__(self, random: Random, *, on_jump: Callable[[float], object] = lambda now: None) -> None:
        self.now = EPOCH
        self.random = random
        self.dead: set[str] = set()
        self.cut: list[_Memory] = []  # every socket that was ever made
        self.off: dict[str, float] = {}  # life → by how many seconds its wall clock is wrong
        self.running = ""  # the life whose step this is
        self._on_jump = on_jump
        self._outside = contextvars.copy_context()  # of every life
        self._doomed: dict[str, tuple[int, Callable[[], object]]] = {}
        self._tasks: weakref.WeakKeyDictionary[asyncio.Task[Any], str] = weakref.WeakKeyDictionary()
        self._frozen: dict[str, list[_Call]] = {}
        self._doors: dict[int, tuple[Callable[[], asyncio.BaseProtocol], contextvars.Context]] = {}  # port → who listens there
        self._busy: dict[int, float] = {}  # id of an executor → when its thread is free again
        selector = _Jump()
        super().__init__(selector)
        selector.loop = self
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        return self.now

    def jump(self, seconds: float) -> None:
        """Let time pass in which nothing else runs."""
        self.now += seconds
        self._on_jump(self.now)

    # ---- lives ----------------------------------------------------------------------------------------------------------

    def kill(self, life: str) -> None:
        """From now on nothing of it runs; its sockets break."""
        self.dead.add(life)
        self._frozen.pop(life, None)
        self._doomed.pop(life, None)
        for port in [port for port, (_, context) in self._doors.items() if context.get(LIFE) == life]:
            del self._doors[port]
        for end in [end for end in self.cut if end.life == life]:
            end.abort()

    def doom(self, life: str, steps: int, then: Callable[[], object]) -> None:
        """Call `then` (outside of every life) instead of the life's step after its next `steps` ones: between any two awaits."""
        self._doomed[life] = (steps, then)

    def spare(self) -> None:
        """Nobody is doomed any more."""
        self._doomed.clear()

    def tasks_of(self, life: str) -> Counter[str]:
        """What it has going on, by name."""
        return Counter(
            str(getattr(task.get_coro(), "__qualname__", "?")) for task, owner in self._tasks.items() if owner == life and not task.done()
        )

    def _make_task(self, loop: Any, coro: Any, context: Any = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, context=context)
        self._tasks[task] = (LIFE.get() if context is None else context.get(LIFE)) or ""
        return task

    def freeze(self, life: str) -> None:
        self._frozen.setdefault(life, [])

    def is_frozen(self, life: str) -> bool:
        return life in self._frozen

    def thaw(self, life: str) -> None:
        for call in self._frozen.pop(life, []):
            if call.handle is None or not call.handle.cancelled():
                self.call_soon(call.run, context=call.context)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        call = self._call(callback, args, context)
        call.handle = super().call_soon(self._pass, call, context=call.context)
        return call.handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:  # type: ignore[override]
        call = self._call(callback, args, context)
        # Which of two timers of one moment comes first is nobody's promise: the seed decides.
        handle = super().call_at(when + self.random.random() * 1e-6, self._pass, call, context=call.context)
        call.handle = handle
        return handle

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        return self.call_soon(callback, *args, context=context)

    def _call(self, callback: Any, args: tuple[Any, ...], context: Any) -> _Call:
        context = contextvars.copy_context() if context is None else context
        return _Call(context.get(LIFE) or "", lambda: callback(*args), context)

    def _pass(self, call: _Call) -> None:
        if call.life in self._doomed:
            self._one_step_less(call.life)
        if call.life in self.dead:
            return
        if call.life in self._frozen:
            self._frozen[call.life].append(call)
            return
        self._enter(call.life)
        try:
            call.run()
        except Killed:
            pass
        finally:
            self._enter("")

    def _enter(self, life: str) -> None:
        self.running = life
        if self.off:
            self._on_jump(self.now)

    def _one_step_less(self, life: str) -> None:
        left, then = self._doomed[life]
        self._doomed[life] = (left - 1, then)
        if left <= 0:
            del self._doomed[life]
            if life not in self.dead:
                self._outside.run(then)

    # ---- threads --------------------------------------------------------------------------------------------------------

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """One call after another for each executor, each whole, at moments that the seed chooses."""
        future: asyncio.Future[Any] = self.create_future()
        takes = self.random.uniform(*(SLOW_THREAD if self.random.random() < 0.01 else THREAD_SECONDS))
        free = max(self.now, self._busy.get(id(executor), 0.0)) + takes
        self._busy[id(executor)] = free
        self.call_at(free, self._run_on_thread, future, func, args)
        return future

    def _run_on_thread(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        asyncio._set_running_loop(None)  # a thread has none: what it asks for (Django's connection) is then one for all calls
        try:
            result = func(*args)
        except Killed:
            return
        except BaseException as error:
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)
        finally:
            asyncio._set_running_loop(self)

    # ---- sockets --------------------------------------------------------------------------------------------------------

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        self._doors[port] = (protocol_factory, contextvars.copy_context())
        return Door(self, host, port)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        await asyncio.sleep(self.random.uniform(*WIRE_SECONDS))
        door = self._doors.get(port)
        if door is None or (door[1].get(LIFE) or "") in self._frozen:
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        make, context = door
        ours, theirs = protocol_factory(), context.run(make)
        near, far = _Memory(self, ours, contextvars.copy_context()), _Memory(self, theirs, context.copy())
        near.peer, far.peer = far, near
        far.call(theirs.connection_made, far)
        ours.connection_made(near)
        return near, ours

    def close_door(self, port: int) -> None:
        self._doors.pop(port, None)

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody has to be woken."""


class Door:
    """What `create_server` gives: enough of asyncio.Server."""

    def __init__(self, loop: VirtualLoop, host: str, port: int) -> None:
        self._loop, self._address = loop, (host, port)
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return self._address

    def close(self) -> None:
        self._loop.close_door(self._address[1])

    async def wait_closed(self) -> None:
        return None


@dataclass(eq=False)
class _Memory(asyncio.Transport):
    """One end of a connection. What is written arrives in order, after a while, sometimes in pieces."""

    loop: VirtualLoop
    protocol: Any
    context: contextvars.Context
    peer: _Memory | None = None
    closing: bool = False
    gone: bool = False
    arrives: float = 0.0
    extra: dict[str, Any] = field(default_factory=lambda: {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})

    def __post_init__(self) -> None:
        super().__init__(self.extra)
        self.life = self.context.get(LIFE) or ""
        self.loop.cut.append(self)

    def call(self, callback: Any, *args: Any) -> None:
        """At this end's process, after the way there."""
        self.arrives = max(self.arrives, self.loop.now) + self.loop.random.uniform(*WIRE_SECONDS)
        self.loop.call_at(self.arrives, callback, *args, context=self.context)

    def write(self, data: Any) -> None:
        if self.closing or self.peer is None:
            return
        data = bytes(data)
        if len(data) > 8 and self.loop.random.random() < 0.05:
            middle = self.loop.random.randrange(1, len(data))
            self.peer.call(self.peer.hear, data[:middle])
            data = data[middle:]
        self.peer.call(self.peer.hear, data)

    def hear(self, data: bytes) -> None:
        if not self.gone:
            self.protocol.data_received(data)

    def close(self) -> None:
        """What was written still arrives."""
        self._end(lost=None)

    def abort(self) -> None:
        self._end(lost=ConnectionResetError("connection reset by peer"))

    def _end(self, *, lost: Exception | None) -> None:
        if self.closing:
            return
        self.closing = True
        if self.life not in self.loop.dead:
            self.loop.call_soon(self.lose, None, context=self.context)
        if self.peer is not None:
            self.peer.call(self.peer.lose, lost)

    def lose(self, error: Exception | None) -> None:
        if self.gone:
            return
        self.gone = self.closing = True
        self.protocol.connection_lost(error)

    def is_closing(self) -> bool:
        return self.closing

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """ib_insync says it before it closes; nothing reads on after it."""

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None
