"""Rounds of the whole desk: a few on real processes and in a real browser, and the parts they are made of."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tradingsite.chaos import desk_campaign
from tradingsite.chaos.desk_breaking import Breaker
from tradingsite.chaos.desk_lane import CHILDREN
from tradingsite.chaos.desk_rounds import Round
from tradingsite.chaos.desk_sizes import database_connections, sizes
from tradingsite.chaos.desk_steps import STEPS, is_failure, told_by
from tradingsite.chaos.oracle import Violation
from tradingsite.testing.chromium import find_browser
from tradingsite.testing.fixtures import unavailable
from tradingsite.testing.patience import PATIENCE, eventually
from tradingsite.testing.processes import ROOT, clean_environment
from tradingsite.testing.starvation import Stopwatch


@pytest.mark.processes
@pytest.mark.browser
def test_a_desk_under_fire_keeps_every_invariant_and_its_pages_say_so(tmp_path: Path) -> None:
    if not find_browser():
        unavailable("no Chromium: install chromium, or set CHROMIUM to its path")
    database = "postgres" if os.environ.get("TEST_DB") == "postgres" else "sqlite"
    command = [sys.executable, str(ROOT / "manage.py"), "chaos", "--desk-rounds", "2", "--short", "--seed", "5", "--database", database]
    environment = clean_environment({"DATA_DIR": str(tmp_path / "var"), "SECRET_KEY": "x" * 60})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "2 rounds" in done.stdout
    assert "PROVEN" in done.stdout


def test_one_seed_is_one_story_with_an_approval_and_a_failure_in_each_round() -> None:
    stories = [told_by(7, number) for number in range(200)]
    assert stories == [told_by(7, number) for number in range(200)]
    assert stories != [told_by(8, number) for number in range(200)]
    assert all("approve" in story and any(is_failure(step) for step in story) and 3 <= len(story) <= 6 for story in stories)


def test_two_hundred_rounds_do_everything_to_everybody() -> None:
    told = {step for number in range(200) for step in told_by(1, number)}
    assert told == set(STEPS)
    assert {f"{what} {child}" for what in ("kill", "stop", "restart") for child in CHILDREN} <= told


def test_the_account_names_every_invariant_and_is_not_content_with_one_violation() -> None:
    lines: list[str] = []
    fine = desk_campaign.Account(rounds=[Round(0, ["approve: sent", "kill web"])], unproven=("I10",), finished=True)
    assert fine.tell(1.0, lines.append)
    assert [line.split()[0] for line in lines[:12]] == [f"I{number}" for number in range(1, 13)]
    assert lines[9].endswith("not tried")
    bad = desk_campaign.Account(rounds=[Round(0, violations=[Violation(invariant="I6", detail="approve can be pressed")])], finished=True)
    assert not bad.tell(1.0, lines.append)
    assert lines[-1] == "NOT PROVEN: 1 violations"
    late = desk_campaign.Account(afterwards=[Violation(invariant="I7", detail="differs")], finished=True)
    assert not late.tell(1.0, lines.append)
    assert not desk_campaign.Account().tell(1.0, lines.append)
    assert lines[-1].startswith("NOT PROVEN: ended before its time")


@pytest.fixture
def sleeper(tmp_path: Path) -> Any:
    """A child of a desk that is only a status file."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (tmp_path / "status.json").write_text(json.dumps([{"name": "celery", "pid": process.pid, "state": "running", "restarts": 0}]))
    yield process
    process.kill()
    process.wait(PATIENCE)


def state_of(process: Any) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_stopped_child_goes_on_by_itself_and_its_outage_is_kept(tmp_path: Path, sleeper: Any) -> None:
    breaker = Breaker(tmp_path, "http://127.0.0.1:1")
    began, watch = time.time(), Stopwatch()
    assert breaker.pause("celery", 0.5)
    eventually(lambda: state_of(sleeper) == "T")
    assert breaker.busy()
    assert not breaker.pause("celery", 0.5)
    eventually(lambda: not breaker.busy())
    assert state_of(sleeper) != "T"
    [outage] = breaker.outages
    assert (outage.child, outage.stood) == ("celery", True)
    assert began <= outage.began
    assert 0.5 <= outage.ended - outage.began < 5 + watch.starved


def test_killing_and_restarting_are_different_ends_and_nobody_is_killed_twice(tmp_path: Path, sleeper: Any) -> None:
    breaker = Breaker(tmp_path, "http://127.0.0.1:1")
    assert breaker.kill("web") is None
    assert breaker.restart("celery") == sleeper.pid
    assert sleeper.wait(PATIENCE) == -signal.SIGTERM
    assert breaker.kill("celery") is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_open_connections_and_sizes_are_counted_from_outside(tmp_path: Path) -> None:
    file, pids = tmp_path / "desk.sqlite3", {"web": os.getpid(), "beat": None}
    assert database_connections(pids, f"sqlite:///{file}") == 0
    links = [sqlite3.connect(file) for _ in range(2)]
    assert database_connections(pids, f"sqlite:///{file}") == 2
    for link in links:
        link.close()
    assert list(sizes(pids)) == ["web"]
    assert sizes(pids)["web"].memory > 10
