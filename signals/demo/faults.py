"""What can be made to go wrong at the demo provider, by name. Tests and the control endpoint switch these on and off."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Any


class Fault(StrEnum):
    """The value of each is what it needs; true where a switch is enough."""

    LATENCY = "latency"  # seconds before the answer
    RATE_LIMITED = "rate_limited"  # 429; the seconds of X-RateLimit-Reset
    RETRY_AFTER = "retry_after"  # 429; the seconds of Retry-After
    SERVER_ERROR = "server_error"  # 500
    NOT_IMPLEMENTED = "not_implemented"  # 501; the path
    ERROR_BODY = "error_body"  # HTTP 200 with an error envelope; its code
    NOT_JSON = "not_json"  # a proxy's page
    REDIRECT = "redirect"  # the address redirected to
    HUGE = "huge"  # bytes of answer
    RAW = "raw"  # this text instead of the answer
    UNKNOWN_TICKER = "unknown_ticker"  # 404
    WRONG_KEY = "wrong_key"  # 401
    MISSING_PREDICTION = "missing_prediction"
    NULL_CONFIDENCE = "null_confidence"
    VIEW = "view"  # fields laid over the prediction: {"signal": "HOLD", "numeric": 0, "confidence": 0.93, …}
    OTHER_TICKER = "other_ticker"  # the ticker it claims to be about
    PROBABILITIES_OBJECT = "probabilities_object"
    REPEAT = "repeat"  # always this epoch minute's prediction
    REVISED = "revised"  # other values each time under the same timestamp
    DATETIME_OFF = "datetime_off"  # seconds by which the ISO texts are off
    STALE = "stale"  # seconds by which everything is old
    FUTURE = "future"  # seconds by which everything is ahead
    TRUNCATED = "truncated"  # no list longer than this


@dataclass(slots=True)
class _Switch:
    value: Any
    tickers: frozenset[str]  # empty = all
    left: int | None  # None = for ever


class Faults:
    """The switches that are on. Safe to use from several threads."""

    def __init__(self) -> None:
        self._on: dict[Fault, _Switch] = {}
        self._lock = Lock()

    def set(self, fault: Fault | str, value: Any = True, *, tickers: tuple[str, ...] = (), count: int | None = None) -> None:
        """Switch a fault on: for these tickers only, for this many answers only."""
        with self._lock:
            self._on[Fault(fault)] = _Switch(value, frozenset(tickers), count)

    def clear(self, fault: Fault | str | None = None) -> None:
        with self._lock:
            if fault is None:
                self._on.clear()
            else:
                self._on.pop(Fault(fault), None)

    def take(self, fault: Fault, ticker: str = "") -> Any:
        """The fault's value if it is on for this ticker, else None. Uses up one of its count."""
        with self._lock:
            switch = self._on.get(fault)
            if switch is None or (switch.tickers and ticker not in switch.tickers):
                return None
            if switch.left is not None:
                switch.left -= 1
                if switch.left <= 0:
                    del self._on[fault]
            return switch.value

    def named(self) -> list[str]:
        with self._lock:
            return sorted(self._on)
