"""Is the database file whole? Asked before anything is started on it: trading on half of the books is worse than not trading."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, OperationalError, connection

DAMAGED = (
    "The database file {file} is damaged ({found}). Keep a copy of it as it is, and put the last one of DATA_DIR/backups in its place."
)


def damage() -> str:
    """One sentence about a damaged SQLite file; "" when it is sound, new, or on a server that looks after itself.

    Reads the whole file, about half a second for 200 MB. Raises OperationalError when it cannot be read now.
    """
    if connection.vendor != "sqlite":
        return ""
    try:
        with connection.cursor() as cursor:
            found = flaw(cursor)
    except OperationalError:  # locked, or out of reach: that says nothing of what is in it
        raise
    except DatabaseError as error:
        found = str(error)
    return DAMAGED.format(file=connection.settings_dict["NAME"], found=found) if found else ""


def flaw(cursor: Any) -> str:
    """What SQLite's own check finds first, on one line; "" when the file is sound. `cursor` is Django's or sqlite3's."""
    cursor.execute("PRAGMA quick_check(1)")
    [(found,)] = cursor.fetchall()
    return "" if found == "ok" else " ".join(str(found).split())
