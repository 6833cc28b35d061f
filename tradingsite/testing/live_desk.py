"""The whole desk as a newcomer starts it: `manage.py desk` with its own Redis, gateway, API, database and DATA_DIR."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tradingsite.testing.live import keep_log
from tradingsite.testing.network import LOOPBACK, free_port
from tradingsite.testing.patience import eventually
from tradingsite.testing.processes import LiveProcess

PASSWORD = "password of the test desk"
CHILDREN = ("redis", "ibgateway", "flowapi", "ibworker", "celery", "beat", "web")


@dataclass(slots=True)
class LiveDesk:
    """A running desk, its address and its children."""

    process: LiveProcess
    data_dir: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it and wait for the line that tells how to log in."""
        seen = len(self.process.output)
        self.process.start()
        eventually(lambda: self._said_login_line(seen), seconds=90, every=0.2, what="the desk prints how to log in")

    def stop(self, *, seconds: float = 10) -> int:
        return self.process.terminate(seconds=seconds)

    @property
    def rows(self) -> dict[str, dict[str, object]]:
        """name → {name, pid, state, restarts}, as the desk last wrote them."""
        return {row["name"]: row for row in json.loads((self.data_dir / "status.json").read_text())}

    def pid_of(self, child: str) -> int:
        pid = self.rows[child]["pid"]
        assert isinstance(pid, int), f"{child} is not running"
        return pid

    def kill_child(self, child: str) -> int:
        """kill -9; returns the pid that died."""
        pid = self.pid_of(child)
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_fit_to_trade(self) -> bool:
        """/readyz answers 200."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_until_fit_to_trade(self, *, seconds: float = 60) -> None:
        eventually(self.is_fit_to_trade, seconds=seconds, every=0.25, what="/readyz answers 200")

    def _said_login_line(self, seen: int) -> bool:
        if not self.process.running:
            raise RuntimeError(f"the desk ended:\n{self.process.output[-3000:]}")
        return bool(re.search(r"^Log in at http", self.process.output[seen:], re.MULTILINE))


@pytest.fixture
def make_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., LiveDesk]]:
    """`make_desk(**environment)` prepares one; the test starts it. All are reaped with their children."""
    desks: list[LiveDesk] = []

    def make(**environment: str) -> LiveDesk:
        data_dir, port = tmp_path / f"var{len(desks)}", free_port()
        settings = {"DATA_DIR": str(data_dir), "PORT": str(port), "DEMO_PASSWORD": PASSWORD, "DEMO_HISTORY": "false"} | environment
        process = LiveProcess.manage(f"desk{len(desks)}", "desk", environment=settings, folder=tmp_path)
        keep_log(request.node, process)
        desks.append(LiveDesk(process, data_dir, port))
        return desks[-1]

    yield make
    for desk in desks:
        _reap(desk)


def _reap(desk: LiveDesk) -> None:
    """The children lead sessions of their own; their pids are in the status file."""
    if desk.process.running:
        try:
            desk.stop(seconds=12)
        except Exception:
            desk.process.kill()
    if not (desk.data_dir / "status.json").exists():
        return
    for row in desk.rows.values():
        if isinstance(row["pid"], int):
            try:
                os.killpg(row["pid"], signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


@pytest.fixture
def live_desk(make_desk: Callable[..., LiveDesk]) -> LiveDesk:
    """A desk that is up and fit to trade."""
    desk = make_desk()
    desk.start()
    desk.wait_until_fit_to_trade()
    return desk
