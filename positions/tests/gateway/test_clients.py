"""Unmodified client libraries against the real gateway process: the same scenario for each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from positions.tests.gateway.conftest import Process
from tradingsite.testing.patience import PATIENCE
from tradingsite.testing.processes import clean_environment

SCRIPT = Path(__file__).parent / "clients" / "scenario.py"
STEPS = [
    "qualify",
    "ticks",
    "market_order",
    "limit_order_and_modify",
    "cancel_order",
    "bracket_stop_cancels_target",
    "partial_fills",
    "refusals",
    "lists",
    "history",
]


def play(python: Path | str, library: str, gateway: Process) -> list[dict[str, object]]:
    command = [str(python), str(SCRIPT), library, str(gateway.port), str(gateway.control_port), "31"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment({"PATIENCE": str(PATIENCE)}))
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr[-4000:]}\n{gateway.process.output[-3000:]}"
    assert "Traceback" not in gateway.process.output
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize(("library", "version"), [("ib_insync", 176), ("ibapi", 157)])
def test_the_scenario_plays_on(library: str, version: int, gateway_process: Process) -> None:
    assert play(sys.executable, library, gateway_process) == [{"version": version}, *({"step": step} for step in STEPS)]


def test_the_scenario_plays_on_ib_async(ib_async_python: Path, gateway_process: Process) -> None:
    assert play(ib_async_python, "ib_async", gateway_process) == [{"version": 176}, *({"step": step} for step in STEPS)]
