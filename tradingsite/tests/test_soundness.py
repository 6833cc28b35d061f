"""A damaged database file: nothing starts on it, and one sentence says which file and what to do."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tradingsite.desk.ports import free_port
from tradingsite.testing.processes import ROOT, clean_environment

PAGE = 4096


def filled(file: Path) -> None:
    with closing(sqlite3.connect(file)) as link, link:
        link.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, words TEXT)")
        link.executemany("INSERT INTO kept (words) VALUES (?)", [("x" * 300,)] * 500)


def overwrite(file: Path, number: int) -> None:
    with file.open("r+b") as there:
        there.seek(number * PAGE)
        there.write(b"\xff" * PAGE)


@pytest.mark.parametrize("command", ["desk", "ibworker"])
@pytest.mark.parametrize("number", [0, 20], ids=["no database any more", "a page of a table"])
def test_nothing_starts_on_a_damaged_file(tmp_path: Path, command: str, number: int) -> None:
    file = tmp_path / "desk.sqlite3"
    filled(file)
    overwrite(file, number)
    before = file.read_bytes()
    settings = {"DATA_DIR": str(tmp_path / "var"), "DATABASE_URL": f"sqlite:///{file}", "PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "manage.py", command], cwd=ROOT, env=clean_environment(settings), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith(f"CommandError: The database file {file} is damaged (")
    assert "Traceback" not in done.stderr
    assert file.read_bytes()[PAGE:] == before[PAGE:], "whoever repairs it finds it as it was"
