"""A whole desk to be broken: `manage.py desk` with every process of its own, in a folder of its own.

`breaker` breaks it. A person beside the pages (chaos/desk_signals.py) is one process for the whole run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tradingsite.chaos import oracle
from tradingsite.chaos.desk_breaking import Breaker
from tradingsite.chaos.lane import SAFE, SYMBOLS
from tradingsite.chaos.oracle import Violation
from tradingsite.testing.network import LOOPBACK, free_port
from tradingsite.testing.patience import PATIENCE
from tradingsite.testing.processes import ROOT, LiveProcess, clean_environment
from tradingsite.testing.starvation import Stopwatch

PASSWORD = "password of the desk under fire"  # noqa: S105 - of a throwaway desk
CHILDREN = ("redis", "ibgateway", "flowapi", "ibworker", "celery", "beat", "web")
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Child:
    """One of the desk, whichever process that is just now."""

    breaker: Breaker
    name: str

    @property
    def running(self) -> bool:
        return self.breaker.pid_of(self.name) is not None

    @property
    def pid(self) -> int:
        return self.breaker.pid_of(self.name) or 0


@dataclass(slots=True)
class DeskLane:
    """`open()` it, then break it. `folder` holds everything; `database` is a URL, empty for SQLite in the folder."""

    folder: Path
    database: str = ""
    port: int = field(init=False)
    breaker: Breaker = field(init=False)
    environment: dict[str, str] = field(init=False)
    cookies: dict[str, str] = field(default_factory=dict)  # of somebody logged in, to be told why the desk is not fit
    _desk: LiveProcess | None = field(default=None, init=False)
    _person: subprocess.Popen[str] | None = field(default=None, init=False)

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
        self.breaker = Breaker(self.data_dir, self.url)
        self.environment = {
            "DATA_DIR": str(self.data_dir), "DATABASE_URL": self.database, "SECRET_KEY": SAFE, "TRADING_MODE": "simulated",
            "PORT": str(self.port), "DEMO_PASSWORD": PASSWORD, "DEMO_HISTORY": "false",
        }  # fmt: skip
        command = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v0"]
        subprocess.run(command, cwd=ROOT, env=clean_environment(self.environment), check=True, capture_output=True)
        self.person(do="prepare", symbols=list(SYMBOLS))
        self._desk = LiveProcess.manage("desk", "desk", environment=self.environment, folder=self.folder)
        self._desk.start()
        if not self.wait(self.fit, START_SECONDS):
            raise RuntimeError(f"the desk is not fit to trade after {START_SECONDS:g} s: {self.unfit_because()}")

    def close(self) -> None:
        """Ends every process, whatever state they are in."""
        if self._person is not None:
            self._person.kill()
            self._person.wait(PATIENCE)
        if self._desk is None:
            return
        self.breaker.wake_all()
        pids = [row["pid"] for row in self.breaker.children().values() if row["pid"]]
        try:
            self._desk.terminate()
        except subprocess.TimeoutExpired:
            pass
        for pid in pids:  # each leads a session of its own
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self._desk.reap()

    def person(self, **request: Any) -> dict[str, Any]:
        """What chaos/person.py does: `prepare`, or a pending signal by `signal`. {"error": …} from somebody who could not."""
        if self._person is None or self._person.poll() is not None:
            log = (self.folder / "person.log").open("a")
            command, environment = [sys.executable, "-m", "tradingsite.chaos.desk_signals"], clean_environment(self.environment)
            self._person = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        if self._person.stdin is None or self._person.stdout is None:
            raise RuntimeError("the person has no ears")
        self._person.stdin.write(json.dumps(request) + "\n")
        self._person.stdin.flush()
        return dict(json.loads(self._person.stdout.readline() or '{"error": "died"}'))

    # --- looking ---

    def fit(self) -> bool:
        return not self.unfit_because()

    def unfit_because(self) -> str:
        """Empty when /readyz answers 200; else what it says is not ok."""
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False, cookies=self.cookies)
        except httpx.HTTPError as error:
            return f"/readyz: {type(error).__name__}"
        if answer.status_code == httpx.codes.OK:
            return ""
        try:
            checks = answer.json()["checks"]
        except (ValueError, KeyError):
            return f"/readyz: {answer.status_code}"
        return "; ".join(f"{check['label']} {check['state']}: {check['detail']}" for check in checks if check["state"] != "ok")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with oracle.desk(self.database) as rows:
            return list(rows(sql))

    def examine(self, *, settled: bool = True) -> list[Violation]:
        return oracle.examine(self.ledger, self.database, settled=settled)

    def pids(self) -> dict[str, int | None]:
        return {child: self.breaker.pid_of(child) for child in CHILDREN}

    def wait(self, check: Callable[[], Any], seconds: float, every: float = 0.2) -> bool:
        """Whether it became true in time; what the desk waited for a processor while others ran does not count."""
        clock = self.clock()
        while clock.seconds < seconds:
            if check():
                return True
            time.sleep(every)
        return bool(check())

    def clock(self) -> Stopwatch:
        """Of the children that anything under test goes through."""
        return Stopwatch(*(_Child(self.breaker, name) for name in ("ibworker", "web", "celery", "ibgateway")))
