"""What the browsers see of what changed: rows conflated to the newest per key, sent as whole frames, at most 4 a second per topic.

The worker holds one `Feed`; Celery and the web use `publish()`. A frame may be lost: the database is the truth and every row
carries its version, so the next frame or snapshot heals it. Redis may be dead: nothing here raises or waits for it.

A frame is a channel-layer message {"type": "desk.frame", "topic": t, "text": json} to group "desk.<topic>", and the text
{"topic", "kind": "rows"|"heartbeat", "at", "epoch", "n", "rows": [...]} goes to the sockets as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from events.base import BaseEvent
from events.clock import utc_now
from events.rows import tape_row

log = logging.getLogger(__name__)

FRAMES_PER_SECOND = 4
TAPE_LIMIT = 200  # rows of the tape kept between two frames; older ones are in the journal
SEND_SECONDS = 1.0  # Redis that does not answer by then is treated as dead
WORKER_GROUP = "desk.worker"
_layer = "up"  # what this process last knew of the channel layer, so that only changes are logged
SOCKETS_GROUP = "desk.sockets"


def group_of(topic: str) -> str:
    return f"desk.{topic}"


def encode(topic: str, rows: Sequence[Any], *, kind: str = "rows", epoch: int = 0, n: int = 0) -> str:
    """One frame as text; NaN becomes null."""
    frame = {"topic": topic, "kind": kind, "at": utc_now(), "epoch": epoch, "n": n, "rows": rows}
    return orjson.dumps(frame, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class Feed:
    """The worker's outlet. `put` and `tape` cost a dict write; `run()` sends until `stop()`."""

    def __init__(self, *, epoch: int = 0, interval: float = 1 / FRAMES_PER_SECOND) -> None:
        self.epoch = epoch
        self.counters: Counter[str] = Counter()  # frames_sent, frames_lost, rows_put, tape_dropped, updates_failed
        self._interval = interval
        self._dirty: dict[str, dict[str, dict[str, Any]]] = {}  # topic → key → newest row
        self._tape: list[dict[str, Any]] = []
        self._updates: list[Callable[[], None]] = []
        self._heartbeat: dict[str, Any] | None = None
        self._numbers: Counter[str] = Counter()  # topic → n of its last frame
        self._stopping = asyncio.Event()

    def before_each_frame(self, update: Callable[[], None]) -> None:
        """Call `update` just before frames leave, so that what it puts is as new as the frame and waits for no pace of its own."""
        self._updates.append(update)

    def put(self, topic: str, key: str, row: dict[str, Any]) -> None:
        """Show `row` in the next frame, instead of any older row of the same key."""
        self._dirty.setdefault(topic, {})[key] = row
        self.counters["rows_put"] += 1

    def tape(self, event: BaseEvent, seq: int) -> None:
        """Add a journaled event to the tape."""
        self._tape.append(tape_row(event.to_dict(), seq))
        if len(self._tape) > TAPE_LIMIT:
            del self._tape[0]
            self.counters["tape_dropped"] += 1

    def heartbeat(self, health: dict[str, Any]) -> None:
        """Send `health` as a heartbeat with the next frame. The worker calls this every 2 s."""
        self._heartbeat = health

    async def run(self) -> None:
        """Send what is due, until `stop()`; then once more."""
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(self._interval):
                    await self._stopping.wait()
            except TimeoutError:
                pass
            await self.flush()
        await self.flush()  # what was put while the last frame was on its way

    def stop(self) -> None:
        self._stopping.set()

    async def flush(self) -> None:
        """Send everything waiting now, one frame per topic."""
        self._update()
        if self._heartbeat is not None:
            health, self._heartbeat = self._heartbeat, None
            await self._send("health", [health], kind="heartbeat")
        if self._tape:
            rows, self._tape = self._tape, []
            await self._send("tape", rows)
        for topic in list(self._dirty):
            rows_by_key = self._dirty.pop(topic)
            if not await self._send(topic, list(rows_by_key.values())):
                # Redis is away: keep the newest of each key, so that pages are right again with the first frame after it.
                self._dirty[topic] = rows_by_key | self._dirty.get(topic, {})

    def _update(self) -> None:
        """A failing update is logged and counted; the frames leave with what there is."""
        for update in self._updates:
            try:
                update()
            except Exception:
                self.counters["updates_failed"] += 1
                log.exception("%s failed before a frame", getattr(update, "__qualname__", update))

    async def _send(self, topic: str, rows: list[dict[str, Any]], *, kind: str = "rows") -> bool:
        self._numbers[topic] += 1
        text = encode(topic, rows, kind=kind, epoch=self.epoch, n=self._numbers[topic])
        sent = await send_to_group(group_of(topic), {"type": "desk.frame", "topic": topic, "text": text})
        self.counters["frames_sent" if sent else "frames_lost"] += 1
        return sent


async def send_to_group(group: str, message: dict[str, Any]) -> bool:
    """group_send that neither raises nor hangs when Redis is dead; says whether it got through."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await get_channel_layer().group_send(group, message)
    except Exception as error:
        if _says("down"):  # once, not four times a second while Redis is away
            log.warning("the channel layer does not answer (first noticed at %s): %s: %s", group, type(error).__name__, error)
        return False
    if _says("up"):
        log.info("the channel layer answers again")
    return True


def _says(now: str) -> bool:
    """Whether `now` is news."""
    global _layer
    news, _layer = now != _layer, now
    return news


def publish(topic: str, rows: Sequence[dict[str, Any]]) -> bool:
    """Send rows from Celery or the web, at once; never raises. Call it after the commit that made them true."""
    return _send_now(group_of(topic), {"type": "desk.frame", "topic": topic, "text": encode(topic, rows)})


def wake_worker() -> bool:
    """Tell the worker that a command waits; it would see it within its polling interval anyway."""
    return _send_now(WORKER_GROUP, {"type": "desk.wake"})


def recheck_sockets(user_id: int) -> bool:
    """Have every web process look again whether this user's sockets may stay: after log-out, or a change of role or password."""
    return _send_now(SOCKETS_GROUP, {"type": "desk.recheck", "user_id": user_id})


def _send_now(group: str, message: dict[str, Any]) -> bool:
    try:
        return bool(async_to_sync(send_to_group)(group, message))
    except Exception:
        log.exception("not sent to %s", group)
        return False
