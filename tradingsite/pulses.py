"""Signs of life of Celery's beat and workers: the second at which each was last seen, as rows.

Beat writes its own while it ticks; the workers' is written by a task, so it says that beat sent, Redis carried and a worker carried out.
Plain SQL on the table of `JobLease`: beat's process loads no models.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection

from events.clock import utc_now

BEAT, WORKERS = "pulse beat", "pulse workers"
EVERY = 5.0  # seconds
LIMIT = 30.0  # seconds of silence after which it counts as dead


def note(name: str) -> None:
    """It lives now. Raises DatabaseError."""
    upsert = "INSERT INTO signals_joblease (name, slot) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET slot = excluded.slot"
    with connection.cursor() as cursor:
        cursor.execute(upsert, [name, int(utc_now().timestamp())])


def last_seen() -> dict[str, datetime]:
    """Name → when it was last seen; a name that never was is missing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, slot FROM signals_joblease WHERE name IN (%s, %s) AND slot > 0", [BEAT, WORKERS])
        return {name: datetime.fromtimestamp(slot, UTC) for name, slot in cursor.fetchall()}
