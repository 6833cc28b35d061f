"""One supervised process: start it, pass its lines on, start it again when it dies, end it when asked."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds between restarts, doubling
STEADY_AFTER = 30.0  # seconds of life after which a crash counts as the first one again
CHECK_EVERY, SILENT_CHECKS = 5.0, 6  # seconds; so many checks in a row without an answer mean that it hangs
_PR_SET_PDEATHSIG = 1

Say = Callable[[str, str], None]  # (name of the process, line)


class ChildState(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What to run, and how to know that it serves. Others lean on a `foundation`: it ends after them.

    `longest_delay` is in seconds, between two restarts; None for the usual one. `orphaned` is what it is told when the desk itself
    is killed: one that takes its time without the others is told to go at once.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    ready: Callable[[], Awaitable[bool]] | None = None
    foundation: bool = False
    longest_delay: float | None = None
    orphaned: signal.Signals = signal.SIGTERM


class Child:
    """Runs one Service for as long as the desk lives."""

    def __init__(self, service: Service, *, say: Say, on_change: Callable[[Child], None]) -> None:
        self.service = service
        self.state = ChildState.WAITING
        self.restarts = 0
        self.is_ready = asyncio.Event()
        self._say = say
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self) -> None:
        """Keep it alive until `stop`; a process that dies at once is tried ever more rarely."""
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._run_once()
            if self._stopping.is_set():
                break
            delay = FIRST_DELAY if loop.time() - started > STEADY_AFTER else delay
            self.restarts += 1
            self._become(ChildState.RESTARTING)
            self._say("desk", f"{self.service.name} ended ({_cause(code)}); restart {self.restarts} in {delay:g} s")
            await self._wait_or_stop(delay)
            delay = min(2 * delay, self.service.longest_delay or LONGEST_DELAY)
        self._become(ChildState.STOPPED)

    async def stop(self, *, patience: float) -> None:
        """SIGTERM, and SIGKILL for its whole process group when it is still there after `patience` seconds."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            self._say("desk", f"{self.service.name} did not end within {patience:g} s; killed")
        finally:
            _signal_group(process.pid, signal.SIGKILL)
        await process.wait()

    async def _run_once(self) -> int:
        """Start it, pass its lines on, and return its exit code once it and all it started are gone."""
        self._become(ChildState.STARTING)
        read_end, write_end = os.pipe()
        try:
            process = self._process = await self._spawn(write_end)
        finally:
            os.close(write_end)
        lines = asyncio.create_task(self._pass_lines_on(read_end))
        readiness = asyncio.create_task(self._watch_readiness(process.pid))
        try:
            return await process.wait()
        finally:
            readiness.cancel()
            self.is_ready.clear()
            _signal_group(process.pid, signal.SIGKILL)  # what it left behind could hold its port
            await asyncio.wait({lines}, timeout=1)
            lines.cancel()

    async def _spawn(self, output: int) -> asyncio.subprocess.Process:
        """The output goes to a pipe of our own: asyncio's would delay wait() until its last holder is gone."""
        process = await asyncio.create_subprocess_exec(
            *self.service.command,
            env={**os.environ, **self.service.environment},
            stdin=asyncio.subprocess.PIPE if self.service.stdin else asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches only us, and we end them in the right order
            preexec_fn=partial(die_with_parent, self.service.orphaned) if sys.platform == "linux" else None,
        )
        if self._stopping.is_set():  # stop() came while the process was being made
            _signal(process.pid, signal.SIGTERM)
        if process.stdin:
            process.stdin.write(self.service.stdin)
            process.stdin.close()
        return process

    async def _watch_readiness(self, pid: int) -> None:
        """Say when it serves. One that served and falls silent hangs, and is killed to be started again."""
        ready = self.service.ready
        while ready and not await ready():
            await asyncio.sleep(0.1)
        self.is_ready.set()
        self._become(ChildState.RUNNING)
        silent = 0
        while ready and silent < SILENT_CHECKS:
            await asyncio.sleep(CHECK_EVERY)
            silent = 0 if await ready() else silent + 1
        if ready:
            self._say("desk", f"{self.service.name} has not answered for {CHECK_EVERY * silent:g} s; killed")
            _signal(pid, signal.SIGKILL)

    async def _pass_lines_on(self, read_end: int) -> None:
        """Until its output ends. Reads chunks, not lines: no line is too long for us."""
        stream = asyncio.StreamReader()
        pipe = os.fdopen(read_end, "rb", buffering=0)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        rest = b""
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._say_line(line)
        self._say_line(rest)

    def _say_line(self, line: bytes) -> None:
        if text := line.decode(errors="replace").rstrip():
            self._say(self.service.name, text)

    async def _wait_or_stop(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            pass

    def _become(self, state: ChildState) -> None:
        if state != self.state:
            self.state = state
            self._on_change(self)


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _signal_group(pid: int, number: signal.Signals) -> None:
    """The process leads its own session, so its group has its number."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # all gone already


def die_with_parent(number: signal.Signals) -> None:
    """Between fork and exec on Linux: the kernel ends this process when the supervisor is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
