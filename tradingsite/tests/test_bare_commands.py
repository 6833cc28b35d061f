"""The long-running programs that read no table do not load Django's apps: that is most of the memory of a small process."""

import subprocess
import sys

import pytest

import manage
from tradingsite.schedule import SCHEDULE
from tradingsite.testing.processes import ROOT

LOADED = """
import sys
loaded = {"django.contrib.auth.models", "positions.models", "signals.tasks"} & set(sys.modules)
assert not loaded, loaded
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", sorted(manage.BARE))
def test_a_bare_command_loads_no_models(command: str) -> None:
    program = f"""
import sys, manage
sys.argv = ["manage.py", "{command}", "--help"]
try:
    manage.main()
except SystemExit as end:
    assert end.code == 0, end.code
{LOADED}
"""
    answer = run(program)
    assert answer.returncode == 0, answer.stderr
    assert "usage:" in answer.stdout


def test_beat_knows_every_entry_and_loads_neither_tasks_nor_models() -> None:
    program = f"""
from tradingsite.beat import app
app.loader.init_worker()
app.finalize()
assert app.conf.broker_url and app.conf.task_serializer == "json"
print(*sorted(app.conf.beat_schedule), sep="\\n")
{LOADED}
"""
    answer = run(program)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == sorted(SCHEDULE)


def test_a_broken_setting_is_one_sentence_for_a_bare_command_too() -> None:
    answer = subprocess.run(
        [sys.executable, "manage.py", "desk"],
        cwd=ROOT,
        env={"PORT": "many", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("Broken setting: PORT")
    assert "Traceback" not in answer.stderr
