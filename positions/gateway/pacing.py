"""IB's limits per client: messages per second, streaming lines, tick-by-tick lines."""

from __future__ import annotations

from collections import deque

MESSAGES_PER_SECOND = 50
MARKET_DATA_LINES = 100
TICK_BY_TICK_LINES = 5
SUMMARY_SUBSCRIPTIONS = 2


class MessageRate:
    """Counts messages in a sliding second."""

    def __init__(self, limit: int = MESSAGES_PER_SECOND) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def exceeded(self, at: float) -> bool:
        """Records a message at a monotonic time in seconds; True when it was one too many."""
        self._times.append(at)
        self._forget(at)
        return len(self._times) > self._limit

    def wait(self, at: float) -> float:
        """Seconds until one more message is within the limit."""
        self._forget(at)
        return self._times[-self._limit] + 1.0 - at if len(self._times) >= self._limit else 0.0

    def _forget(self, at: float) -> None:
        while self._times and self._times[0] <= at - 1.0:
            self._times.popleft()
