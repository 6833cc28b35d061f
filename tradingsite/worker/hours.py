"""Is a contract's regular session open? Read from the schedule IB sends with it, never from clock arithmetic."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from positions.domain.ports import Contract

LONGEST_SESSION = timedelta(hours=24)  # a market that does not close has no last minutes


def session_open(contract: Contract, now: datetime) -> bool | None:
    """None when the schedule cannot be read or does not cover today: unknown is not closed.

    `liquid_hours` is "20261123:0930-20261123:1600;20261124:CLOSED;…" in the contract's time zone.
    """
    try:
        zone = ZoneInfo(contract.time_zone)
        days = [_day(part, zone) for part in contract.liquid_hours.split(";") if part]
    except (ZoneInfoNotFoundError, ValueError):
        return None
    today = now.astimezone(zone).strftime("%Y%m%d")
    if not any(label == today for label, _ in days):
        return None
    return any(opens <= now < closes for _, spans in days for opens, closes in spans)


def session_closes(contract: Contract, now: datetime) -> datetime | None:
    """When the session that is open now ends; sessions that follow without a gap are one. None when none is open or known."""
    try:
        zone = ZoneInfo(contract.time_zone)
        spans = sorted(span for part in contract.liquid_hours.split(";") if part for span in _day(part, zone)[1])
    except (ZoneInfoNotFoundError, ValueError):
        return None
    end = None
    for opens, closes in spans:
        if opens <= now < closes or opens == end:
            end = closes
    return end if end is not None and end - now < LONGEST_SESSION else None


def _day(part: str, zone: ZoneInfo) -> tuple[str, list[tuple[datetime, datetime]]]:
    label = part.partition(":")[0]
    if part.endswith("CLOSED"):
        return label, []
    spans = []
    for span in part.split(","):
        opens, _, closes = span.partition("-")
        spans.append((_moment(opens, zone), _moment(closes, zone)))
    return label, spans


def _moment(text: str, zone: ZoneInfo) -> datetime:
    return datetime.strptime(text, "%Y%m%d:%H%M").replace(tzinfo=zone)
