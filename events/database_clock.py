"""How far this computer's clock is from the database's, which all hosts of a desk share."""

from __future__ import annotations

from django.db import connection

from events.clock import clock_skew, utc_now


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
    return clock_skew(told, asked, utc_now())
