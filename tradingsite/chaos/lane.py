"""One desk under test: a real gateway, a real worker and a real person, on a database and ports of their own.

Nothing listens on its Redis address: that orders need no Redis is part of what is proven.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradingsite.chaos import oracle
from tradingsite.chaos.oracle import Violation
from tradingsite.testing.network import LOOPBACK, free_port, wait_until_accepting
from tradingsite.testing.patience import PATIENCE
from tradingsite.testing.processes import ROOT, LiveProcess, clean_environment
from tradingsite.testing.starvation import Starvation, Stopwatch

SYMBOLS = ("AAPL", "AMZN", "META", "MSFT", "NVDA", "TSLA")
HEAL_SECONDS = 30.0
PULSE_SECONDS = 8.0  # a worker says every two seconds that it lives; what it said before that proves nothing
SAFE = "chaos-" + "x" * 50
_open: list[Lane] = []


def close_all() -> bool:
    """For a run that is told to end: its processes are sessions of their own and would outlive it. Whether there were any."""
    lanes = list(_open)
    for lane in lanes:
        lane.close()
    return bool(lanes)


@dataclass(slots=True)
class Lane:
    """`open()` it, then break it. `folder` holds everything."""

    folder: Path
    template: Path | None = None  # a migrated SQLite file to start from
    database: str = ""
    seed: int = 7
    extra: dict[str, str] = field(default_factory=dict)  # more environment for every process (sabotage)
    gateway: LiveProcess = field(init=False)
    worker: LiveProcess = field(init=False)
    control_port: int = field(init=False)
    environment: dict[str, str] = field(init=False)
    _person: subprocess.Popen[str] | None = field(default=None, init=False)
    _next: int = field(default=0, init=False)

    def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.database:
            file = self.folder / "desk.sqlite3"
            if self.template is not None:
                shutil.copy(self.template, file)
            self.database = f"sqlite:///{file}"
        port, self.control_port = free_port(), free_port()
        self.environment = {
            "DATA_DIR": str(self.folder / "var"), "DATABASE_URL": self.database, "REDIS_URL": f"redis://{LOOPBACK}:1/0",
            "SECRET_KEY": SAFE, "TRADING_MODE": "simulated", "IB_HOST": LOOPBACK, "IB_PORT": str(port), "FLOW_API_KEY": "chaos",
        } | self.extra  # fmt: skip
        arguments = ("--port", str(port), "--control-port", str(self.control_port), "--seed", str(self.seed))
        self.gateway = LiveProcess.manage(
            "gateway",
            "ibgateway",
            *arguments,
            "--state-dir",
            str(self.folder / "gateway"),
            environment=self.environment,
            folder=self.folder,
        )
        self.worker = LiveProcess.manage("worker", "ibworker", environment=self.environment, folder=self.folder)
        _open.append(self)
        if self.template is None:
            self.manage("migrate", "-v0")
        self.ask(do="prepare", symbols=list(SYMBOLS))
        self.gateway.start()
        wait_until_accepting(port)
        wait_until_accepting(self.control_port)

    def close(self) -> None:
        _open[:] = [lane for lane in _open if lane is not self]
        self.dismiss_person()
        for process in (self.worker, self.gateway):
            process.reap()

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        subprocess.run(command, cwd=ROOT, env=clean_environment(self.environment), check=True, capture_output=True)

    # --- failing ---

    @property
    def struck_file(self) -> Path:
        return self.folder / "struck"

    @property
    def struck(self) -> bool:
        return self.struck_file.exists()

    def start_worker(self, failpoint: str = "") -> None:
        """A new worker; the old one is killed. With a failpoint armed from its first step, `struck` says when it was reached."""
        self.worker.kill()
        self.struck_file.unlink(missing_ok=True)
        self._start_worker(failpoint)

    def revive_worker(self) -> None:
        """Start it again, whole, if it is dead."""
        if not self.worker.running:
            self._start_worker("")

    def _start_worker(self, failpoint: str) -> None:
        self._later.unlink(missing_ok=True)
        self.worker.environment = clean_environment(self.environment | self._armed(failpoint) | {"FAILPOINT_FILE": str(self._later)})
        self.worker.start()

    def arm(self, failpoint: str) -> None:
        """Break the living worker at its next passage; `struck` says when it was reached."""
        self.struck_file.unlink(missing_ok=True)
        written = self._later.with_suffix(".written")
        written.write_text(failpoint, encoding="utf-8")
        written.rename(self._later)

    @property
    def _later(self) -> Path:
        return self.folder / "failpoint"

    def restart_gateway(self) -> None:
        """kill -9 and start again with the same book."""
        self.gateway.kill()
        self.gateway.start()
        wait_until_accepting(self.control_port)

    def control(self, **command: Any) -> dict[str, Any]:
        """One command to the gateway's control channel."""
        with socket.create_connection((LOOPBACK, self.control_port), timeout=PATIENCE) as link:
            link.sendall(json.dumps(command).encode() + b"\n")
            answer: dict[str, Any] = json.loads(link.makefile().readline())
        return answer

    def signal_worker(self, number: signal.Signals) -> None:
        if self.worker.running:
            os.kill(self.worker.pid, number)

    def _armed(self, failpoint: str) -> dict[str, str]:
        return {"FAILPOINT": failpoint, "FAILPOINT_LOG": str(self.struck_file)}

    # --- a person ---

    def ask(self, *, failpoint: str = "", **request: Any) -> dict[str, Any]:
        """The person's answer; {"died": code} if they did not survive it."""
        if failpoint:
            self.dismiss_person()
            self.struck_file.unlink(missing_ok=True)
        if self._person is None:
            environment = clean_environment(self.environment | self._armed(failpoint))
            log = (self.folder / "person.log").open("a")
            command = [sys.executable, "-m", "tradingsite.chaos.person"]
            self._person = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        line = _converse(self._person, json.dumps(request))
        if line:
            return dict(json.loads(line))
        code = self._person.wait(PATIENCE)
        self._person = None
        return {"died": code}

    def dismiss_person(self) -> None:
        if self._person is not None:
            self._person.kill()
            self._person.wait(PATIENCE)
            self._person = None

    # --- looking ---

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with oracle.desk(self.database) as rows:
            return list(rows(sql))

    def examine(self, *, settled: bool = True) -> list[Violation]:
        return oracle.examine(self.folder / "gateway" / "gateway.sqlite3", self.database, settled=settled)

    def ready(self) -> bool:
        """By what it said lately, and by the gateway, which must know it: a worker that lost its link may think itself ready."""
        pid = self.worker.pid if self.worker.running else -1
        said = self.rows(f"SELECT heartbeat_at FROM events_workerlease WHERE state = 'ready' AND pid = {pid}")  # noqa: S608 - a number
        return bool(said) and time.time() - oracle.seconds(said[0][0]) < PULSE_SECONDS and self._connected()

    def _connected(self) -> bool:
        """Whether the gateway itself has the worker for a client."""
        try:
            return bool(self.control(query="sessions")["rows"])
        except OSError:
            return False

    def open_positions(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT position_id FROM positions_positionrecord WHERE status <> 'closed' AND quantity <> 0")]

    def next_symbol(self) -> str:
        self._next += 1
        return SYMBOLS[self._next % len(SYMBOLS)]

    def wait(self, check: Callable[[], Any], seconds: float) -> bool:
        """Whether it became true in time; the seconds are those of worker and gateway, as in `healed`."""
        clock = Stopwatch(self.worker, self.gateway)
        while clock.seconds < seconds:
            if check():
                return True
            time.sleep(0.1)
        return bool(check())

    def healed(self, seconds: float = HEAL_SECONDS) -> tuple[float, list[Violation]]:
        """(seconds it took, what is still wrong after them): a worker that is ready, and nothing the judge objects to.

        The seconds are the worker's own: what it spent waiting for a processor while others ran says nothing of it.
        """
        began, starved = time.monotonic(), Starvation()
        while True:
            self.revive_worker()
            starved.look(self.worker.pid)
            took = time.monotonic() - began - starved.seconds
            found = self.examine()
            if not found and not self.ready():
                found = [Violation(invariant="I11", detail="the worker is not ready")]
            if not found or took > seconds:
                return took, found
            time.sleep(0.1)


def _converse(person: subprocess.Popen[str], request: str) -> str:
    """One line there, one line back; an empty one from somebody who died."""
    if person.stdin is None or person.stdout is None:
        return ""
    try:
        person.stdin.write(request + "\n")
        person.stdin.flush()
    except BrokenPipeError:
        return ""
    return person.stdout.readline()
