"""One small world: a gateway, a worker, a person, a database and a clock, all in this process and all decided by one seed.

    with World(seed, folder, image) as world:
        world.run(story)            # async def story(desk: Desk) -> None

Call it in a process of its own (`campaign.py` forks one for each seed): it replaces the clock and the source of randomness of
the whole process, and they stay replaced.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
import os
import random as random_module
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import time_machine

from events import failpoints, feed, inbox
from positions.gateway.gateway import Gateway
from positions.gateway.server import Server
from tradingsite.chaos import oracle, person
from tradingsite.chaos.oracle import Violation
from tradingsite.chaos.simulation.clockwork import EPOCH, LIFE, Killed, VirtualLoop
from tradingsite.worker import subscriptions

BEGIN = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10:00 in New York
IB_PORT, CONTROL_PORT = 4002, 4003
SYMBOLS = ("AAPL", "MSFT", "NVDA")
HEAL_SECONDS = 60.0
FOREVER = 3600.0


class Silence:
    """The channel layer of a world without Redis."""

    async def group_send(self, group: str, message: Any) -> None:
        return None

    async def new_channel(self, prefix: str = "") -> str:
        return prefix

    async def group_add(self, group: str, channel: str) -> None:
        return None

    async def group_discard(self, group: str, channel: str) -> None:
        return None

    async def receive(self, channel: str) -> Any:
        while True:
            await asyncio.sleep(FOREVER)


class World:
    """`image` is a migrated SQLite file with a prepared trader (see `campaign.image`)."""

    def __init__(self, seed: int, folder: Path, image: Path, *, prices: int = 7) -> None:
        self.seed, self.folder, self.prices = seed, folder, prices
        self.random = Random(f"world|{seed}")  # noqa: S311 - a schedule, not a secret
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "desk.sqlite3"
        shutil.copy(image, self.file)
        self.loop = VirtualLoop(Random(f"loop|{seed}"), on_jump=self._time_passed)  # noqa: S311
        self._clock = time_machine.travel(BEGIN, tick=False).start()
        _replace_the_machine(self.loop, Random(f"machine|{seed}"))  # noqa: S311
        _use_database(self.file)

    def _time_passed(self, now: float) -> None:
        self._clock.move_to(BEGIN + timedelta(seconds=now - EPOCH))

    def run(self, story: Callable[[Desk], Awaitable[None]]) -> Desk:
        """Play the story to its end, then leave everything as it is."""
        desk = Desk(self)
        asyncio.set_event_loop(self.loop)
        setattr(os, "_exit", desk.died)  # noqa: B010 - what a failpoint calls
        self.loop.run_until_complete(self._play(desk, story))
        return desk

    async def _play(self, desk: Desk, story: Callable[[Desk], Awaitable[None]]) -> None:
        await desk.open()
        await story(desk)

    def replayed(self) -> list[Violation]:
        """Where the journal, folded from empty, gives other rows than the tables hold."""
        from tradingsite.replay import verify

        return [Violation(invariant="I7", detail=str(difference)) for difference in verify().differences]

    def journal(self) -> str:
        """A hash over everything that was ever journaled, in its order."""
        digest = hashlib.sha256()
        with closing(sqlite3.connect(self.file)) as rows:
            for row in rows.execute("SELECT * FROM events_eventrecord ORDER BY seq"):
                digest.update(repr(row).encode())
        return digest.hexdigest()


class Desk:
    """What a story can do. Times are virtual seconds."""

    def __init__(self, world: World) -> None:
        self.world, self.loop, self.random = world, world.loop, world.random
        self.lives = 0
        self.worker_life = self.gateway_life = ""
        self.worker_task: asyncio.Task[Any] | None = None
        self.worker: Any = None
        self.at_crash: list[Violation] = []
        self.told: list[str] = []
        self._struck: set[str] = set()
        self._lock: Any = None
        self._server: Any = None
        self._gateway_context: contextvars.Context = contextvars.copy_context()

    async def open(self) -> None:
        await self.start_gateway()
        self.start_worker()

    # ---- processes ------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.worker_task is not None and not self.worker_task.done() and self.worker_life not in self.loop.dead

    def start_worker(self, failpoint: str = "") -> None:
        """A new worker; an old one is killed."""
        from positions.lease import take_epoch, worker_lock

        self.kill_worker()
        failpoints.arm(failpoint, {})
        self.worker_life = self._new_life("worker")
        context = contextvars.copy_context()
        context.run(LIFE.set, self.worker_life)
        self._lock = worker_lock()
        self._lock.acquire()
        self.worker_task = self.loop.create_task(self._work(take_epoch()), context=context)

    async def _work(self, epoch: int) -> int:
        from tradingsite.worker.composition import WorkerSettings, build

        self.worker = build(WorkerSettings.from_django(), lock=self._lock, epoch=epoch)
        code: int = await self.worker.run()
        self._lock.release()
        return code

    def kill_worker(self) -> None:
        """kill -9."""
        if self.worker_life and self.worker_life not in self.loop.dead:
            self.loop.kill(self.worker_life)
        if self._lock is not None:
            self._lock.release()

    def revive(self) -> None:
        if not self.running:
            self.start_worker()

    def died(self, code: int) -> None:
        """A failpoint ended the process it was passed in: whoever runs now."""
        life = LIFE.get()
        self.told.append("died")
        if life == self.worker_life and life:
            self.loop.kill(life)
            if self._lock is not None:
                self._lock.release()
        raise Killed

    async def sleep_worker(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after `seconds`."""
        life = self.worker_life
        self.loop.freeze(life)
        await asyncio.sleep(seconds)
        self.loop.thaw(life)

    async def start_gateway(self) -> None:
        self.gateway_life = self._new_life("gateway")
        self._gateway_context = contextvars.copy_context()
        self._gateway_context.run(LIFE.set, self.gateway_life)
        gateway = Gateway(seed=self.world.prices, state_dir=self.world.folder / "gateway")
        self._server = Server(gateway, port=IB_PORT, control_port=CONTROL_PORT)
        started: asyncio.Future[None] = self.loop.create_future()

        async def start() -> None:
            await self._server.start()
            started.set_result(None)

        self.loop.create_task(start(), context=self._gateway_context)
        await started

    async def restart_gateway(self, seconds: float = 1.0) -> None:
        """kill -9, and the same book again after `seconds`."""
        self._struck |= self.struck()
        self.loop.kill(self.gateway_life)
        self._server.gateway.broker.store.close()
        await asyncio.sleep(seconds)
        await self.start_gateway()

    def control(self, **command: Any) -> dict[str, Any]:
        """A command on the gateway's control channel; see `positions/gateway/control.py`."""
        answer: dict[str, Any] = self._gateway_context.copy().run(self._server._control.carry_out, json.dumps(command).encode())
        return answer

    def struck(self) -> set[str]:
        """The faults of the gateway that really happened."""
        return self._struck | {row["fault"] for row in self.control(query="faults")["rows"]}

    def _new_life(self, kind: str) -> str:
        self.lives += 1
        return f"{kind}{self.lives}"

    # ---- a person -------------------------------------------------------------------------------------------------------

    async def approve(self, symbol: str, quantity: float = 10.0, *, through: float = 0.005, patience: float = 25.0) -> dict[str, Any]:
        """A signal, approved as soon as the page would let it; the answer of `person.approve`, or who did not survive it."""
        from signals.models import SignalRecord

        answer: dict[str, Any] = {}
        until = self.loop.time() + patience
        while self.loop.time() < until:
            SignalRecord.objects.filter(symbol=symbol, state="pending").delete()  # of an attempt that was refused
            try:
                answer = person.approve(symbol, quantity, through)
            except Killed:
                return {"died": True}
            if "command" in answer:
                break
            self.revive()
            await asyncio.sleep(0.3)
        return answer

    def wish(self, name: str, **fields: Any) -> int:
        """File a command; its id."""
        return int(person.wish(name, **fields)["command"])

    # ---- looking --------------------------------------------------------------------------------------------------------

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.world.file)) as link:
            return list(link.execute(sql))

    def examine(self, *, settled: bool = True) -> list[Violation]:
        return oracle.examine(self.world.folder / "gateway" / "gateway.sqlite3", f"sqlite:///{self.world.file}", settled=settled)

    def ready(self) -> bool:
        return self.running and bool(self.rows("SELECT 1 FROM events_workerlease WHERE state = 'ready'"))

    def open_positions(self) -> list[tuple[str, str, float]]:
        """(position_id, symbol, stop)"""
        return [
            (row[0], row[1], float(row[2] or 0))
            for row in self.rows(
                "SELECT position_id, symbol, stop_loss FROM positions_positionrecord WHERE status <> 'closed' AND quantity <> 0 ORDER BY 1"
            )
        ]

    def resting_entries(self) -> list[str]:
        return [
            row[0] for row in self.rows("SELECT order_id FROM positions_orderrecord WHERE role = 'entry' AND state = 'working' ORDER BY 1")
        ]

    async def until(self, check: Callable[[], Any], seconds: float) -> bool:
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            if check():
                return True
            await asyncio.sleep(0.1)
        return bool(check())

    async def healed(self, seconds: float = HEAL_SECONDS) -> tuple[float, list[Violation]]:
        """(virtual seconds until all was well, what is still wrong)."""
        began, found = self.loop.time(), [Violation(invariant="I11", detail="the worker is not ready")]
        while self.loop.time() - began < seconds:
            if not self.running:
                await asyncio.sleep(0.5)
                self.revive()
            found = self.examine()
            if not found and not self.ready():
                found = [Violation(invariant="I11", detail="the worker is not ready")]
            if not found:
                break
            await asyncio.sleep(0.5)
        return self.loop.time() - began, found


def _replace_the_machine(loop: VirtualLoop, random: Random) -> None:
    """Durations, sleeping and randomness of this process come from the world; dates do by `time_machine`."""

    def urandom(count: int) -> bytes:
        return random.randbytes(count)

    time.monotonic = loop.time
    time.perf_counter = loop.time
    time.sleep = loop.jump  # type: ignore[assignment]
    os.urandom = urandom
    random_module._urandom = urandom  # type: ignore[attr-defined]
    random_module.seed(random.random())
    setattr(person, "_attempts", lambda *args: [None])  # noqa: B010 - one; whoever asked tries again in virtual time
    subscriptions.MOST_MINUTES = 60  # a day of bars for each symbol would cost half of the computing
    for module in (feed, inbox):
        module.get_channel_layer = Silence  # type: ignore[attr-defined]
    feed._send_now = lambda *args, **options: False


def _use_database(file: Path) -> None:
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = str(file)
