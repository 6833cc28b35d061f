"""Copies of a database that is being written to, and a desk's books restored from one."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from tradingsite import backup
from tradingsite.testing.patience import PATIENCE

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Sqlite:
    """What Django's connection tells of a file."""

    vendor = "sqlite"

    def __init__(self, file: Path) -> None:
        self.settings_dict = {"NAME": str(file)}


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database whose two tables always hold the same number of rows."""
    file = tmp_path / "desk.sqlite3"
    with closing(sqlite3.connect(file)) as link:
        link.executescript("PRAGMA journal_mode=WAL; CREATE TABLE one (n INTEGER); CREATE TABLE other (n INTEGER);")
    monkeypatch.setattr(backup, "connection", Sqlite(file))
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path / "var")
    return file


def counts(file: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(file)) as link:
        [(one,)] = link.execute("SELECT count(*) FROM one")
        [(other,)] = link.execute("SELECT count(*) FROM other")
    return one, other


def test_a_copy_of_a_busy_database_is_one_moment_of_it(books: Path, tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(books, timeout=PATIENCE)) as link:
            while not done.is_set():
                with link:
                    link.execute("INSERT INTO one VALUES (1)")
                    link.execute("INSERT INTO other VALUES (1)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [backup.back_up(tmp_path / f"copy{n}.sqlite3") for n in range(20)]
    finally:
        done.set()
        writer.join()
    found = [counts(copy) for copy in made]
    assert all(one == other for one, other in found)
    assert found == sorted(found)
    assert found[-1][0] > 0
    assert sorted(tmp_path.glob("copy*")) == sorted(made), "one file each, nothing beside it"


def test_of_many_hours_few_copies_stay_and_of_every_day_one(books: Path) -> None:
    for hour in range(24 * 9):
        backup.keep(NOON + timedelta(hours=hour))
    names = [copy.name[5:16] for copy in sorted(backup.folder().iterdir())]
    last = NOON + timedelta(hours=24 * 9 - 1)
    newest = [(last - timedelta(hours=back)).strftime("%Y%m%d-%H") for back in reversed(range(6))]
    days = [(last - timedelta(days=back)).strftime("%Y%m%d-23") for back in range(8, 0, -1)]
    assert names == sorted({*newest, *(day for day in days if day[:8] >= (last - timedelta(days=7)).strftime("%Y%m%d"))})


@pytest.mark.django_db
def test_what_is_no_database_leaves_no_copy_and_says_why(books: Path, tmp_path: Path) -> None:
    books.write_bytes(b"\xff" * 8192)
    with pytest.raises(CommandError, match="could not be copied"):
        call_command("backup", str(tmp_path / "copy.sqlite3"))
    assert not list(tmp_path.glob("*copy*"))


def test_a_full_disk_is_told_before_anything_is_written(books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1, "total": 10**12})())
    with pytest.raises(backup.NoBackup, match="too little space"):
        backup.keep(NOON)
    assert not list(backup.folder().iterdir())
