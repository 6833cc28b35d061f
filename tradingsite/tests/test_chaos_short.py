"""The short chaos run: crashes where they hurt most, random rounds, known defects of others, and a judge that can turn red."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradingsite.chaos.matrix import all_cases
from tradingsite.chaos.rounds import STEPS, told_by
from tradingsite.testing.processes import ROOT, clean_environment

only_once = pytest.mark.skipif(os.environ.get("TEST_DB") == "postgres", reason="these lanes are always on SQLite")


def chaos(folder: Path, *arguments: str) -> str:
    """What a run says; it must end well."""
    command = [sys.executable, str(ROOT / "manage.py"), "chaos", *arguments]
    environment = clean_environment({"DATA_DIR": str(folder / "var"), "SECRET_KEY": "x" * 60})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.processes
@pytest.mark.timed
def test_no_invariant_is_violated_by_crashes_at_the_worst_moments(tmp_path):
    database = "postgres" if os.environ.get("TEST_DB") == "postgres" else "sqlite"
    assert "PROVEN" in chaos(tmp_path, "--short", "--seed", "20260101", "--database", database)


@only_once
@pytest.mark.processes
@pytest.mark.timed
def test_defects_that_cost_others_money_cost_none_here(tmp_path):
    assert "4 of 4 scenarios ended well" in chaos(tmp_path, "--museum", "--only", "B5,B7,B9,B10")


@only_once
@pytest.mark.processes
@pytest.mark.timed
def test_the_judge_turns_red_when_a_defect_is_planted_and_only_then(tmp_path):
    told = chaos(tmp_path, "--sabotage", "--only", "send_twice,watchdog_sleeps,never_reconnect")
    assert "3 of 3 defects caught; 3 of 3 whole desks found whole" in told


def test_every_failpoint_is_a_case_in_every_kind_that_means_something():
    cases = {case.failpoint for case in all_cases()}
    assert {"order.sent:exit", "order.sent:raise", "order.sent:stall", "order.sent:cut", "approve.signal:exit"} <= cases
    assert not {"approve.signal:cut", "restore.loaded:cut"} & cases


def test_one_seed_is_one_story():
    assert [told_by(7, number) for number in range(20)] == [told_by(7, number) for number in range(20)]
    assert told_by(7, 1) != told_by(8, 1)


def test_many_rounds_tell_every_step():
    assert {step for number in range(200) for step in told_by(7, number)} == set(STEPS)
