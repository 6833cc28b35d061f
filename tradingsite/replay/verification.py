"""The comparison of journal and tables, whole or since the checkpoint, in stretches that fit any memory.

verify()    all of it, from the first event, in memory; writes nothing
renew()     the same, and leaves a fresh checkpoint in the database
advance()   what came since the checkpoint, and a seventh of all that is older, in a night's seconds
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, Sum, When

from events.clock import monotonic, utc_now
from events.journal import record_event
from events.models import EventRecord, JournalCheck, JournalSegment
from events.system import JournalCheckedEvent
from tradingsite.replay import journal
from tradingsite.replay.checkpoint import NEW_KEY, Checkpoint, Key, Segment, StoredCheckpoint, as_segment
from tradingsite.replay.compare import compare, live_keys
from tradingsite.replay.equity import Point, compare_points, made_by, outside
from tradingsite.replay.fold import Folded, Stretch, fold
from tradingsite.replay.scratch import Scratch, one_snapshot
from tradingsite.replay.seals import RunningSeal
from tradingsite.replay.tables import TABLES, Replay, difference

WORK = "verify-journal"  # the claim of whoever compares
STRETCH = 2_000  # events in one segment
NIGHTS = 7  # until every old event and row was compared again
NIGHT_SECONDS = 25.0
Step = Callable[..., None]


def _no_step(*_: Any, **__: Any) -> None:
    """Nobody holds a claim."""


def verify(step: Step = _no_step) -> Replay:
    """Fold everything from empty and compare everything. Reads only."""
    return _Run(Checkpoint(), step, seconds=None).everything()


def renew(step: Step = _no_step, *, anew: bool = False) -> Replay:
    """The same, and a new checkpoint is sealed on the way. Raises what `step` raises; the next run goes on from there.
    Stretches that were sealed before must still fit their seals; with `anew` they are sealed as they are now."""
    checkpoint = StoredCheckpoint()
    anew = anew or checkpoint.problem == NEW_KEY
    checkpoint.forget(step)
    return _Run(checkpoint, step, seconds=None, anew=anew).everything()


def advance(step: Step = _no_step, *, seconds: float | None = NIGHT_SECONDS) -> Replay:
    """Fold what came since the checkpoint, compare what it changed and a part of what it did not."""
    checkpoint = StoredCheckpoint()
    return _Run(checkpoint, step, seconds=seconds).night(checkpoint)


def remember(replay: Replay) -> None:
    """Keep when the journal was last compared and when it was last equal; the overview shows it, and a difference is an event."""
    now = utc_now()
    told = [str(difference) for difference in replay.differences[:5]]
    values: dict[str, Any] = {"checked_at": now, "equal": replay.equal, "events": replay.events, "detail": "\n".join(told)[:2000]}
    values["scope"] = replay.scope[:300]
    if replay.equal:
        values["equal_at"] = now
    if replay.full:
        values["full_at"] = now
    with transaction.atomic():
        before = JournalCheck.objects.first()
        JournalCheck.objects.update_or_create(pk=1, defaults=values)
        if not replay.equal or (before is not None and not before.equal):
            event = JournalCheckedEvent(equal=replay.equal, events=replay.events, differences=replay.count, detail="; ".join(told)[:500])
            record_event(event)


class _Run:
    """One comparison."""

    def __init__(self, checkpoint: Checkpoint, step: Step, *, seconds: float | None, anew: bool = False) -> None:
        self._checkpoint = checkpoint
        self._anew = anew
        self._step = step
        self._ends = None if seconds is None else monotonic() + seconds
        self._replay = Replay()
        self._touched: set[Key] = set()
        self._unexplained: set[Point] = set()  # equity points that no event of their stretch made

    @property
    def _late(self) -> bool:
        return self._ends is not None and monotonic() > self._ends

    def everything(self) -> Replay:
        with Scratch() as scratch:
            while self._fold(scratch):
                pass
            for table in TABLES:
                keys = sorted(live_keys(table) | self._checkpoint.keys(table.name))
                self._replay.rows[table.name] = len(self._checkpoint.keys(table.name))
                self._compare(table, keys, scratch)
        self._replay.scope, self._replay.full = "all of it, from the first event", True
        self._explain_points()
        self._points_outside()
        return self._finished()

    def night(self, checkpoint: StoredCheckpoint) -> Replay:
        if checkpoint.problem:
            self._replay.add(difference("JournalCheckpoint", checkpoint.seq, "seal", checkpoint.problem, "different"))
            return self._finished()
        known, again = checkpoint.events, 0
        with Scratch() as scratch:
            all_new = not self._fold(scratch)  # one stretch at least, or slow nights would never come forward
            while not self._late and not all_new:
                all_new = not self._fold(scratch)
            if all_new:
                self._compare_touched(scratch)
                again = self._again(checkpoint, scratch)
                self._points_outside()
        self._explain_points()
        new = f"{checkpoint.events - known:,} new events"
        rest = f"{again:,} older ones and a {NIGHTS}th of the rows"
        if self._late:
            rest = (
                f"{again:,} older ones; the night's time was over, the rest follows"
                if all_new
                else "the night's time was over, the rest follows"
            )
        self._replay.scope = f"{new}, {rest}"
        return self._finished()

    def _finished(self) -> Replay:
        for table, key in sorted(self._checkpoint.broken):
            self._replay.add(difference("JournalHead", f"{table} {key}", "seal", "sealed", "different"))
        self._replay.events, self._replay.last_seq = self._checkpoint.events, self._checkpoint.seq
        return self._replay

    # --- new events ---------------------------------------------------------------------------------------------------

    def _fold(self, scratch: Scratch) -> bool:
        """Fold the next stretch; False when there is none."""
        checkpoint, before = self._checkpoint, self._checkpoint.newest()
        sealed = self._next_sealed(checkpoint.seq)
        if sealed is not None:
            folded = fold(journal.records(sealed), checkpoint, scratch, self._step, sealed.archive)
        else:
            last = journal.end_of_stretch(checkpoint.seq, STRETCH)
            folded = fold(journal.read(checkpoint.seq + 1, last), checkpoint, scratch, self._step)
        if folded is None and sealed is None:
            return False
        segment = self._sealed_as_before(sealed, folded)
        if folded is not None:
            for found in folded.unreadable:
                self._replay.add(found)
            self._unexplained |= compare_points(folded.points, self._window(before, segment), self._replay)
            self._unexplained -= folded.points.keys()
            self._touched |= folded.heads.keys()
        heads = folded.heads if folded is not None else {}
        checkpoint.advance(segment, heads, lambda: self._step(f"folded up to event {segment.last_seq}", fence=True))
        return True

    def _sealed_as_before(self, sealed: Segment | None, folded: Folded | None) -> Segment:
        """The stretch as it is now, or as it was sealed when the two differ: what was done to it is told again each time."""
        if folded is not None and (sealed is None or self._anew or folded.segment.seal == sealed.seal):
            return folded.segment
        if sealed is None:
            raise ValueError("neither a sealed stretch nor a folded one")
        if not self._anew:
            self._replay.add(_broken(sealed, 0 if folded is None else folded.segment.events))
        return sealed

    def _compare_touched(self, scratch: Scratch) -> None:
        for table in TABLES:
            self._compare(table, sorted(key for name, key in self._touched if name == table.name), scratch)

    def _next_sealed(self, after: int) -> Segment | None:
        """A stretch that was sealed before is folded again as it was, or its seal could not be compared."""
        row = JournalSegment.objects.filter(first_seq__gt=after).order_by("first_seq").first()
        return None if row is None else as_segment(row)

    def _window(self, before: Segment | None, segment: Segment) -> tuple[datetime, datetime]:
        """From the end of the stretch before to the end of this one: (after, up to). Also when a clock was set back between them."""
        begins = segment.first_at - timedelta(microseconds=1)
        return (begins if before is None else min(before.last_at, begins)), segment.last_at

    def _compare(self, table: Any, keys: list[str], scratch: Scratch) -> None:
        for start in range(0, len(keys), 400):
            if self._late:
                return
            self._step(f"comparing {table.name}")
            compare(table, keys[start : start + 400], self._checkpoint, scratch, self._replay)

    # --- what is older ------------------------------------------------------------------------------------------------

    def _again(self, checkpoint: StoredCheckpoint, scratch: Scratch) -> int:
        """A part of the rows and of the events that were compared before; returns how many events."""
        for table in TABLES:
            ours, theirs = checkpoint.keys(table.name), live_keys(table)
            every = sorted(ours | theirs)
            part = every[len(every) * checkpoint.part // NIGHTS : len(every) * (checkpoint.part + 1) // NIGHTS]
            self._replay.rows[table.name] = len(ours)
            self._compare(table, sorted({*part, *(ours ^ theirs)}), scratch)
        self._count(checkpoint)
        if not self._late:  # else the same part is compared again
            checkpoint.part = (checkpoint.part + 1) % NIGHTS
        with transaction.atomic():
            self._step(fence=True)
            checkpoint.save()
        return self._old_segments(checkpoint)

    def _count(self, checkpoint: StoredCheckpoint) -> None:
        """An event that is gone is noticed in the same night. All are counted, by the narrowest index; stretches only if need be."""
        with one_snapshot():
            found = EventRecord.objects.count() - EventRecord.objects.filter(seq__gt=checkpoint.seq).count()
        sealed = JournalSegment.objects.filter(last_seq__lte=checkpoint.seq)
        in_table = Sum(Case(When(archive="", then="events"), default="kept"))
        if found == (sealed.aggregate(count=in_table)["count"] or 0):
            return
        for row in sealed.order_by("first_seq").iterator(500):
            self._step()
            expected = row.kept if row.archive else row.events
            found = EventRecord.objects.filter(seq__gte=row.first_seq, seq__lte=row.last_seq).count()
            if found != expected:
                self._replay.add(difference("EventRecord", f"{row.first_seq} to {row.last_seq}", "count", expected, found))
        if self._replay.equal:
            self._replay.add(difference("EventRecord", f"up to {checkpoint.seq}", "count", checkpoint.events, "different"))

    def _old_segments(self, checkpoint: StoredCheckpoint) -> int:
        """Those whose seal was compared longest ago, until a night's share of the events or its time is used up."""
        again, began = 0, utc_now()
        while again < checkpoint.events / NIGHTS and not self._late:
            row = JournalSegment.objects.filter(checked_at__lt=began, last_seq__lte=checkpoint.seq).order_by("checked_at").first()
            if row is None:
                break
            self._check_again(as_segment(row))
            again += row.events
            JournalSegment.objects.filter(pk=row.pk).update(checked_at=utc_now())
        return again

    def _check_again(self, segment: Segment) -> None:
        before = JournalSegment.objects.filter(last_seq__lt=segment.first_seq).order_by("first_seq").last()
        stretch, running, count = Stretch(), RunningSeal("" if before is None else before.seal), 0
        for count, record in enumerate(journal.records(segment), 1):
            running.add(record)
            if record[journal.TYPE] == "EquityEvent":  # all others were read when they were sealed as they are
                stretch.add(record)
            if count % 500 == 0:
                self._step(f"looking at event {record[journal.SEQ]} again")
        if running.hexdigest() != segment.seal:
            self._replay.add(_broken(segment, count))
        window = self._window(None if before is None else as_segment(before), segment)
        self._unexplained |= compare_points(stretch.points, window, self._replay)

    def _explain_points(self) -> None:
        """A clock that was set back puts a point's event into another stretch than its neighbours'."""
        unexplained = self._unexplained
        for point in sorted(unexplained - made_by(unexplained, self._checkpoint.all(), self._step)):
            self._replay.add(difference("EquityPoint", point, "row", "missing", "there"))

    def _points_outside(self) -> None:
        """Points of times at which no event is. Only at the journal's end: before it, all that follows would be outside."""
        times = [(segment.first_at, segment.last_at) for segment in self._checkpoint.all()]
        first, last = min((at for at, _ in times), default=None), max((at for _, at in times), default=None)
        for point in sorted(outside(first, last, self._checkpoint.seq)):
            self._replay.add(difference("EquityPoint", point, "row", "missing", "there"))


def _broken(segment: Segment, found: int) -> Any:
    told = f"sealed with {segment.events} events"
    return difference("EventRecord", f"{segment.first_seq} to {segment.last_seq}", "seal", told, f"{found} events, changed or missing")
