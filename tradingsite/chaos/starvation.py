"""How long a process wanted to run while the machine ran others: the kernel counts it. Used by the judge's clock.

A desk on a machine of its own does not wait so. Where the kernel does not tell (macOS), nothing is subtracted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def told_by_kernel(pid: int) -> float:
    """Seconds the main thread of a process has waited for a processor since it began; 0 when nobody knows."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Starvation:
    """Of one process after the other; look() often, because a dead one tells nothing any more."""

    def __init__(self, waited: Callable[[int], float] = told_by_kernel) -> None:
        self._waited = waited
        self._before: dict[int, float] = {}
        self._last: dict[int, float] = {}

    def look(self, pid: int) -> None:
        first = not self._last
        now = self._waited(pid)
        self._before.setdefault(pid, now if first else 0.0)  # one that was born meanwhile has waited all its life in our time
        self._last[pid] = max(now, self._last.get(pid, 0.0))

    @property
    def seconds(self) -> float:
        return sum(last - self._before[pid] for pid, last in self._last.items())
