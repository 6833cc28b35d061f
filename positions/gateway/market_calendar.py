"""When the simulated market trades: always, or by the New York Stock Exchange's own calendar.

Days are counted in Eastern Standard Time without daylight saving, so that each has exactly 86,400 seconds; the
session inside a day moves by an hour in summer. Day 0 is 2000-01-01.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

DAY = 86_400
_EASTERN = ZoneInfo("America/New_York")
_FIRST_DATE = date(2000, 1, 1)
_AHEAD = timedelta(days=400)  # read this far beyond the day asked for
_FIRST_SECOND = int(datetime(2000, 1, 1, 5, tzinfo=UTC).timestamp())


def day_of(at: float) -> int:
    """The day number of an epoch second; never below 0."""
    return max(0, int(at - _FIRST_SECOND) // DAY)


def day_start(day: int) -> int:
    """The first epoch second of a day."""
    return _FIRST_SECOND + day * DAY


def date_of(day: int) -> date:
    return _FIRST_DATE + timedelta(days=day)


@lru_cache(maxsize=4096)
def regular_session(day: int) -> tuple[int, int]:
    """Second of the day at which the regular session opens (09:30 Eastern) and closes (16:00)."""
    start = day_start(day)
    opens, closes = (int(datetime.combine(date_of(day), at, _EASTERN).timestamp()) - start for at in (time(9, 30), time(16)))
    return opens, closes


class Calendar(Protocol):
    """Which seconds of a day trade."""

    def trading(self, day: int) -> tuple[int, int] | None:
        """(first second, one past the last second) of the day's trading, None on a closed day."""
        ...


class AlwaysOpen:
    """Every second of every day trades: a demo lives at any hour."""

    def trading(self, day: int) -> tuple[int, int] | None:
        return 0, DAY


class ExchangeCalendar:
    """The exchange's regular sessions, holidays and half days. The calendar library is loaded at first use only."""

    def __init__(self, name: str = "XNYS") -> None:
        self._name = name
        self._sessions: dict[date, tuple[int, int]] = {}
        self._known_until = date.min

    def session(self, on: date) -> tuple[int, int] | None:
        """(opening, closing) of an exchange day in epoch seconds; None on a weekend or holiday."""
        if on > self._known_until:
            self._load(on + _AHEAD)
        return self._sessions.get(on)

    def trading(self, day: int) -> tuple[int, int] | None:
        found = self.session(date_of(day))
        if found is None:
            return None
        start = day_start(day)
        return found[0] - start, found[1] - start

    def _load(self, until: date) -> None:
        import exchange_calendars  # pulls in pandas: a second of start-up that only this mode pays

        schedule = exchange_calendars.get_calendar(self._name, start="2000-01-03", end=until.isoformat()).schedule
        self._sessions = {
            label.date(): (int(row.open.timestamp()), int(row.close.timestamp()))
            for label, row in zip(schedule.index, schedule.itertuples(), strict=True)
        }
        self._known_until = until
