"""When each ticker is asked, and how well that goes. Pure arithmetic on epoch seconds; the clock is handed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FIRST_PHASE = 8.0  # the provider computes a prediction some seconds after the minute
INTERVALS_TO_DEGRADED = 3
MESSAGE_SECONDS = 10.0  # a poll that has not begun by then is dropped
CLAIM_SECONDS = 30.0  # one that has not ended by then is lost, and the ticker's turn comes again
RETRY_SECONDS = 15.0  # after an error; doubled with each further one, up to the interval


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A watched ticker in the queue. Times are epoch seconds, None for never; `interval` is how often it should be asked."""

    ticker: str
    interval: float
    added_at: float
    last_attempt: float | None = None
    last_success: float | None = None
    claimed_at: float | None = None  # a poll was handed out then, and has not ended
    errors: int = 0  # in a row
    left_out: bool = False  # asking now is of no use: the provider does not know it

    @property
    def waits_since(self) -> float:
        return self.added_at if self.last_attempt is None else self.last_attempt

    def under_way(self, now: float) -> bool:
        return self.claimed_at is not None and now - self.claimed_at < CLAIM_SECONDS

    def due(self, now: float, *, offset: float) -> bool:
        if self.left_out or self.under_way(now):
            return False
        if self.errors and self.last_attempt is not None and now - self.last_attempt >= self._retry_after():
            return True
        return is_due(now, self.last_attempt, interval=self.interval, offset=offset)

    def _retry_after(self) -> float:
        return float(min(self.interval, RETRY_SECONDS * 2.0 ** min(self.errors - 1, 16)))


def hand_out(turns: Iterable[Turn], *, now: float, tokens: float) -> list[Turn]:
    """Whom to ask now: those due, the longest unasked first, as many as the budget's `tokens` allow beside the polls about to begin.

    An attempt counts whether it succeeded or not, so a ticker that fails never stands before one that has waited longer; nor does
    a new one. With N tickers and a budget of B a minute each has its turn within N / B minutes, however the list is ordered.
    """
    queue = list(turns)
    # A poll that began has taken its token; one that may still begin will.
    free = int(tokens) - sum(turn.claimed_at is not None and now - turn.claimed_at < MESSAGE_SECONDS for turn in queue)
    due = [turn for index, turn in enumerate(queue) if turn.due(now, offset=phase(index, len(queue), turn.interval))]
    return sorted(due, key=lambda turn: (turn.waits_since, turn.last_attempt is not None, turn.ticker))[: max(0, free)]


def round_seconds(intervals: Iterable[float], per_minute: float) -> float:
    """How long one round through the list takes by the budget: a ticker is asked every `max(interval, round)` seconds."""
    left = sorted(intervals)
    shortest, per_second = left[0] if left else 0.0, per_minute / 60
    while left:
        equal_share = len(left) / per_second
        if left[-1] <= equal_share:
            return equal_share
        per_second -= 1 / left.pop()  # asked more rarely than the round: it takes no more than its own share
    return shortest


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
