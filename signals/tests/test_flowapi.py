"""manage.py flowapi as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tradingsite.testing.network import free_port
from tradingsite.testing.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def start(tmp_path, port, key, *more):
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tradingsite.settings", "DATA_DIR": str(tmp_path), "FLOW_API_KEY": key}
    command = [sys.executable, "manage.py", "flowapi", "--port", str(port), "--seed", "7", *more]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_it_says_where_it_is_wants_its_key_and_ends_on_sigterm(tmp_path):
    port = free_port()
    with start(tmp_path, port, "the-key") as process:
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/api/v1" in line
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/status", timeout=PATIENCE).status_code == 401
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/v1/prediction/latest?ticker=AAPL", headers={"X-API-Key": "the-key"}, timeout=PATIENCE
        )
        assert answer.json()["data"]["prediction"]["ticker"] == "AAPL"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
        assert "the-key" not in line + process.stdout.read()


def test_it_greets_with_a_signal_and_then_says_what_it_sees(tmp_path):
    port = free_port()

    def view(ticker):
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/v1/prediction/latest?ticker={ticker}", headers={"X-API-Key": "the-key"}, timeout=PATIENCE
        )
        return answer.json()["data"]["prediction"]

    with start(tmp_path, port, "the-key", "--greet", "SPY") as process:
        process.stdout.readline()
        seen = view("AAPL"), view("SPY"), view("SPY"), view("SPY")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
    assert [(v["signal"], v["confidence"]) for v in seen[1:3]] == [("BUY", 0.85)] * 2
    assert all(v["confidence"] != 0.85 for v in (seen[0], seen[3]))


def test_a_taken_port_is_one_clear_sentence(tmp_path):

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start(tmp_path, port, "the-key") as process:
            said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode != 0
    assert f"Port {port} cannot be used" in said
    assert "Traceback" not in said
