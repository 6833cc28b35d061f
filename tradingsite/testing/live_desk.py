"""The whole desk as a newcomer starts it: `manage.py desk` with its own Redis, gateway, API, database and DATA_DIR."""

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tradingsite.testing.live import keep_log
from tradingsite.testing.network import LOOPBACK, free_port
from tradingsite.testing.patience import PATIENCE, eventually
from tradingsite.testing.postgres_server import empty_postgres_database
from tradingsite.testing.processes import LiveProcess

PASSWORD = "password of the test desk"
CHILDREN = ("redis", "ibgateway", "flowapi", "ibworker", "celery", "beat", "web")


@dataclass(slots=True)
class LiveDesk:
    """A running desk, its address and its children."""

    process: LiveProcess
    data_dir: Path
    port: int
    own_folder: bool = True  # False for a desk sent into the folder of another, whose children are not its to reap

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it and wait for the line that tells how to log in."""
        seen = len(self.process.output)
        self.process.start()
        eventually(lambda: self._said_login_line(seen), every=0.2, what="the desk prints how to log in")

    def stop(self) -> int:
        return self.process.terminate()

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
            return httpx.get(f"{self.url}/readyz", timeout=PATIENCE, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_until_fit_to_trade(self) -> None:
        eventually(self.is_fit_to_trade, every=0.25, what="/readyz answers 200")

    def _said_login_line(self, seen: int) -> bool:
        if not self.process.running:
            raise RuntimeError(f"the desk ended:\n{self.process.output[-3000:]}")
        return bool(re.search(r"^Log in at http", self.process.output[seen:], re.MULTILINE))


class Desks:
    """Calling it prepares a desk with that environment; `reap` ends all of them with their children."""

    def __init__(self, node: pytest.Item | pytest.Collector, folder: Path) -> None:
        self._node = node
        self._folder = folder
        self._made: list[LiveDesk] = []

    def __call__(self, **environment: str) -> LiveDesk:
        number, port = len(self._made), free_port()
        data_dir = Path(environment.get("DATA_DIR", self._folder / f"var{number}"))
        settings = {"DATA_DIR": str(data_dir), "PORT": str(port), "DEMO_PASSWORD": PASSWORD, "DEMO_HISTORY": "false"}
        if os.environ.get("TEST_DB") == "postgres":
            settings["DATABASE_URL"] = empty_postgres_database()
        process = LiveProcess.manage(f"desk{number}", "desk", environment=settings | environment, folder=self._folder)
        keep_log(self._node, process)
        self._made.append(LiveDesk(process, data_dir, port, own_folder="DATA_DIR" not in environment))
        return self._made[-1]

    def reap(self) -> None:
        for desk in self._made:
            _reap(desk)


@pytest.fixture
def make_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desks]:
    """`make_desk(**environment)` prepares one; the test starts it. All are reaped with their children."""
    desks = Desks(request.node, tmp_path)
    yield desks
    desks.reap()


def _reap(desk: LiveDesk) -> None:
    """The children lead sessions of their own; their pids are in the status file."""
    if desk.process.running:
        try:
            desk.stop()
        except Exception:
            desk.process.kill()
    if not desk.own_folder or not (desk.data_dir / "status.json").exists():
        return
    for row in desk.rows.values():
        if isinstance(row["pid"], int):
            try:
                os.killpg(row["pid"], signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


@pytest.fixture(scope="module")
def live_desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDesk]:
    """A desk that is up and fit to trade, shared by the tests of one module: each leaves it as fit as it found it."""
    desks = Desks(request.node, tmp_path_factory.mktemp("desk"))
    desk = desks()
    try:
        desk.start()
        desk.wait_until_fit_to_trade()
        yield desk
    finally:
        desks.reap()
