"""How long a process wanted to run while the machine ran others: the kernel counts it, and no figure of ours should.

A desk on a machine of its own does not wait so. Where the kernel does not tell (macOS), nothing is subtracted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tradingsite.testing.patience import eventually


def told_by_kernel(pid: int) -> float:
    """Seconds the main thread of a process has waited for a processor since it began; 0 when nobody knows."""
    return _waited(Path(f"/proc/{pid}/schedstat"))


def told_of_all_threads(pid: int) -> float:
    """The same of every thread it has: also of those that write its database and answer its requests."""
    try:
        return sum(_waited(thread / "schedstat") for thread in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return 0.0


def _waited(file: Path) -> float:
    try:
        return int(file.read_text().split()[1]) / 1e9
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


AT_LEAST = 0.1  # of the time that passes counts: several processes wait at once, and a watch that stood still would never end a wait


class Runs(Protocol):
    """A process that may be running, and may be another one later."""

    @property
    def running(self) -> bool: ...

    @property
    def pid(self) -> int: ...


class Stopwatch:
    """Runs from its making, and stands still while this process or one of those it watches waits for a processor.

    Read it often: what a process waited is known while it lives.
    """

    def __init__(self, *watched: Runs) -> None:
        self._watched = [(process, Starvation(told_of_all_threads)) for process in watched]
        self._own = Starvation()
        self._began = time.monotonic()
        self._look()

    @property
    def seconds(self) -> float:
        self._look()
        passed = time.monotonic() - self._began
        return max(AT_LEAST * passed, passed - self._starved())

    @property
    def starved(self) -> float:
        """Seconds that do not count."""
        self._look()
        return self._starved()

    def until(self, check: Callable[[], object], *, what: str) -> float:
        """Waits until `check` returns something true; its seconds then."""

        def seen() -> bool:
            came = bool(check())
            self._look()
            return came

        eventually(seen, every=0.02, what=what)
        return self.seconds

    def _look(self) -> None:
        self._own.look(os.getpid())
        for process, starvation in self._watched:
            if process.running:
                starvation.look(process.pid)

    def _starved(self) -> float:
        return self._own.seconds + sum(starvation.seconds for _, starvation in self._watched)
