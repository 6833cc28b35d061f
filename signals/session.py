"""Whether the stock market is open, and when it opens next. The simulated market never closes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from django.conf import settings

from positions.gateway.market_calendar import ExchangeCalendar, day_of, day_start


@cache
def _calendar() -> ExchangeCalendar:
    return ExchangeCalendar()


def next_session(after: datetime) -> datetime:
    """When trading next begins at or after that moment; the simulated market trades at once."""
    if settings.TRADING_MODE == "simulated":
        return after
    first = day_of(after.timestamp())
    for day in range(first, first + 15):
        trading = _calendar().trading(day)
        if trading is not None and day_start(day) + trading[0] >= after.timestamp():
            return datetime.fromtimestamp(day_start(day) + trading[0], UTC)
    return after


def market_open(now: datetime) -> bool:
    """Whether the regular session is on, holidays and half days known."""
    if settings.TRADING_MODE == "simulated":
        return True
    day = day_of(now.timestamp())
    trading = _calendar().trading(day)
    return trading is not None and trading[0] <= now.timestamp() - day_start(day) < trading[1]


def market_opened(now: datetime) -> datetime | None:
    """When the session that is on now began; None when none is, and in the simulated market, which never closes."""
    if not market_open(now) or settings.TRADING_MODE == "simulated":
        return None
    day = day_of(now.timestamp())
    trading = _calendar().trading(day)
    return datetime.fromtimestamp(day_start(day) + trading[0], UTC) if trading is not None else None


def market_closes(now: datetime) -> datetime | None:
    """When the session that is on now ends; None when none is, and in the simulated market, which never closes."""
    if not market_open(now) or settings.TRADING_MODE == "simulated":
        return None
    day = day_of(now.timestamp())
    trading = _calendar().trading(day)
    return datetime.fromtimestamp(day_start(day) + trading[1], UTC) if trading is not None else None
