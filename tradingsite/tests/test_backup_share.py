"""Copies of the database take no more than their share of the disk, and the newest good one is never given up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings

from events.clock import utc_now
from tradingsite import backup
from tradingsite.health_upkeep import check_backups
from tradingsite.tests.test_backup import NOON, Sqlite

MOST = 1_000_000_000


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "desk.sqlite3"
    with closing(sqlite3.connect(file)) as link, link:
        link.execute("CREATE TABLE one (n TEXT)")
        link.executemany("INSERT INTO one VALUES (?)", [("x" * 1000,)] * 200)
    monkeypatch.setattr(backup, "connection", Sqlite(file))
    monkeypatch.setattr("tradingsite.health_upkeep.connection", Sqlite(file))
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path / "var")
    return file


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`disk(bytes)`: copies may take so many bytes."""

    def of(share: float) -> None:
        usage = type("Usage", (), {"free": MOST, "total": share * 100 / settings.BACKUP_DISK_PERCENT})
        monkeypatch.setattr(backup.shutil, "disk_usage", lambda path: usage)

    return of


def kept() -> list[str]:
    return [copy.name[14:16] for copy in sorted(backup.folder().iterdir())]


def keep(hours: int) -> None:
    for hour in range(hours):
        backup.keep(NOON + timedelta(hours=hour))


def test_the_oldest_copies_go_when_the_share_is_full(books: Path, disk: Callable[[float], None]) -> None:
    disk(3.5 * books.stat().st_size)
    keep(6)
    assert kept() == ["15", "16", "17"]


def test_when_only_one_fits_the_old_one_stays_until_the_new_one_is_good(
    books: Path, disk: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(1.5 * books.stat().st_size)
    keep(2)
    assert kept() == ["13"]
    monkeypatch.setattr(backup, "flaw", lambda cursor: "page 7 is damaged")
    with pytest.raises(backup.NoBackup):
        backup.keep(NOON + timedelta(hours=2))
    assert kept() == ["13"]


def test_where_not_even_one_fits_none_is_made_and_the_health_page_says_so(books: Path, disk: Callable[[float], None]) -> None:
    disk(MOST)
    keep(1)
    disk(0.5 * books.stat().st_size)
    with pytest.raises(backup.NoBackup, match=r"not even one copy of the database .+ fits into 20 % of the disk"):
        backup.keep(NOON + timedelta(hours=1))
    assert kept() == ["12"], "the last good one stays"
    check = check_backups()
    assert (check.state, check.at) == ("down", NOON)
    assert "BACKUP_DISK_PERCENT" in check.detail


def test_a_copy_that_is_overdue_is_told(books: Path, disk: Callable[[float], None]) -> None:
    disk(MOST)
    assert check_backups().state == "unknown"
    now = utc_now()
    backup.keep(now - timedelta(hours=5))
    assert check_backups().state == "degraded"
    backup.keep(now)
    assert check_backups().state == "ok"
    assert check_backups().at == datetime.fromtimestamp(int(now.timestamp()), UTC)
