"""Whether the stock market is open, as far as polling cares. The simulated market never closes."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from django.conf import settings

from positions.gateway.market_calendar import ExchangeCalendar, day_of, day_start


@cache
def _calendar() -> ExchangeCalendar:
    return ExchangeCalendar()


def market_open(now: datetime) -> bool:
    """Whether the regular session is on, holidays and half days known."""
    if settings.TRADING_MODE == "simulated":
        return True
    day = day_of(now.timestamp())
    trading = _calendar().trading(day)
    return trading is not None and trading[0] <= now.timestamp() - day_start(day) < trading[1]
