"""One hub per web process: it joins each topic's channel-layer group once and hands every frame to that process's sockets.

A frame is encoded by its sender and forwarded as it is; a socket only queues it. Each socket is emptied by its own task, so
a slow one holds up nobody: when its queue is full it is closed, and its page reconnects and reads a snapshot.
The hub also looks every 15 s, and whenever told to, whether each socket's user may still be there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any

from channels.layers import get_channel_layer

from events.feed import SOCKETS_GROUP, group_of

log = logging.getLogger(__name__)

OUTBOX_LIMIT = 128  # frames; at 4 Hz and 8 topics this is four seconds behind
RECHECK_SECONDS = 15.0
RETRY_SECONDS = 1.0

CLOSE_SIGNED_OUT = 4401
CLOSE_TOO_SLOW = 4408


class Socket:
    """One browser's end: a bounded queue of texts and the task that sends them."""

    def __init__(
        self,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int], Awaitable[None]],
        *,
        user_id: int = 0,
        still_allowed: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.user_id = user_id
        self.topics: frozenset[str] = frozenset()
        self.still_allowed = still_allowed
        self._send = send
        self._close = close
        self._outbox: deque[str] = deque()
        self._ready = asyncio.Event()
        self.closing: int | None = None
        self._pump = asyncio.create_task(self._send_all())

    def offer(self, text: str) -> None:
        """Queue `text`; never waits."""
        if len(self._outbox) >= OUTBOX_LIMIT:
            self.close(CLOSE_TOO_SLOW)
            return
        self._outbox.append(text)
        self._ready.set()

    def close(self, code: int) -> None:
        """Stop sending and close with `code`."""
        if self.closing is None:
            self.closing = code
            self._outbox.clear()
            self._ready.set()

    def drop(self) -> None:
        """The browser is gone: forget what it was to be told."""
        self._pump.cancel()

    async def _send_all(self) -> None:
        while self.closing is None:
            await self._ready.wait()
            self._ready.clear()
            while self._outbox:
                try:
                    await self._send(self._outbox.popleft())
                except Exception as error:  # the transport died under us; disconnect follows
                    log.debug("socket gone: %s", error)
                    return
        try:
            await self._close(self.closing)
        except Exception as error:
            log.debug("socket gone before it was closed: %s", error)


class Hub:
    """The sockets of this process by topic, and the one subscription that feeds them."""

    def __init__(self, *, recheck_seconds: float = RECHECK_SECONDS) -> None:
        self.counters: Counter[str] = Counter()  # frames, deliveries
        self._recheck_seconds = recheck_seconds
        self._sockets: set[Socket] = set()
        self._by_topic: dict[str, set[Socket]] = {}
        self._joined: set[str] = set()  # groups the current channel is in
        self._channel = ""
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, socket: Socket) -> None:
        self._sockets.add(socket)
        if not self._tasks or self._tasks[0].done():
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._recheck_forever())]

    def join(self, socket: Socket, topics: frozenset[str]) -> None:
        """Send `socket` these topics from now on, instead of those before."""
        self._leave_topics(socket)
        socket.topics = topics
        for topic in topics:
            self._by_topic.setdefault(topic, set()).add(socket)
        self._changed.set()

    def remove(self, socket: Socket) -> None:
        socket.drop()
        self._sockets.discard(socket)
        self._leave_topics(socket)
        if not self._sockets:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            self._joined = set()

    def deliver(self, topic: str, text: str) -> None:
        """Hand one frame to every socket that joined its topic."""
        sockets = self._by_topic.get(topic, ())
        self.counters["frames"] += 1
        self.counters["deliveries"] += len(sockets)
        for socket in sockets:
            socket.offer(text)

    async def recheck(self, user_id: int | None = None) -> None:
        """Close the sockets (of `user_id`, or all) whose user may no longer be here."""
        for socket in [s for s in self._sockets if user_id is None or s.user_id == user_id]:
            if socket.still_allowed is None:
                continue
            try:
                allowed = await socket.still_allowed()
            except Exception:
                log.exception("a socket's session could not be checked")
                continue  # the database is away: pages show that; sockets are checked again next time
            if not allowed:
                socket.close(CLOSE_SIGNED_OUT)

    def _leave_topics(self, socket: Socket) -> None:
        for topic in socket.topics:
            members = self._by_topic.get(topic, set())
            members.discard(socket)
            if not members:
                self._by_topic.pop(topic, None)

    async def _recheck_forever(self) -> None:
        while True:
            await asyncio.sleep(self._recheck_seconds)
            await self.recheck()

    async def _listen(self) -> None:
        """Receive from the layer for ever. Redis may die and come back: the layer re-subscribes, and we retry what it could not."""
        while True:
            keeper: asyncio.Task[None] | None = None
            try:
                layer = get_channel_layer()
                self._channel, self._joined = await layer.new_channel("hub."), set()
                keeper = asyncio.create_task(self._keep_groups(layer))
                while True:
                    await self._hear(await layer.receive(self._channel))
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.warning("no frames from the channel layer: %s: %s", type(error).__name__, error)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                if keeper is not None:
                    keeper.cancel()

    async def _hear(self, message: dict[str, Any]) -> None:
        if message.get("type") == "desk.frame":
            self.deliver(message["topic"], message["text"])
        elif message.get("type") == "desk.recheck":
            await self.recheck(message.get("user_id"))

    async def _keep_groups(self, layer: Any) -> None:
        """Join each wanted group once. A group nobody wants any more is kept: a page of it will come back."""
        while True:
            self._changed.clear()
            wanted = {group_of(topic) for topic in self._by_topic} | {SOCKETS_GROUP}
            try:
                for group in wanted - self._joined:
                    await layer.group_add(group, self._channel)
                    self._joined.add(group)
            except Exception as error:
                log.warning("group not joined yet: %s: %s", type(error).__name__, error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._changed.wait()


# The hub of each event loop; a web process has one of each.
_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def the_hub() -> Hub:
    """The hub of the running loop."""
    loop = asyncio.get_running_loop()
    for dead in [known for known in _hubs if known.is_closed()]:
        del _hubs[dead]
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
