"""Runs a Plan: Redis first, then everything else; on Ctrl-C or SIGTERM all ends in the opposite order."""

from __future__ import annotations

import asyncio
import signal
import sys

import orjson

from tradingsite.desk.child import Child, ChildState, Service
from tradingsite.desk.output import Output
from tradingsite.desk.services import Plan
from tradingsite.environment import write_private

PATIENCE, FOUNDATION_PATIENCE, REDIS_PATIENCE = 5.0, 2.0, 2.0  # seconds to end by themselves; together below ten
STATUS_FILE = "status.json"


class Supervisor:
    """`run()` returns when every child has ended."""

    def __init__(self, plan: Plan, output: Output, *, login_line: str) -> None:
        self._plan = plan
        self._output = output
        self._login_line = login_line
        self._stop = asyncio.Event()
        self._children: dict[str, Child] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self._listen_to_signals()
        for service in (self._plan.redis, *self._plan.others):
            if service is not None:
                self._children[service.name] = self._child(service)
        try:
            if await self._start_redis():
                self._start(*(service.name for service in self._plan.others))
                await self._announce_login()
                await self._stop.wait()
        finally:
            await self._end_all()

    def _child(self, service: Service) -> Child:
        return Child(service, say=self._output.say, on_change=self._changed)

    def _start(self, *names: str) -> None:
        for name in names:
            task = asyncio.create_task(self._children[name].run(), name=name)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A child's own loop ends only by our stop; anything else is a defect, and no reason to run on half-blind."""
        if not task.cancelled() and task.exception():
            self._output.say("desk", f"supervising {task.get_name()} failed: {task.exception()!r}")
            self._stop.set()

    async def _start_redis(self) -> bool:
        """True once the private Redis answers (or there is none of ours); False when asked to stop meanwhile."""
        if self._plan.redis is None:
            return True
        self._start("redis")
        return await self._unless_stopped(self._children["redis"].is_ready)

    async def _announce_login(self) -> None:
        if await self._unless_stopped(self._children["web"].is_ready):
            self._print_status()
            self._output.announce(self._login_line)

    async def _unless_stopped(self, event: asyncio.Event) -> bool:
        waits = {asyncio.create_task(event.wait()), asyncio.create_task(self._stop.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return not self._stop.is_set()

    async def _end_all(self) -> None:
        self._output.say("desk", "ending all processes")
        redis = self._children.get("redis")
        others = [child for child in self._children.values() if child is not redis]
        await self._end([child for child in others if not child.service.foundation], PATIENCE)
        await self._end([child for child in others if child.service.foundation], FOUNDATION_PATIENCE)
        await self._end([redis] if redis else [], REDIS_PATIENCE)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        self._write_status()
        self._output.say("desk", "all processes ended")

    async def _end(self, children: list[Child], patience: float) -> None:
        await asyncio.gather(*(child.stop(patience=patience) for child in children))

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._print_status)
        if sys.platform == "darwin":
            loop.add_signal_handler(signal.SIGINFO, self._print_status)  # Ctrl-T

    def _changed(self, child: Child) -> None:
        self._write_status()
        if child.state is not ChildState.STARTING and not self._stop.is_set():
            self._output.say("desk", self._status_line(child))

    def _status_line(self, child: Child) -> str:
        return f"{child.service.name:<10} pid {child.pid or '-':<8} {child.state:<10} restarts {child.restarts}"

    def _print_status(self) -> None:
        for child in self._children.values():
            self._output.say("desk", self._status_line(child))

    def _write_status(self) -> None:
        rows = [
            {"name": name, "pid": child.pid, "state": child.state, "restarts": child.restarts} for name, child in self._children.items()
        ]
        write_private(self._plan.data_dir / STATUS_FILE, orjson.dumps(rows).decode())
