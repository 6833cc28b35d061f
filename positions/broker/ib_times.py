"""Every way in which IB writes a moment, read by one function. Pure.

`20261127 14:46:20 US/Eastern` with one or two spaces, `20261127-14:46:20` (the dash alone means UTC), `2026-11-27 14:46:20.0`,
epoch seconds; without a zone it is the gateway's own. A zone that the time zone database does not know is `UnknownTime`: an
alarm, never a guess.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

_WRITTEN = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(-| {1,2}|T)(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?: +(\S.*))?")
_EPOCH = re.compile(r"\d{9,11}")


class UnknownTime(ValueError):
    """A text that is no moment, or one in a `zone` nobody knows."""

    def __init__(self, message: str, zone: str = "") -> None:
        super().__init__(message)
        self.zone = zone


def moment(text: str, *, zone: str) -> datetime:
    """Aware UTC. `zone` is the gateway's, for texts that name none. Raises UnknownTime."""
    text = text.strip()
    if _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise UnknownTime(f"{text[:60]!r} is no time in any form of IB's")
    *date, between, hour, minute, second, named = found.groups()
    known = _zone(named or ("UTC" if between == "-" else zone))
    try:
        year, month, day = map(int, date)
        local = datetime(year, month, day, int(hour), int(minute), int(second), tzinfo=known)
    except ValueError as error:
        raise UnknownTime(f"{text[:60]!r} is no time: {error}") from error
    return local.astimezone(UTC)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # no such name, a name that is a path, a folder of the database
        raise UnknownTime(f"nobody knows the time zone {name[:40]!r}", name[:40]) from error
