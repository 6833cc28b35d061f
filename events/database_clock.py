"""How far this computer's clock is from the database's, which all hosts of a desk share."""

from __future__ import annotations

from django.db import connection

from events.clock import utc_now


def database_skew() -> float:
    """Seconds by which our clock is surely ahead of the database's; negative when behind, 0 when nothing proves a difference.

    SQLite has no clock but ours. Raises DatabaseError.
    """
    if connection.vendor != "postgresql":
        return 0.0
    asked = utc_now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [told] = cursor.fetchone()
    heard = utc_now()
    if asked > told:
        return float((asked - told).total_seconds())
    return min(float((heard - told).total_seconds()), 0.0)
