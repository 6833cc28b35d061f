"""Days of the exchange (US Eastern): which one a moment belongs to, when one begins, and on which it trades."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from events.wording import EXCHANGE_ZONE
from positions.gateway.market_calendar import ExchangeCalendar


def exchange_date(at: datetime) -> date:
    """The calendar date at the exchange of an aware moment."""
    return at.astimezone(EXCHANGE_ZONE).date()


def day_start(day: date) -> datetime:
    """Midnight at the exchange that begins `day`, as aware UTC (23 or 25 hours apart when the clocks change)."""
    return datetime.combine(day, time.min, tzinfo=EXCHANGE_ZONE).astimezone(UTC)


@cache
def exchange_calendar() -> ExchangeCalendar:
    """The exchange's own calendar, read once in each process: that takes a second."""
    return ExchangeCalendar()


def sessions_between(first: date, last: date) -> list[date]:
    """The exchange days from `first` to `last`, both included, on which it trades; half days too."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if exchange_calendar().session(day) is not None]
