"""For how long was a position without its stop? A clock that the order manager starts and stops; `protection.py` says when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from events.exchange_time import EXCHANGE_ZONE, exchange_date

MOST_DAYS = 40


@dataclass(slots=True, kw_only=True)
class ProtectionClock:
    """Seconds in which shares were held without a confirmed stop: in all, by exchange day, and since when it is so now."""

    bare_since: datetime | None = None
    seconds: float = 0.0
    gaps: int = 0
    longest: float = 0.0
    first: float | None = None  # from the first filled share to its confirmed stop
    days: dict[str, float] = field(default_factory=dict)  # exchange day → seconds

    def observe(self, *, bare: bool, held: bool, now: datetime) -> bool:
        """True when a gap began or ended."""
        if bare and self.bare_since is None:
            self.bare_since, self.gaps = now, self.gaps + 1
            return True
        if not bare and self.bare_since is not None:
            self._end(now)
            return True
        if held and self.first is None and self.bare_since is None:
            self.first = 0.0  # the stop was there before the first share
            return True
        return False

    def total(self, now: datetime) -> float:
        return self.seconds + self._running(now)

    def on_day(self, now: datetime) -> float:
        """Seconds of the exchange day that `now` is in; of a gap that began earlier only those since midnight."""
        return self.days.get(_day(now), 0.0) + dict(self._by_day(now)).get(_day(now), 0.0)

    def to_dict(self) -> dict[str, Any]:
        return {
            "bare_since": None if self.bare_since is None else self.bare_since.isoformat(),
            "seconds": round(self.seconds, 3),
            "gaps": self.gaps,
            "longest": round(self.longest, 3),
            "first": None if self.first is None else round(self.first, 3),
            "days": {day: round(seconds, 3) for day, seconds in self.days.items()},
        }

    @classmethod
    def from_dict(cls, row: dict[str, Any] | None) -> ProtectionClock:
        if not row:
            return cls()
        since = row.get("bare_since")
        return cls(**{**row, "bare_since": None if since is None else datetime.fromisoformat(since), "days": dict(row.get("days", {}))})

    def _running(self, now: datetime) -> float:
        return 0.0 if self.bare_since is None else max(0.0, (now - self.bare_since).total_seconds())

    def _by_day(self, now: datetime) -> Iterator[tuple[str, float]]:
        """The gap that runs now, cut at each midnight of the exchange."""
        since = self.bare_since
        while since is not None and since < now:
            tomorrow = exchange_date(since) + timedelta(days=1)
            until = min(now, datetime.combine(tomorrow, time(), EXCHANGE_ZONE).astimezone(UTC))
            yield _day(since), (until - since).total_seconds()
            since = until

    def _end(self, now: datetime) -> None:
        gap = self._running(now)
        for day, seconds in self._by_day(now):
            self.days[day] = self.days.get(day, 0.0) + seconds
        self.seconds, self.longest, self.bare_since = self.seconds + gap, max(self.longest, gap), None
        if self.first is None:
            self.first = gap
        for old in sorted(self.days)[:-MOST_DAYS]:
            del self.days[old]


def _day(now: datetime) -> str:
    return exchange_date(now).isoformat()
