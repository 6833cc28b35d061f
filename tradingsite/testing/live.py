"""The desk's own processes as fixtures: real programs on free ports, on the test database, in a temporary DATA_DIR.

They share the test's database, so a test reads with the ORM what the processes wrote.
"""

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from tradingsite.testing.network import LOOPBACK, free_port, wait_until_accepting
from tradingsite.testing.patience import PATIENCE, eventually
from tradingsite.testing.processes import ROOT, LiveProcess, clean_environment
from tradingsite.testing.redis_server import RedisServer

SEED = "7"
_LOGS = pytest.StashKey[list[LiveProcess]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of each process's log."""
    report = yield
    if report.failed:
        for process in (process for node in item.listchain() for process in node.stash.get(_LOGS, [])):
            report.sections.append((f"log of {process.name}", process.output[-6000:]))
    return report


def keep_log(item: pytest.Item | pytest.Collector, process: LiveProcess) -> None:
    """Have this process's log shown when the test fails."""
    item.stash.setdefault(_LOGS, []).append(process)


Spawn = Callable[..., LiveProcess]


@pytest.fixture
def spawn(request: pytest.FixtureRequest, tmp_path: Path, transactional_db: None) -> Iterator[Spawn]:
    """`spawn(name, *manage_arguments, environment=...)` starts a manage.py command; all are reaped, last first."""
    started: list[LiveProcess] = []

    def start(name: str, *arguments: str, environment: dict[str, str]) -> LiveProcess:
        process = LiveProcess.manage(name, *arguments, environment=environment, folder=tmp_path)
        started.append(process)
        keep_log(request.node, process)
        process.start()
        return process

    yield start
    for process in reversed(started):
        process.reap()


@pytest.fixture(scope="session")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Static files collected once for all web processes of this run."""
    folder = tmp_path_factory.mktemp("static")
    environment = clean_environment(
        {"STATIC_ROOT": str(folder), "DATA_DIR": str(tmp_path_factory.mktemp("collect")), "SECRET_KEY": "x" * 60}
    )
    command = [sys.executable, str(ROOT / "manage.py"), "collectstatic", "--noinput", "-v0"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    return folder


@pytest.fixture
def live_environment(data_dir: Path, redis_server: RedisServer, transactional_db: None) -> dict[str, str]:
    """The settings all processes of one test share; fixtures add their own addresses to it."""
    return {
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": test_database_url(),
        "REDIS_URL": redis_server.url,
        "SECRET_KEY": settings.SECRET_KEY,
        "TRADING_MODE": "simulated",
        "FLOW_API_KEY": "tests-only-key",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
    }


def test_database_url() -> str:
    """URL of the database the ORM of this test uses."""
    from django.db import connection

    values: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    return f"postgres://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


test_database_url.__test__ = False  # type: ignore[attr-defined]


@dataclass(slots=True)
class LiveGateway:
    """The simulated IB Gateway."""

    process: LiveProcess
    port: int
    control_port: int
    state_dir: Path
    host: str = LOOPBACK

    def wait(self) -> None:
        wait_until_accepting(self.port)
        wait_until_accepting(self.control_port)

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        """kill -9 and start again with the same book."""
        self.process.kill()
        self.process.start()
        self.wait()


@pytest.fixture
def live_gateway(spawn: Spawn, live_environment: dict[str, str], tmp_path: Path) -> LiveGateway:
    port, control_port, state_dir = free_port(), free_port(), tmp_path / "gateway"
    live_environment |= {"IB_HOST": LOOPBACK, "IB_PORT": str(port)}
    process = spawn(
        "ibgateway",
        *("ibgateway", "--port", str(port), "--control-port", str(control_port), "--seed", SEED, "--state-dir", str(state_dir)),
        environment=live_environment,
    )
    gateway = LiveGateway(process, port, control_port, state_dir)
    gateway.wait()
    return gateway


@dataclass(slots=True)
class LiveFlowApi:
    """The demo options-flow API."""

    process: LiveProcess
    port: int
    url: str
    key: str


@pytest.fixture
def live_flowapi(spawn: Spawn, live_environment: dict[str, str]) -> LiveFlowApi:
    port = free_port()
    url = f"http://{LOOPBACK}:{port}/api/v1"
    live_environment |= {"FLOW_API_URL": url}
    process = spawn("flowapi", "flowapi", "--port", str(port), "--seed", SEED, environment=live_environment)
    wait_until_accepting(port)
    return LiveFlowApi(process, port, url, live_environment["FLOW_API_KEY"])


@dataclass(slots=True)
class LiveWorker:
    """The one process that holds the IB connection."""

    process: LiveProcess

    def wait_until_ready(self) -> None:
        eventually(self._is_ready, what="the worker's lease says ready")

    def _is_ready(self) -> bool:
        from events.models import WorkerLease

        if not self.process.running:
            raise RuntimeError(f"the worker ended:\n{self.process.output[-3000:]}")
        return WorkerLease.objects.filter(state="ready", pid=self.process.pid).exists()

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        self.process.kill()
        self.process.start()
        self.wait_until_ready()


@pytest.fixture
def live_worker(spawn: Spawn, live_gateway: LiveGateway, live_environment: dict[str, str]) -> LiveWorker:
    worker = LiveWorker(spawn("ibworker", "ibworker", environment=live_environment))
    worker.wait_until_ready()
    return worker


@dataclass(slots=True)
class LiveWeb:
    """The web server, pages and WebSocket."""

    process: LiveProcess
    url: str
    port: int

    def wait(self) -> None:
        eventually(self._answers, what="/healthz answers 200")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=PATIENCE).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture
def live_web(request: pytest.FixtureRequest, tmp_path: Path, live_environment: dict[str, str], static_root: Path) -> Iterator[LiveWeb]:
    port = free_port()
    environment = clean_environment(live_environment | {"STATIC_ROOT": str(static_root), "PORT": str(port)})
    options = ["-b", LOOPBACK, "-p", str(port), "--websocket-max-message-size", "65536"]
    command = [sys.executable, "-m", "daphne", *options, "tradingsite.asgi:application"]
    process = LiveProcess("web", command, environment, tmp_path / "web.log")
    keep_log(request.node, process)
    process.start()
    web = LiveWeb(process, f"http://{LOOPBACK}:{port}", port)
    try:
        web.wait()
        yield web
    finally:
        process.reap()


@pytest.fixture
def live_celery(request: pytest.FixtureRequest, tmp_path: Path, live_environment: dict[str, str]) -> Iterator[LiveProcess]:
    """A Celery worker with beat inside it."""
    schedule = tmp_path / "beat"
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tradingsite",
        "worker",
        "-B",
        "-s",
        str(schedule),
        "-P",
        "threads",
        "-c",
        "4",
        "-l",
        "INFO",
    ]
    process = LiveProcess("celery", command, clean_environment(live_environment), tmp_path / "celery.log")
    keep_log(request.node, process)
    process.start()
    try:
        process.wait_for_output("ready.")
        yield process
    finally:
        process.reap()
