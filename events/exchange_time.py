"""The exchange's own time (US Eastern): its zone, the date a moment falls on there, and when a date begins. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

EXCHANGE_ZONE = ZoneInfo("America/New_York")


def exchange_date(at: datetime) -> date:
    """The calendar date at the exchange of an aware moment."""
    return at.astimezone(EXCHANGE_ZONE).date()


def day_start(day: date) -> datetime:
    """Midnight at the exchange that begins `day`, as aware UTC (23 or 25 hours apart when the clocks change)."""
    return datetime.combine(day, time.min, tzinfo=EXCHANGE_ZONE).astimezone(UTC)
