"""Days of the exchange (US Eastern): which one a moment belongs to, and when one begins."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from events.wording import EXCHANGE_ZONE


def exchange_date(at: datetime) -> date:
    """The calendar date at the exchange of an aware moment."""
    return at.astimezone(EXCHANGE_ZONE).date()


def day_start(day: date) -> datetime:
    """Midnight at the exchange that begins `day`, as aware UTC (23 or 25 hours apart when the clocks change)."""
    return datetime.combine(day, time.min, tzinfo=EXCHANGE_ZONE).astimezone(UTC)
