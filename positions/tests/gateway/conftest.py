"""The simulated gateway under test: as a process of its own, or in the test's event loop; either way over TCP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from positions.gateway.gateway import Gateway
from positions.gateway.server import Server
from tradingsite.testing.network import free_port, wait_until_accepting
from tradingsite.testing.processes import ROOT, LiveProcess

SEED = 11
IB_ASYNC_VENV = ROOT / ".venv-ib-async"


@dataclass(slots=True)
class Process:
    """`manage.py ibgateway` with a state folder of its own."""

    process: LiveProcess
    port: int
    control_port: int
    state_dir: Path

    def start(self) -> None:
        self.process.start()
        wait_until_accepting(self.port)
        wait_until_accepting(self.control_port)


@pytest.fixture
def gateway_process(tmp_path: Path) -> Iterator[Process]:
    port, control_port, state_dir = free_port(), free_port(), tmp_path / "state"
    arguments = ["ibgateway", "--port", str(port), "--control-port", str(control_port), "--seed", str(SEED), "--state-dir", str(state_dir)]
    process = LiveProcess.manage("ibgateway", *arguments, environment={"DATA_DIR": str(tmp_path)}, folder=tmp_path)
    gateway = Process(process, port, control_port, state_dir)
    gateway.start()
    yield gateway
    process.reap()


@dataclass(slots=True)
class Local:
    """A gateway in this event loop, its ports, and its control channel."""

    gateway: Gateway
    server: Server
    state_dir: Path
    clients: list[Any] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.server.port

    async def control(self, **command: Any) -> dict[str, Any]:
        """One control command over its own socket; fails the test when it is refused."""
        answer = await self.try_control(**command)
        assert answer["ok"], answer
        return answer

    async def try_control(self, **command: Any) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.control_port)
        writer.write(json.dumps(command).encode() + b"\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def rows(self, query: str, **more: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.control(query=query, **more))["rows"]
        return rows


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Local]:
    """A fresh gateway with AAPL standing still at 200.00."""
    gateway = Gateway(seed=SEED, state_dir=tmp_path / "state")
    server = Server(gateway)
    await server.start()
    running = Local(gateway, server, tmp_path / "state")
    await running.control(set_price="AAPL", price=200.0, hold=True)
    yield running
    for client in running.clients:
        client.disconnect()
    await server.close()
    await asyncio.sleep(0)


@pytest.fixture(scope="session")
def ib_async_python() -> Path:
    """A Python with ib_async, which can not live beside ib_insync: `make test` makes it, else it is made here, once."""
    python = IB_ASYNC_VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(IB_ASYNC_VENV)], check=True, capture_output=True)
    if subprocess.run([python, "-c", "import ib_async"], capture_output=True).returncode:
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(ROOT / "requirements-ib-async.txt")]
        subprocess.run(command, check=True)
    return python
