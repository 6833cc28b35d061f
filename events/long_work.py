"""Long work is claimed once: by a row with a heartbeat, whoever starts it (Celery, a second Celery, a person at the console).

    with working("verify-journal", limit=timedelta(minutes=30)) as work:
        for chunk in chunks:
            ...
            work.step(f"{done} of {all} events")

A claim whose heartbeat is older than STALE belongs to a process that died or hangs, and is taken over. What hung and comes
back has lost its claim: its next `step` raises. A step inside the transaction that deletes or replaces rows is a fence: the
claim's row is written there, so two runners can never both commit.

    LongWorkError
    ├── Held       somebody else is at it, or has done this slot; the sentence says who and since when
    ├── ClaimLost  another process took the work over
    └── TimeIsUp   the work took longer than its own limit
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import Q, QuerySet

from events.clock import monotonic, utc_now
from events.models_upkeep import LongWork

log = logging.getLogger(__name__)

STALE = timedelta(seconds=90)  # without a heartbeat; longer than any one step may take
BEAT_SECONDS = 2.0  # between two heartbeats of a run that steps often
State = LongWork.State


class LongWorkError(Exception):
    """Root of the errors of long work."""


class Held(LongWorkError):
    """One sentence says who is at it, or when it was done."""


class ClaimLost(LongWorkError):
    """Another process took the work over: this one must stop."""


class TimeIsUp(LongWorkError):
    """The work took longer than its own limit."""


class Work:
    """A claim that is held. `outcome` is kept in the row at the end."""

    def __init__(self, *, name: str, claim: int, limit: timedelta) -> None:
        self.name = name
        self.outcome = ""
        self._claim = claim
        self._limit = limit
        self._began = self._beaten = monotonic()

    @property
    def seconds(self) -> float:
        """Since the claim."""
        return monotonic() - self._began

    def step(self, progress: str = "", *, fence: bool = False) -> None:
        """Show life and say how far it is. `fence` writes the row in any case, for use inside a transaction that destroys.
        Raises ClaimLost or TimeIsUp."""
        if self.seconds > self._limit.total_seconds():
            raise TimeIsUp(f"{self.name} took longer than {self._limit}")
        if not fence and monotonic() - self._beaten < BEAT_SECONDS:
            return
        self._beaten = monotonic()
        fields = {"progress": progress[:200]} if progress else {}
        if not self._mine().update(heartbeat_at=utc_now(), **fields):
            raise ClaimLost(f"{self.name} was taken over by another process")

    def end(self, state: State, outcome: str) -> None:
        """Write what came of it, unless somebody else has the work by now."""
        self._mine().update(state=state, outcome=outcome[:500], progress="", finished_at=utc_now())

    def _mine(self) -> QuerySet[LongWork]:
        return LongWork.objects.filter(pk=self.name, claim=self._claim, state=State.RUNNING)


@contextmanager
def working(name: str, *, limit: timedelta, slot: int | None = None) -> Iterator[Work]:
    """Hold the claim for the block. With `slot`, a slot of time that was done before is not done again. Raises Held."""
    work = claim(name, limit=limit, slot=slot)
    try:
        yield work
    except BaseException as error:
        _end(work, State.FAILED, f"{type(error).__name__}: {error}")
        raise
    _end(work, State.DONE, work.outcome)


def claim(name: str, *, limit: timedelta, slot: int | None = None) -> Work:
    """Take the work, or raise Held. One conditional UPDATE decides between any number of claimants, on every database."""
    row, _ = LongWork.objects.get_or_create(name=name)
    now = utc_now()
    if row.state == State.RUNNING and not _is_stale(row, now):
        raise Held(f"{name} is being done by {row.claimed_by} since {row.started_at:%H:%M:%S} UTC{_so_far(row)}")
    if slot is not None and row.state == State.DONE and row.slot >= slot:
        raise Held(f"{name} was done by {row.claimed_by} at {row.finished_at:%Y-%m-%d %H:%M:%S} UTC")
    if row.state == State.RUNNING:
        log.warning("%s is taken over: %s showed no life since %s", name, row.claimed_by, row.heartbeat_at)
    unchanged = Q(pk=name, claim=row.claim, state=row.state, heartbeat_at=row.heartbeat_at)
    fields = {"claimed_by": _who(), "started_at": now, "heartbeat_at": now, "finished_at": None, "progress": ""}
    taken = LongWork.objects.filter(unchanged).update(
        state=State.RUNNING, claim=row.claim + 1, slot=max(row.slot, slot if slot is not None else -1), **fields
    )
    if not taken:
        raise Held(f"{name} was just taken by another process")
    return Work(name=name, claim=row.claim + 1, limit=limit)


def _is_stale(row: LongWork, now: datetime) -> bool:
    """No heartbeat for long, or one from the future: a clock that was set back must not hold the work for hours."""
    return row.heartbeat_at is None or abs(now - row.heartbeat_at) > STALE


def _so_far(row: LongWork) -> str:
    return f" ({row.progress})" if row.progress else ""


def _who() -> str:
    return f"{socket.gethostname()[:80]}, process {os.getpid()}"


def _end(work: Work, state: State, outcome: str) -> None:
    try:
        work.end(state, outcome)
    except DatabaseError as error:  # the heartbeat gets old, and somebody takes the work over
        log.error("the end of %s could not be written: %s", work.name, error)
