"""One small world: a gateway, a worker, a person, a database and a clock, all in this process and all decided by one seed.

    with World(seed, folder, image) as world:
        world.run(story)            # async def story(desk: Desk) -> None

Call it in a process of its own (`run.py` forks one for each seed): it replaces the clock and the source of randomness of
the whole process, and they stay replaced.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import time_machine

from events import failpoints
from events.clock import utc_now
from positions.gateway.gateway import Gateway
from positions.gateway.server import Server
from tradingsite.chaos import oracle, person
from tradingsite.chaos.oracle import Violation
from tradingsite.chaos.simulation.clockwork import EPOCH, LIFE, Killed, VirtualLoop
from tradingsite.chaos.simulation.machine import Disk, replace_the_machine, use_database

BEGIN = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10:00 in New York
IB_PORT, CONTROL_PORT = 4002, 4003
SYMBOLS = ("AAPL", "MSFT", "NVDA")
HEAL_SECONDS = 30.0  # as I11 promises
STALE_HEARTBEAT = 5.0


class World:
    """`image` is a migrated SQLite file with a prepared trader (see `run.prepare`)."""

    def __init__(self, seed: int, folder: Path, image: Path, *, prices: int = 7) -> None:
        self.seed, self.folder, self.prices = seed, folder, prices
        self.random = Random(f"world|{seed}")  # noqa: S311 - a schedule, not a secret
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "desk.sqlite3"
        shutil.copy(image, self.file)
        self.loop = VirtualLoop(Random(f"loop|{seed}"), on_jump=self._time_passed)  # noqa: S311
        self._clock, self._told = time_machine.travel(BEGIN, tick=False).start(), 0
        replace_the_machine(self.loop, Random(f"machine|{seed}"))  # noqa: S311
        self.disk = Disk(self.loop)
        use_database(self.file)

    def _time_passed(self, now: float) -> None:
        """By microseconds since the beginning, so that no rounding adds up. (`move_to` would set the time zone anew each time.)"""
        reached = round((now - EPOCH + self.loop.off.get(self.loop.running, 0.0)) * 1e6)
        self._clock.shift(timedelta(microseconds=reached - self._told))
        self._told = reached

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
        self.clock_off = self.moves_until = 0.0
        self.swallowed = False  # the gateway was told to lose orders
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
        self.set_clock_off(self.clock_off)
        self._lock = worker_lock()
        self._lock.acquire()
        self.worker_task = self.loop.create_task(self._work(take_epoch()), context=context)

    async def _work(self, epoch: int) -> int:
        from tradingsite.worker.composition import WorkerSettings, build

        self.worker = build(WorkerSettings.from_django(), lock=self._lock, epoch=epoch)
        code: int = await self.worker.run()
        self._lock.release()
        return code

    def kill_after(self, steps: int) -> None:
        """kill -9 between two of its steps, and the judge looks at what it leaves behind."""

        def kill() -> None:
            self.kill_worker()
            self.told.append("died")
            self.at_crash += self.examine(settled=False)

        self.loop.doom(self.worker_life, steps, kill)

    def freeze_after(self, steps: int, seconds: float) -> None:
        """SIGSTOP between two of its steps, and SIGCONT after `seconds`."""
        life = self.worker_life

        def freeze() -> None:
            self.loop.freeze(life)
            self.loop.call_later(seconds, self.loop.thaw, life)

        self.loop.doom(life, steps, freeze)

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

    async def approve(
        self, symbol: str, quantity: float = 10.0, *, through: float = 0.005, direction: int = 1, patience: float = 25.0
    ) -> dict[str, Any]:
        """A signal, approved as soon as the page would let it; the answer of `person.approve`, or who did not survive it."""
        from signals.models import SignalRecord

        answer: dict[str, Any] = {}
        until, pause = self.loop.time() + patience, 0.3
        while self.loop.time() < until:
            SignalRecord.objects.filter(symbol=symbol, state="pending").delete()  # of an attempt that was refused
            try:
                answer = person.approve(symbol, quantity, through, direction)
            except Killed:
                return {"died": True}
            except failpoints.FailpointReached as error:  # the page says that something went wrong; the person tries again
                answer = {"failed": str(error)}
            if "command" in answer:
                break
            self.revive()
            await asyncio.sleep(pause)
            pause = min(pause * 1.4, 1.5)  # each try is a page's worth of queries
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

    def set_clock_off(self, seconds: float) -> None:
        """The wall clock of every worker, from now on."""
        self.clock_off = seconds
        self.loop.off = {self.worker_life: seconds} if seconds else {}

    async def end_failures(self) -> None:
        """A worker that is frozen goes on when its time has come; the market has come to rest, or a limit is far off when it arrives."""
        failpoints.arm("", {})
        self.loop.spare()
        self.world.disk.mend()
        self.set_clock_off(0.0)
        self.control(clear_faults=True)
        if self._server.gateway.upstream_lost:
            self.control(fault="upstream_restored")
        await asyncio.sleep(max(0.0, self.moves_until - self.loop.time()))
        await self.until(lambda: not self.loop.is_frozen(self.worker_life), 60)

    def ready(self) -> bool:
        """The living worker says so, and said it a moment ago."""
        rows = self.rows("SELECT heartbeat_at FROM events_workerlease WHERE state = 'ready'") if self.running else []
        return bool(rows) and (utc_now() - datetime.fromisoformat(rows[0][0]).replace(tzinfo=UTC)).total_seconds() < STALE_HEARTBEAT

    def open_positions(self) -> list[tuple[str, str, float, float]]:
        """(position_id, symbol, stop, signed shares)"""
        query = "SELECT position_id, symbol, stop_loss, quantity FROM positions_positionrecord WHERE status <> 'closed' AND quantity <> 0"
        return [(row[0], row[1], float(row[2] or 0), float(row[3])) for row in self.rows(f"{query} ORDER BY 1")]

    def sides(self) -> list[tuple[str, int]]:
        """(symbol, 1 or -1) of every open position and every entry on its way."""
        live = "'planned', 'sending', 'in_doubt', 'pending_new', 'held', 'working', 'suspended'"
        query = f"SELECT symbol, side FROM positions_orderrecord WHERE role = 'entry' AND state IN ({live}) ORDER BY 1, 2"  # noqa: S608
        entries = [(symbol, 1 if side == "buy" else -1) for symbol, side in self.rows(query)]
        return [(symbol, 1 if held > 0 else -1) for _, symbol, _, held in self.open_positions()] + entries

    def held_elsewhere(self) -> dict[str, float]:
        """Shares that IB holds and no position of ours does: symbol → signed shares."""
        return {row[0]: float(row[1]) for row in self.rows("SELECT symbol, quantity FROM positions_brokerholding WHERE quantity <> 0")}

    def adopted_and_gone(self) -> list[tuple[str, float]]:
        """(position_id, signed shares) of adopted shares that IB does not hold any more, because the execution that had bought
        them was taken back after another position had let them go."""
        at_broker = {row["symbol"] for row in self.control(query="positions")["rows"]}
        query = "SELECT position_id, symbol, quantity FROM positions_positionrecord WHERE strategy = 'adopted' AND quantity <> 0"
        return [(row[0], float(row[2])) for row in self.rows(f"{query} ORDER BY 1") if row[1] not in at_broker]

    def doubtful(self) -> list[tuple[str, int]]:
        """(order_id, IB's number of it) of what a person may decide."""
        query = "SELECT order_id, perm_id FROM positions_orderrecord WHERE state = 'in_doubt' AND role <> 'stop' ORDER BY 1"
        return [(row[0], row[1]) for row in self.rows(query)]

    def passed_over(self) -> bool:
        """Whether an order in doubt has a number below one that the gateway took since: that no list shows it proves nothing then."""
        taken = max((row["order_id"] for row in self.control(query="orders")["rows"]), default=0)
        return bool(self.rows(f"SELECT 1 FROM positions_orderrecord WHERE state = 'in_doubt' AND ib_order_id < {int(taken)}"))  # noqa: S608

    def tasks(self) -> dict[str, int]:
        """What the worker has going on: name → how often."""
        return dict(self.loop.tasks_of(self.worker_life))

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


def replayed(file: Path) -> list[Violation]:
    """Where the journal, folded from empty, gives other rows than the tables of this database hold."""
    from tradingsite.replay import verify

    use_database(file)
    return [Violation(invariant="I7", detail=str(difference)) for difference in verify().differences]
