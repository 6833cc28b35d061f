"""When each ticker is asked, and how well that goes. Pure arithmetic on epoch seconds; the clock is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FIRST_PHASE = 8.0  # the provider computes a prediction some seconds after the minute
INTERVALS_TO_DEGRADED = 3


class SourceState(StrEnum):
    """How well the source, or one ticker of it, answers."""

    UNKNOWN = "unknown"
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"
    MISCONFIGURED = "misconfigured"


def phase(index: int, count: int, interval: float) -> float:
    """The offset of one ticker's polls within the interval: evenly spread, the first 8 s after the minute."""
    return (FIRST_PHASE + interval * index / max(1, count)) % interval


def is_due(now: float, last_attempt: float | None, *, interval: float, offset: float) -> bool:
    """Whether a slot began since the last attempt. A ticker never asked is due at once; missed slots are not made up."""
    if last_attempt is None:
        return True
    return (now - offset) // interval > (last_attempt - offset) // interval


def next_due(now: float, last_attempt: float | None, *, interval: float, offset: float) -> float:
    """The epoch second at which the ticker is due; `now` or earlier when it already is."""
    if is_due(now, last_attempt, interval=interval, offset=offset):
        return now
    return offset + ((now - offset) // interval + 1) * interval


@dataclass(slots=True, kw_only=True)
class TickerHealth:
    """How polling of one ticker goes. `dropped` = the provider does not know it."""

    state: SourceState = SourceState.UNKNOWN
    last_attempt: datetime | None = None
    last_success: datetime | None = None
    last_new: datetime | None = None
    first_error: datetime | None = None  # of the present row of errors
    errors_in_row: int = 0
    last_error: str = ""
    dropped: bool = False

    def succeeded(self, now: datetime, *, new: bool) -> None:
        self.state, self.errors_in_row, self.last_error = SourceState.OK, 0, ""
        self.first_error, self.dropped = None, False
        self.last_success = now
        if new:
            self.last_new = now

    def failed(self, now: datetime, error: str, *, interval: timedelta) -> None:
        """Count an error; degraded once nothing has succeeded for three intervals."""
        self.errors_in_row += 1
        self.last_error = error[:500]
        self.first_error = self.first_error or now
        since = self.last_success or self.first_error
        if now - since >= INTERVALS_TO_DEGRADED * interval:
            self.state = SourceState.DEGRADED

    def postponed(self, now: datetime, why: str, *, interval: timedelta) -> None:
        """Nothing was asked, for want of our own budget. That is no error; only three intervals of it in a row are."""
        self.last_error = why[:500]
        self.first_error = self.first_error or now
        if now - self.first_error >= INTERVALS_TO_DEGRADED * interval:
            self.state = SourceState.DEGRADED

    def misconfigured(self, error: str, *, dropped: bool = False) -> None:
        """Our parameters, key or ticker are wrong; only a person can change that."""
        self.errors_in_row += 1
        self.last_error = error[:500]
        self.state = SourceState.MISCONFIGURED
        self.dropped = dropped
