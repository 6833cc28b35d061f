"""IB's market-data lines: how many streams we may have, and who gets one when there are not enough.

Open positions come first, those with exit rules before all others, because a rule without a price moves no stop; then symbols
that a person may approve; then the watch list. IB serves 100 lines by default, shared by everything that uses the login,
and answers a request for one too many with error 101: then fewer are known to be ours, until more are tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from events.clock import monotonic

FORGIVE_SECONDS = 600.0  # another program of the same login may have given its lines back


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Symbols by what they are wanted for, each in the order in which it matters, none twice."""

    positions: list[str] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, positions: Iterable[str], signals: Iterable[str], watched: Iterable[str]) -> Wanted:
        """A symbol counts where it matters most."""
        held = list(dict.fromkeys(positions))
        decided = [symbol for symbol in dict.fromkeys(signals) if symbol not in set(held)]
        before = {*held, *decided}
        return cls(positions=held, signals=decided, watched=[symbol for symbol in dict.fromkeys(watched) if symbol not in before])

    def in_order(self) -> list[str]:
        return [*self.positions, *self.signals, *self.watched]


class Lines:
    """`limit` is how many lines we may use now: the setting, or fewer when IB said so lately."""

    def __init__(self, most: int, now: Callable[[], float] = monotonic) -> None:
        self.most = most
        self._now = now
        self._told = most
        self._told_at = 0.0

    @property
    def limit(self) -> int:
        if self._told < self.most and self._now() - self._told_at > FORGIVE_SECONDS:
            self._told = self.most
        return self._told

    @property
    def lowered(self) -> bool:
        """IB serves fewer than the setting says."""
        return self.limit < self.most

    def refused(self, used: int) -> None:
        """Error 101 while `used` lines were served."""
        self._told, self._told_at = max(1, min(self._told, used)), self._now()

    def forget(self) -> None:
        """A new session: IB may count anew."""
        self._told = self.most

    def report(self, wanted: Wanted, served: Iterable[str]) -> dict[str, int | bool]:
        """What health says: lines used and allowed, and how many of each kind have no live price."""
        streaming = set(served)
        return {
            "used": len(streaming),
            "limit": self.limit,
            "setting": self.most,
            "positions_without": sum(symbol not in streaming for symbol in wanted.positions),
            "signals_without": sum(symbol not in streaming for symbol in wanted.signals),
            "watched_without": sum(symbol not in streaming for symbol in wanted.watched),
        }
