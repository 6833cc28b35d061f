"""The short chaos run: crashes where they hurt most, a few random rounds, nothing lost, nothing doubled, nothing bare."""

import os
import subprocess
import sys

import pytest

from tradingsite.chaos.matrix import all_cases
from tradingsite.chaos.rounds import told_by
from tradingsite.testing.processes import ROOT, clean_environment


@pytest.mark.processes
@pytest.mark.timeout(400)
def test_no_invariant_is_violated_by_crashes_at_the_worst_moments(tmp_path):
    database = "postgres" if os.environ.get("TEST_DB") == "postgres" else "sqlite"
    command = [sys.executable, str(ROOT / "manage.py"), "chaos", "--short", "--seed", "20260101", "--database", database]
    environment = clean_environment({"DATA_DIR": str(tmp_path / "var"), "SECRET_KEY": "x" * 60})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "PROVEN" in done.stdout


def test_every_failpoint_is_a_case_in_every_kind_that_means_something():
    cases = {case.failpoint for case in all_cases()}
    assert {"order.sent:exit", "order.sent:raise", "order.sent:stall", "order.sent:cut", "approve.signal:exit"} <= cases
    assert "approve.signal:cut" not in cases


def test_one_seed_is_one_story():
    assert [told_by(7, number) for number in range(20)] == [told_by(7, number) for number in range(20)]
    assert told_by(7, 1) != told_by(8, 1)
