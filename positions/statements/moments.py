"""Dates and times as IB's statements may write them: seven date formats, times with and without colons, with and without a zone.

A time without a zone is exchange time. Dates with slashes do not say which part is the day: the file as a whole has to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from positions.statements.fields import shown
from positions.statements.statement import STATEMENT_ZONE, BadStatement, exchange_day

_TIME = r"(?P<hour>\d{2}):?(?P<minute>\d{2}):?(?P<second>\d{2})"
_ZONE = r"(?P<zone>[A-Za-z][A-Za-z_/+-]{0,30}\d{0,2})"
_DAY = r"(?P<day>\d{8}|\d{4}-\d{2}-\d{2}|\d{2}/\d{2}/\d{2,4}|\d{2}-[A-Za-z]{3}-\d{2})"
_MOMENT = re.compile(rf"{_DAY}(?:[;,T ] ?{_TIME})?(?: {_ZONE})?")
_SLASHED = re.compile(r"(\d{2})/(\d{2})/\d{2,4}")
_WORDS = ("%B %d, %Y", "%b %d, %Y")
_EASTERN = {"EST", "EDT", "ET"}
_UNIVERSAL = {"UTC", "GMT", "Z"}


class Calendar:
    """Reads the dates of one file; `day_first` is None where no date of it has slashes."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Raises BadStatement when its dates could be read both ways."""
        pairs = [(int(found[1]), int(found[2])) for text in texts if "/" in text for found in _SLASHED.finditer(text)]
        day_first, month_first = any(one > 12 for one, _ in pairs), any(two > 12 for _, two in pairs)
        if pairs and day_first == month_first:
            raise BadStatement("Its dates can be read day first or month first. Choose the date format yyyyMMdd in the Flex Query.")
        self.day_first = day_first if pairs else None
        self._days: dict[str, date] = {}  # as written → the day, because a file has few

    def moment(self, text: str | None) -> datetime:
        """Aware; a day alone is its midnight. Raises BadStatement."""
        found = _MOMENT.fullmatch((text or "").strip())
        if found is None:
            raise BadStatement(f"A time cannot be read: {shown(text)}.")
        day, hour, minute, second, zone = found.groups()
        try:
            at = time(int(hour or 0), int(minute or 0), int(second or 0))
            return datetime.combine(_date(day, self.day_first), at, _zone(zone))
        except BadStatement:
            raise
        except ValueError:
            raise BadStatement(f"A time cannot be read: {shown(text)}.") from None

    def day(self, text: str | None) -> date | None:
        """The exchange's day; None where nothing is written. Raises BadStatement."""
        if not text or not text.strip():
            return None
        if text not in self._days:
            self._days[text] = self._day(text.strip())
        return self._days[text]

    def _day(self, words: str) -> date:
        for pattern in _WORDS if words[0].isalpha() else ():
            try:
                return _read(words, pattern)
            except ValueError:
                continue
        return exchange_day(self.moment(words))


@lru_cache(maxsize=1024)
def _date(text: str, day_first: bool | None) -> date:
    if "/" in text:
        pattern = "%d/%m/%" if day_first else "%m/%d/%"
        return _read(text, pattern + ("Y" if len(text) == 10 else "y"))
    pattern = "%Y%m%d" if text.isdigit() else "%Y-%m-%d" if text[:4].isdigit() else "%d-%b-%y"
    return _read(text, pattern)


def _read(text: str, pattern: str) -> date:
    return datetime.strptime(text, pattern).replace(tzinfo=STATEMENT_ZONE).date()


def _zone(name: str | None) -> tzinfo:
    if not name or name.upper() in _EASTERN:
        return STATEMENT_ZONE
    if name.upper() in _UNIVERSAL:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadStatement(f"A time is in a zone that is not known here: {shown(name)}. Choose US Eastern or none.") from None
