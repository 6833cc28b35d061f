"""The web server ends when it is asked to, whatever its threads are waiting for."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from tradingsite.testing.network import LOOPBACK, free_port
from tradingsite.testing.patience import PATIENCE, eventually
from tradingsite.testing.processes import ROOT, LiveProcess, clean_environment

# What a request leaves that was in a thread when the loop ended: a thread that waits for it, and is waited for by Python's end.
STUCK = """
import concurrent.futures, threading
from tradingsite.asgi import application
concurrent.futures.ThreadPoolExecutor().submit(threading.Event().wait)
"""


def test_it_ends_though_a_thread_of_a_request_never_will(tmp_path: Path, live_environment: dict[str, str]) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    port = free_port()
    environment = clean_environment(live_environment | {"PYTHONPATH": f"{ROOT}:{tmp_path}"})
    command = [sys.executable, "-m", "daphne", "-b", LOOPBACK, "-p", str(port), "stuck:application"]
    web = LiveProcess("web", command, environment, tmp_path / "web.log")
    web.start()
    try:
        eventually(lambda: answers(port), what="/healthz answers")
        assert web.terminate() == 0
    finally:
        web.reap()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/healthz", timeout=PATIENCE).status_code == 200
    except httpx.HTTPError:
        return False
