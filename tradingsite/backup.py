"""Copies of a SQLite database, taken while it is written to, and looked through before they count.

What a copy lacks is no loss of orders: started on it, the worker compares with the broker and learns today's executions anew.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection

from tradingsite.soundness import flaw

WORK, LIMIT = "backup", timedelta(minutes=45)  # the claim, and how long one copy may take
PAGES = 4096  # copied between two signs of life
INSTRUCTIONS = 1_000_000  # of SQLite's machine, between two signs of life while a copy is looked through
SLACK = 1.1  # a copy is about as large as the database is now, or a little larger
HOURS, DAYS = 6, 7  # the newest copies, and one of each of the last days
NAME = "desk-%Y%m%d-%H%M%S.sqlite3"


class NoBackup(Exception):
    """One sentence says why there is none."""


def folder() -> Path:
    return Path(settings.DATA_DIR) / "backups"


def back_up(to: Path, *, step: Callable[[], None] = lambda: None) -> Path:
    """Copy the database to `to`, which appears only when it is whole. Calls `step` again and again, which may raise to end it.
    Raises NoBackup."""
    if connection.vendor != "sqlite":
        raise NoBackup("PostgreSQL is backed up with its own tools, for example pg_dump.")
    source, part = Path(connection.settings_dict["NAME"]), to.with_name(f".{to.name}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(to.parent).free < 2 * source.stat().st_size:
            raise NoBackup(f"There is too little space in {to.parent} for a copy.")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=20)) as link, closing(sqlite3.connect(part)) as copy:
            link.execute("BEGIN")  # one moment is copied, however many steps that takes; in WAL mode nobody waits for it
            link.execute("SELECT 1 FROM sqlite_master").fetchone()
            link.backup(copy, pages=PAGES, progress=lambda *_: step())
            link.rollback()
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            with _stepping(copy, step):
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


@contextmanager
def _stepping(link: sqlite3.Connection, step: Callable[[], None]) -> Iterator[None]:
    """Call `step` while SQLite works on one long statement; what it raises ends the statement and comes out here."""
    raised: list[Exception] = []

    def now_and_then() -> int:
        try:
            step()
        except Exception as error:
            raised.append(error)
        return len(raised)

    link.set_progress_handler(now_and_then, INSTRUCTIONS)
    try:
        yield
    except sqlite3.Error:
        if not raised:
            raise
    finally:
        link.set_progress_handler(None, 0)
    if raised:
        raise raised[0]


def keep(now: datetime, *, step: Callable[[], None] = lambda: None) -> Path:
    """One more copy in the folder, and fewer old ones: those of too many hours or days, and the oldest beyond the share of the
    disk that copies may take. The newest good one always stays. Raises NoBackup."""
    if problem := trouble():
        raise NoBackup(f"No copy was made: {problem}.")
    copies = sorted(folder().glob("desk-*.sqlite3"))
    _make_room(copies[:-1], _share() - _expected() - (_size(copies[-1]) if copies else 0))
    made = back_up(folder() / now.strftime(NAME), step=step)
    for superfluous in _superfluous(sorted(folder().glob("desk-*.sqlite3")), now):
        superfluous.unlink(missing_ok=True)
    _make_room([copy for copy in sorted(folder().glob("desk-*.sqlite3")) if copy != made], _share() - _size(made))
    return made


def _make_room(copies: list[Path], room: float) -> None:
    """Delete the oldest copies until the others fit into so many bytes."""
    sizes = [_size(copy) for copy in copies]
    while copies and sum(sizes) > room:
        copies[0].unlink(missing_ok=True)
        copies, sizes = copies[1:], sizes[1:]


def trouble() -> str:
    """Why copies are not kept as they should be, in one sentence; "" when they are."""
    if connection.vendor != "sqlite":
        return ""
    if _expected() > _share():
        share = f"{settings.BACKUP_DISK_PERCENT} % of the disk, {_share() / 1e9:.1f} GB (BACKUP_DISK_PERCENT)"
        return f"not even one copy of the database ({_expected() / 1e9:.1f} GB) fits into {share}"
    return ""


def newest() -> Path | None:
    return max(folder().glob("desk-*.sqlite3"), default=None, key=lambda copy: copy.name)


def _share() -> float:
    """Bytes that all copies together may take."""
    at = next(place for place in (folder(), *folder().parents) if place.exists())
    return shutil.disk_usage(at).total * settings.BACKUP_DISK_PERCENT / 100


def _expected() -> float:
    """Bytes that a copy made now will take."""
    return SLACK * _size(Path(connection.settings_dict["NAME"]))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # gone in this moment, or never there
        return 0


def _superfluous(copies: list[Path], now: datetime) -> list[Path]:
    """All but the newest few, and the last one of each of the last days."""
    days = {copy.name[5:13]: copy for copy in copies}  # the last of each day: the names are in order of time
    oldest = (now - timedelta(days=DAYS)).strftime("%Y%m%d")
    kept = {*copies[-HOURS:], *(copy for day, copy in days.items() if day >= oldest)}
    return [copy for copy in copies if copy not in kept]
