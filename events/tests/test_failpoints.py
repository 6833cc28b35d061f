"""Failpoints: each placed once, armed only by name, and never where real money is traded."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from events import failpoints
from events.failpoints import POINTS, FailpointReached, arm, cut_with, failpoint

ROOT = Path(__file__).resolve().parents[2]
PLACED = re.compile(r'\bfailpoint\("([^"]+)"\)')


@pytest.fixture(autouse=True)
def disarmed():
    yield
    arm("", {})


def places() -> list[str]:
    files = [path for app in ("events", "positions", "signals", "tradingsite") for path in (ROOT / app).rglob("*.py")]
    return [name for path in files if "tests" not in path.parts for name in PLACED.findall(path.read_text())]


def test_every_failpoint_is_placed_exactly_once_and_listed():
    assert sorted(places()) == sorted(POINTS)
    assert len(POINTS) >= 40


def test_nothing_happens_when_none_is_armed():
    for name in POINTS:
        failpoint(name)


def test_the_nth_passage_fails_once():
    arm("order.sent:raise:3", {})
    failpoint("order.sent")
    failpoint("order.sent")
    failpoint("order.claimed")
    with pytest.raises(FailpointReached):
        failpoint("order.sent")
    failpoint("order.sent")


def test_a_cut_does_what_the_process_said_a_cut_is():
    cuts: list[int] = []
    cut_with(lambda: cuts.append(1))
    arm("wire.begin:cut", {})
    failpoint("wire.begin")
    assert cuts == [1]


def test_a_stall_takes_its_time_and_is_written_down(tmp_path):
    log = tmp_path / "struck"
    arm("hear.begin:stall", {"FAILPOINT_SECONDS": "0.01", "FAILPOINT_LOG": str(log)})
    failpoint("hear.begin")
    assert log.read_text() == "hear.begin:stall\n"


def test_a_file_arms_a_living_process_once(tmp_path):
    file = tmp_path / "fail"
    arm("", {"FAILPOINT_FILE": str(file)})
    failpoint("order.sent")
    file.write_text("order.sent:raise:2")
    failpoint("order.sent")
    assert not file.exists()
    with pytest.raises(FailpointReached):
        failpoint("order.sent")
    failpoint("order.sent")


def test_live_mode_refuses_a_file_of_failpoints_too(tmp_path):
    with pytest.raises(ValueError, match="live"):
        arm("", {"FAILPOINT_FILE": str(tmp_path / "fail"), "TRADING_MODE": "live"})


@pytest.mark.parametrize("text", ["nowhere:exit", "order.sent:explode", "order.sent", "order.sent:exit:often"])
def test_a_name_or_kind_that_does_not_exist_is_an_error(text):
    with pytest.raises(ValueError, match="FAILPOINT"):
        arm(text, {})


@pytest.mark.parametrize(("mode", "code"), [("simulated", failpoints.EXIT_CODE), ("live", 1)])
def test_a_process_ends_where_it_was_told_and_live_mode_refuses_to_start(mode, code):
    program = "from events.failpoints import failpoint; failpoint('order.sent'); print('survived')"
    environment = {"PYTHONPATH": str(ROOT), "FAILPOINT": "order.sent:exit", "TRADING_MODE": mode, "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "survived" not in done.stdout
    assert ("refused" in done.stderr) is (mode == "live")
