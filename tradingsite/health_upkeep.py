"""What a person should know of housekeeping: whether copies are made, and whether long work fails. No condition for trading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, connection

from events.clock import utc_now
from events.models import LongWork
from tradingsite import backup
from tradingsite.health import Check

LATE = timedelta(hours=3)  # a copy is made each hour


def check_backups() -> Check:
    """Copies of the SQLite database; PostgreSQL has its own tools, which we cannot see."""
    name, label = "backups", "Backups"
    if connection.vendor != "sqlite":
        return Check(name=name, label=label, state="ok", detail="by PostgreSQL's own tools")
    newest = backup.newest()
    made = None if newest is None else datetime.strptime(newest.name, backup.NAME).replace(tzinfo=UTC)
    if problem := backup.trouble():
        return Check(name=name, label=label, state="down", detail=problem, at=made)
    if newest is None:
        return Check(name=name, label=label, state="unknown", detail="none yet; one is made each hour")
    late = made is not None and utc_now() - made > LATE
    return Check(name=name, label=label, state="degraded" if late else "ok", detail=f"the newest is {newest.name}", at=made)


def check_long_work() -> Check:
    """The last failure of each kind of long work, until it has succeeded again."""
    name, label = "upkeep", "Housekeeping"
    try:
        rows = list(LongWork.objects.all())
    except DatabaseError:
        return Check(name=name, label=label, state="unknown", detail="database is away")
    failed = [f"{row.name}: {row.outcome[:100]}" for row in rows if row.state == LongWork.State.FAILED]
    if failed:
        return Check(name=name, label=label, state="degraded", detail="; ".join(failed)[:300])
    running = [f"{row.name} is running" for row in rows if row.state == LongWork.State.RUNNING]
    return Check(name=name, label=label, state="ok", detail="; ".join(running) or "nothing failed")


def upkeep() -> list[Check]:
    """Both, for the overview."""
    return [check_backups(), check_long_work()]
