"""Copies of a SQLite database, taken while it is written to, and looked through before they count.

What a copy lacks is no loss of orders: started on it, the worker compares with the broker and learns today's executions anew.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection

from tradingsite.soundness import flaw

HOURS, DAYS = 6, 7  # the newest copies, and one of each of the last days
NAME = "desk-%Y%m%d-%H%M%S.sqlite3"


class NoBackup(Exception):
    """One sentence says why there is none."""


def folder() -> Path:
    return Path(settings.DATA_DIR) / "backups"


def back_up(to: Path) -> Path:
    """Copy the database to `to`, which appears only when it is whole. Raises NoBackup."""
    if connection.vendor != "sqlite":
        raise NoBackup("PostgreSQL is backed up with its own tools, for example pg_dump.")
    source, part = Path(connection.settings_dict["NAME"]), to.with_name(f".{to.name}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(to.parent).free < 2 * source.stat().st_size:
            raise NoBackup(f"There is too little space in {to.parent} for a copy.")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=20)) as link, closing(sqlite3.connect(part)) as copy:
            link.backup(copy)  # one read of a moment; in WAL mode nobody waits for it
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            found = flaw(copy.cursor())
        if found:
            raise NoBackup(f"The copy is damaged ({found}).")
        part.chmod(0o600)
        os.replace(part, to)
    except (OSError, sqlite3.Error) as error:
        raise NoBackup(f"The database could not be copied to {to}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return to


def keep(now: datetime) -> Path:
    """One more copy in the folder, and fewer old ones. Raises NoBackup."""
    made = back_up(folder() / now.strftime(NAME))
    for superfluous in _superfluous(sorted(folder().glob("desk-*.sqlite3")), now):
        superfluous.unlink(missing_ok=True)
    return made


def _superfluous(copies: list[Path], now: datetime) -> list[Path]:
    """All but the newest few, and the last one of each of the last days."""
    days = {copy.name[5:13]: copy for copy in copies}  # the last of each day: the names are in order of time
    oldest = (now - timedelta(days=DAYS)).strftime("%Y%m%d")
    kept = {*copies[-HOURS:], *(copy for day, copy in days.items() if day >= oldest)}
    return [copy for copy in copies if copy not in kept]
