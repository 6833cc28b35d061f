"""How the gateway writes a moment: the form of the client's server version, or the one that a test has switched on.

A gateway of today writes `20261127 14:46:20 US/Eastern` to a client of server version 176; older ones, which speak 157, write
no zone, and two spaces. A form that was switched on is used for everything that carries a moment, epoch seconds asked for
by the client included.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_READ = re.compile(r"(\d{8})[- ] ?(\d\d:\d\d:\d\d)(?: +(\S+))?")
NAMES_ITS_ZONE = 176  # the server version from which moments carry a zone here


def _written(pattern: str, zone: str = "UTC") -> Callable[[float], str]:
    return lambda at: datetime.fromtimestamp(at, ZoneInfo(zone)).strftime(pattern)


FORMS: dict[str, Callable[[float], str]] = {
    "eastern": _written("%Y%m%d %H:%M:%S US/Eastern", "US/Eastern"),
    "eastern_wide": _written("%Y%m%d  %H:%M:%S US/Eastern", "US/Eastern"),
    "plain": _written("%Y%m%d  %H:%M:%S"),
    "plain_narrow": _written("%Y%m%d %H:%M:%S"),
    "dash": _written("%Y%m%d-%H:%M:%S"),
    "utc": _written("%Y%m%d %H:%M:%S UTC"),
    "universal": _written("%Y%m%d %H:%M:%S Universal"),
    "met": _written("%Y%m%d %H:%M:%S MET", "MET"),
    "iso": _written("%Y-%m-%d %H:%M:%S.0"),
    "epoch": lambda at: str(int(at)),
    "unknown": _written("%Y%m%d %H:%M:%S Mars/Olympus"),
}


def written(at: float, version: int, form: str = "") -> str:
    """The moment `at` (epoch seconds) as a client of this server version reads it."""
    return FORMS[form or ("eastern" if version >= NAMES_ITS_ZONE else "plain")](at)


def read(text: str) -> float:
    """Epoch seconds of a moment that a client wrote: `YYYYMMDD HH:MM:SS [zone]`, or with a dash in UTC. Raises ValueError."""
    found = _READ.fullmatch(text)
    if found is None:
        raise ValueError(f"Invalid time {text[:30]}")
    try:
        zone = ZoneInfo(found[3]) if found[3] else UTC
        return datetime.strptime(f"{found[1]} {found[2]}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone).timestamp()
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"Invalid time {text[:40]}") from error
