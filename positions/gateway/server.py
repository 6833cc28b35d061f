"""Listens, ticks and stops: the gateway as a process.

Two loopback ports: the one clients speak the TWS protocol on, and the control port. A daily restart closes the
first, drops every session, and opens it again; the process and its state stay.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from positions.gateway.control import Control
from positions.gateway.gateway import Gateway
from positions.gateway.session import Session

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
RESULTS_EVERY = 4  # ticks
ACCOUNTS_EVERY = 120


class Server:
    """Runs one gateway. Port 0 takes a free one; `port` and `control_port` then say which."""

    def __init__(self, gateway: Gateway, *, host: str = "127.0.0.1", port: int = 0, control_port: int = 0) -> None:
        self.gateway = gateway
        self.host = host
        self.port = port
        self.control_port = control_port
        self._control = Control(gateway, self)
        self._listener: asyncio.Server | None = None
        self._control_listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected: set[Session] = set()
        self._empty = asyncio.Event()  # nobody is connected
        self._empty.set()

    async def start(self) -> None:
        """Opens both ports and begins to tick."""
        await self.listen()
        self._control_listener = await asyncio.start_server(self._control.serve, "127.0.0.1", self.control_port, limit=1 << 20)
        self.control_port = self._control_listener.sockets[0].getsockname()[1]
        self.spawn(self._tick())

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set."""
        await self.start()
        log.info("simulated gateway on %s:%d, control on 127.0.0.1:%d", self.host, self.port, self.control_port)
        await stop.wait()
        await self.close()

    async def close(self) -> None:
        for listener in (self._listener, self._control_listener):
            if listener is not None:
                listener.close()
        for session in list(self._connected):
            session.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._empty.wait()
        self.gateway.broker.store.close()

    async def listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def restart(self, seconds: float) -> None:
        """The daily restart: everybody out, nobody in for some seconds, the farms flap when it is over."""
        if self._listener is not None:
            self._listener.close()
        for session in list(self.gateway.sessions.values()):
            session.abort()
            self.gateway.leave(session)
        self.gateway.broker.drop_untransmitted()
        await asyncio.sleep(seconds)
        self.gateway.farms_broken = True
        await self.listen()
        await asyncio.sleep(0.5)
        self.mend_farms()

    def mend_farms(self) -> None:
        self.gateway.farms_broken = False
        for session in list(self.gateway.sessions.values()):
            session.farms(broken=False)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Keeps a reference to a running coroutine and logs its failure."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background work failed", exc_info=task.exception())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self.gateway, reader, writer)
        self._connected.add(session)
        self._count_sockets()
        self._empty.clear()
        try:
            await session.run()
        except Exception:
            log.exception("session of client %s failed", session.client_id)
            session.abort()
        finally:
            self._connected.discard(session)
            self._count_sockets()
            if not self._connected:
                self._empty.set()

    def _count_sockets(self) -> None:
        self.gateway.sockets = len(self._connected)
        self.gateway.most_sockets = max(self.gateway.most_sockets, self.gateway.sockets)

    async def _tick(self) -> None:
        """Ticks at a fixed pace; a failing tick is logged and the next one comes all the same."""
        count, due = 0, time.monotonic()
        while True:
            count, due = count + 1, due + TICK_SECONDS
            self._tick_once(count)
            now = time.monotonic()
            due = max(due, now)
            await asyncio.sleep(due - now)

    def _tick_once(self, count: int) -> None:
        try:
            self.gateway.tick()
            if count % RESULTS_EVERY == 0:
                self.gateway.publish_results()
            if count % ACCOUNTS_EVERY == 0:
                self.gateway.publish_accounts()
        except Exception:
            log.exception("tick failed")
