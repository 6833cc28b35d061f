"""The circuit breaker before the options-flow API: after five failures in a row it lets one probe through now and then."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from events.clock import monotonic
from signals.domain.flow_errors import FlowCircuitOpen


class CircuitBreaker:
    """Closed → open after `threshold` failures in a row → one probe after `hold` seconds → closed or open for twice as long."""

    def __init__(self, *, threshold: int = 5, hold: float = 5.0, longest: float = 60.0, clock: Callable[[], float] = monotonic) -> None:
        self._threshold = threshold
        self._first_hold = hold
        self._longest = longest
        self._clock = clock
        self._lock = Lock()  # Celery's threads share one breaker
        self._failures = 0
        self._hold = hold
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._threshold and self._clock() < self._open_until

    def before(self) -> None:
        """Call before a request; raises FlowCircuitOpen when none may be sent."""
        with self._lock:
            if self._failures < self._threshold:
                return
            now = self._clock()
            if now < self._open_until:
                raise FlowCircuitOpen(self._open_until - now)
            self._open_until = now + self._hold  # this caller is the probe; the others wait for its result

    def succeeded(self) -> None:
        with self._lock:
            self._failures, self._hold, self._open_until = 0, self._first_hold, 0.0

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures < self._threshold:
                return
            if self._failures > self._threshold:
                self._hold = min(self._longest, self._hold * 2)
            self._open_until = self._clock() + self._hold
