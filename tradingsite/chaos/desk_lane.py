"""A whole desk to be broken: `manage.py desk` with every process of its own, in a folder of its own.

Children are found by the pids in DATA_DIR/status.json, the gateway's faults by its control port. A child that was stopped
(SIGSTOP) goes on by itself after its time; `outages` keeps when it stood still, in seconds since the epoch.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tradingsite.chaos import oracle
from tradingsite.chaos.lane import SAFE, SYMBOLS
from tradingsite.chaos.oracle import Violation
from tradingsite.testing.network import LOOPBACK, free_port
from tradingsite.testing.processes import ROOT, LiveProcess, clean_environment

PASSWORD = "password of the desk under fire"  # noqa: S105 - of a throwaway desk
CHILDREN = ("redis", "ibgateway", "flowapi", "ibworker", "celery", "beat", "web")
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A child that stood still from `began` to `ended`, seconds since the epoch."""

    child: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a process holds: resident memory in MB, and counts."""

    memory: float
    threads: int
    files: int
    sockets: int


@dataclass(slots=True)
class DeskLane:
    """`open()` it, then break it. `folder` holds everything; `database` is a URL, empty for SQLite in the folder."""

    folder: Path
    database: str = ""
    outages: list[Outage] = field(default_factory=list)
    port: int = field(init=False)
    _desk: LiveProcess = field(init=False)
    _environment: dict[str, str] = field(init=False)
    _waking: dict[int, threading.Thread] = field(default_factory=dict, init=False)  # pid → who lets it go on
    _wake: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.folder / "var"

    @property
    def ledger(self) -> Path:
        return self.data_dir / "gateway" / "gateway.sqlite3"

    def open(self) -> None:
        """Returns once /readyz says 200. Raises RuntimeError when it does not."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.database = self.database or f"sqlite:///{self.folder / 'desk.sqlite3'}"
        self.port = free_port()
        self._environment = {
            "DATA_DIR": str(self.data_dir), "DATABASE_URL": self.database, "SECRET_KEY": SAFE, "TRADING_MODE": "simulated",
            "PORT": str(self.port), "DEMO_PASSWORD": PASSWORD, "DEMO_HISTORY": "false",
        }  # fmt: skip
        self._run("manage.py", "migrate", "-v0")
        self.person(do="prepare", symbols=list(SYMBOLS))
        self._desk = LiveProcess.manage("desk", "desk", environment=self._environment, folder=self.folder)
        self._desk.start()
        if not self.wait(self.fit, START_SECONDS):
            raise RuntimeError(f"the desk is not fit to trade after {START_SECONDS:g} s: {self.unfit_because()}")

    def close(self) -> None:
        """Ends every process, whatever state they are in."""
        self.wake_all()
        pids = [row["pid"] for row in self.rows_of_children().values() if row["pid"]]
        try:
            self._desk.terminate(seconds=12)
        except (subprocess.TimeoutExpired, AssertionError, AttributeError):
            pass
        for pid in pids:  # each leads a session of its own
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        if hasattr(self, "_desk"):
            self._desk.reap()

    def person(self, **request: Any) -> dict[str, Any]:
        """What chaos/person.py does, in one short process: `prepare`, or a pending signal by `signal`."""
        done = self._run("-m", "tradingsite.chaos.desk_signals", text=json.dumps(request) + "\n")
        return dict(json.loads(done))

    def _run(self, *arguments: str, text: str = "") -> str:
        environment = clean_environment(self._environment)
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, input=text, capture_output=True, text=True, check=True
        ).stdout

    # --- breaking ---

    def rows_of_children(self) -> dict[str, dict[str, Any]]:
        """name → {name, pid, state, restarts}; empty before the first start."""
        try:
            return {row["name"]: row for row in json.loads((self.data_dir / "status.json").read_text())}
        except (FileNotFoundError, ValueError):
            return {}

    def pid_of(self, child: str) -> int | None:
        pid = self.rows_of_children().get(child, {}).get("pid")
        return pid if isinstance(pid, int) else None

    def kill(self, child: str) -> int | None:
        """kill -9; the pid that died, None when it is dead already."""
        pid = self.pid_of(child)
        return pid if pid is not None and _signal(pid, signal.SIGKILL) else None

    def pause(self, child: str, seconds: float) -> None:
        """SIGSTOP now, SIGCONT by itself after `seconds` or at `wake_all`."""
        pid = self.pid_of(child)
        if pid is None or pid in self._waking or not _signal(pid, signal.SIGSTOP):
            return
        self._wake.clear()
        waker = threading.Thread(target=self._let_go_on, args=(child, pid, time.time(), seconds), daemon=True)
        self._waking[pid] = waker
        waker.start()

    def _let_go_on(self, child: str, pid: int, began: float, seconds: float) -> None:
        """Its outage ends with its life, if something else kills it first."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and _signal(pid, 0) and not self._wake.wait(0.1):
            pass
        self.outages.append(Outage(child=child, began=began, ended=time.time()))
        _signal(pid, signal.SIGCONT)
        self._waking.pop(pid, None)

    def stopped(self) -> bool:
        """Whether any child stands still."""
        return bool(self._waking)

    def wake_all(self) -> None:
        self._wake.set()
        for waker in list(self._waking.values()):
            waker.join(5)

    def control(self, **command: Any) -> dict[str, Any]:
        """One command to the gateway's control channel; {"ok": False} when it is not there."""
        try:
            port = int((self.data_dir / "gateway" / "control_port").read_text())
            with socket.create_connection((LOOPBACK, port), timeout=5) as link:
                link.sendall(json.dumps(command).encode() + b"\n")
                return dict(json.loads(link.makefile().readline()))
        except (OSError, ValueError) as error:
            return {"ok": False, "error": str(error)}

    # --- looking ---

    def fit(self) -> bool:
        return not self.unfit_because()

    def unfit_because(self) -> str:
        """Empty when /readyz answers 200."""
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False)
        except httpx.HTTPError as error:
            return f"/readyz: {type(error).__name__}"
        return "" if answer.status_code == httpx.codes.OK else answer.text[:400]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with oracle.desk(self.database) as rows:
            return list(rows(sql))

    def examine(self, *, settled: bool = True) -> list[Violation]:
        return oracle.examine(self.ledger, self.database, settled=settled)

    def sizes(self) -> dict[str, Size]:
        """Of each child that lives, by /proc; empty where there is none."""
        pids = {child: self.pid_of(child) for child in CHILDREN}
        return {child: size for child, pid in pids.items() if pid and (size := _size(Path(f"/proc/{pid}")))}

    def wait(self, check: Callable[[], Any], seconds: float, every: float = 0.25) -> bool:
        """Whether it became true in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if check():
                return True
            time.sleep(every)
        return bool(check())


def _size(process: Path) -> Size | None:
    try:
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        targets = [os.readlink(file) for file in (process / "fd").iterdir()]
    except OSError:
        return None
    memory = float(status["VmRSS"].split()[0]) / 1000
    sockets = sum(target.startswith("socket:") for target in targets)
    return Size(memory=memory, threads=int(status["Threads"]), files=len(targets), sockets=sockets)


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
