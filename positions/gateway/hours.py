"""Sessions as contract details spell them, and whether an order may trade now.

An always-open gateway reports a round-the-clock schedule; a calendar one the exchange's own, half days included.
Times are the venue's: US/Eastern.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from positions.gateway.orders import OrderSpec

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

ZONE_NAME = "US/Eastern"
ZONE = ZoneInfo("America/New_York")
_DAYS_SHOWN = 6
_EXTENDED = timedelta(hours=4)  # 04:00 to 20:00 around a regular day


class Hours:
    """The trading schedule: round the clock, or that of an exchange calendar such as XNYS."""

    def __init__(self, calendar: str = "") -> None:
        self.calendar = calendar
        self._exchange = _load(calendar) if calendar else None

    def open_for(self, spec: OrderSpec, at: float) -> bool:
        return self.is_open(at, outside_regular=spec.outside_rth)

    def is_open(self, at: float, *, outside_regular: bool = False) -> bool:
        if self._exchange is None:
            return True
        session = self.session(datetime.fromtimestamp(at, ZONE).date())
        if session is None:
            return False
        opens, closes = session
        if outside_regular:
            day = datetime.fromtimestamp(at, ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
            opens, closes = (day + _EXTENDED).timestamp(), (day + 5 * _EXTENDED).timestamp()
        return opens <= at < closes

    def session(self, day: date) -> tuple[float, float] | None:
        """Open and close of the regular session as epoch seconds; None on a closed day."""
        if self._exchange is None:
            opens = datetime(day.year, day.month, day.day, tzinfo=ZONE)
            return opens.replace(hour=9, minute=30).timestamp(), opens.replace(hour=16).timestamp()
        label: Any = day.isoformat()
        if not self._exchange.is_session(label):
            return None
        return (
            self._exchange.session_open(label).timestamp(),
            self._exchange.session_close(label).timestamp(),
        )

    def closing_time(self, at: float) -> float | None:
        """When the closing auction of the day of `at` happens."""
        session = self.session(datetime.fromtimestamp(at, ZONE).date())
        return session[1] if session else None

    def trading_hours(self, at: float) -> str:
        return self._schedule(at, extended=True)

    def liquid_hours(self, at: float) -> str:
        return self._schedule(at, extended=False)

    def _schedule(self, at: float, *, extended: bool) -> str:
        today = datetime.fromtimestamp(at, ZONE).date()
        days = [today + timedelta(days=number) for number in range(_DAYS_SHOWN)]
        return ";".join(self._day_text(day, extended=extended) for day in days)

    def _day_text(self, day: date, *, extended: bool) -> str:
        if self._exchange is None:
            return f"{day:%Y%m%d}:0000-{day + timedelta(days=1):%Y%m%d}:0000"
        session = self.session(day)
        if session is None:
            return f"{day:%Y%m%d}:CLOSED"
        if extended:
            return f"{day:%Y%m%d}:0400-{day:%Y%m%d}:2000"
        opens, closes = (datetime.fromtimestamp(moment, ZONE) for moment in session)
        return f"{opens:%Y%m%d}:{opens:%H%M}-{closes:%Y%m%d}:{closes:%H%M}"


def _load(name: str) -> ExchangeCalendar:
    import exchange_calendars  # pulls in pandas: a second of start-up that only this mode pays

    return exchange_calendars.get_calendar(name)


def day_key(at: float) -> str:
    """The gateway's own day, in its zone UTC: executions and completed orders are kept per such day."""
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%d}"


def day_begin(at: float) -> float:
    """Midnight UTC before `at`."""
    return at - at % 86_400
