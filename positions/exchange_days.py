"""On which days the exchange trades. Which date a moment falls on there is `events/exchange_time.py`."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

from positions.gateway.market_calendar import ExchangeCalendar


@cache
def exchange_calendar() -> ExchangeCalendar:
    """The exchange's own calendar, read once in each process: that takes a second."""
    return ExchangeCalendar()


def sessions_between(first: date, last: date) -> list[date]:
    """The exchange days from `first` to `last`, both included, on which it trades; half days too."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if exchange_calendar().session(day) is not None]
