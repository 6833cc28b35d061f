"""An equity curve without the money that came in or went out: what the account itself made of what was there.

Percent figures need an index, money figures a sum. The index grows only by results: at each cash flow it goes on from where it
stood, with the new amount as its basis (time-weighted return). The sum is equity less all that was paid in. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """`amount` in account currency, a deposit positive; `before` is what the account was worth just before it."""

    at: datetime
    amount: float
    before: float


class FlowAdjusted:
    """`flows` in any order; without any, both figures are the equity itself."""

    def __init__(self, flows: Iterable[Flow] = ()) -> None:
        self.flows: Sequence[Flow] = sorted(flows, key=lambda flow: flow.at)
        self._times = [flow.at for flow in self.flows]
        self._factors, self._paid = [1.0], [0.0]  # by how many flows have been
        index = 0.0
        for flow in self.flows:
            index = flow.before * self._factors[-1] if flow.before > 0 else index
            after = flow.before + flow.amount
            self._factors.append(index / after if after > 0 and index > 0 else self._factors[-1])
            self._paid.append(self._paid[-1] + flow.amount)

    def number(self, at: datetime) -> int:
        """How many flows there have been at that moment."""
        return bisect_right(self._times, at)

    def index(self, at: datetime, equity: float) -> float:
        """Equity as it would be if nothing had been paid in or out since the first flow; only its ratios mean anything."""
        return equity * self._factors[self.number(at)]

    def net(self, at: datetime, equity: float) -> float:
        """Equity less what was paid in up to then, in account currency."""
        return equity - self._paid[self.number(at)]
