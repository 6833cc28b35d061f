"""The memory of a fold: what the journal makes of each object, and which stretches of the journal were folded.

`Checkpoint` keeps it for the life of one comparison and touches no row. `StoredCheckpoint` keeps it in sealed rows, so that the
next night goes on where this one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from events.clock import utc_now
from events.models import JournalCheckpoint, JournalHead, JournalSegment
from tradingsite.replay.seals import key_name, moved, seal

Key = tuple[str, str]  # table's name, group
AT_ONCE = 400  # keys in one statement
NEW_KEY = "it was sealed with another SECRET_KEY; `manage.py replay --verify` folds everything afresh and seals it anew"
BROKEN = "it is not what was sealed; `manage.py replay --verify` folds everything afresh and seals it anew"


@dataclass(frozen=True, slots=True)
class Head:
    """What the journal makes of one group of rows; `rows` is their JSON where later events need it."""

    version: int
    epoch: int
    seq: int
    digest: str
    rows: str = ""

    def seal(self, key: Key) -> str:
        return seal(*key, self.version, self.epoch, self.seq, self.digest, self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A folded stretch of the journal."""

    first_seq: int
    last_seq: int
    events: int
    first_at: datetime
    last_at: datetime
    seal: str
    archive: str = ""


@dataclass(slots=True)
class Checkpoint:
    """In memory, for one comparison."""

    seq: int = 0
    events: int = 0
    part: int = 0
    last_seal: str = ""
    broken: set[Key] = field(default_factory=set)  # heads that no longer fit their seals
    _heads: dict[Key, Head] = field(default_factory=dict)
    _segments: list[Segment] = field(default_factory=list)

    def heads(self, keys: Iterable[Key]) -> dict[Key, Head]:
        return {key: self._heads[key] for key in keys if key in self._heads}

    def keys(self, table: str) -> set[str]:
        return {key for name, key in self._heads if name == table}

    def advance(self, segment: Segment, heads: dict[Key, Head], fence: Callable[[], None]) -> None:
        """One more stretch was folded."""
        self._heads |= heads
        self._segments.append(segment)
        self._moved_on(segment)

    def _moved_on(self, segment: Segment) -> None:
        self.seq, self.events, self.last_seal = segment.last_seq, self.events + segment.events, segment.seal

    def newest(self) -> Segment | None:
        return self._segments[-1] if self._segments else None

    def all(self) -> Iterable[Segment]:
        """Every stretch up to here, in order."""
        return self._segments


class StoredCheckpoint(Checkpoint):
    """In sealed rows. `problem` says why they cannot be trusted, "" when they can."""

    __slots__ = ("_row", "problem")

    def __init__(self) -> None:
        super().__init__()
        self._row = JournalCheckpoint.objects.first() or JournalCheckpoint(key=key_name())
        self.seq, self.events, self.part = self._row.seq, self._row.events, self._row.part
        self.last_seal = self._row.last_seal
        self.problem = self._problem()

    @property
    def new(self) -> bool:
        return self._row.pk is None

    def heads(self, keys: Iterable[Key]) -> dict[Key, Head]:
        found: dict[Key, Head] = {}
        for table, names in _by_table(keys).items():
            for start in range(0, len(names), AT_ONCE):
                wanted = JournalHead.objects.filter(table=table, key__in=names[start : start + AT_ONCE])
                columns = ("key", "seal", "version", "epoch", "seq", "digest", "rows")
                for name, sealed, version, epoch, seq, digest, rows in wanted.values_list(*columns):
                    head = found[table, name] = Head(version, epoch, seq, digest, rows)
                    if head.seal((table, name)) != sealed:
                        self.broken.add((table, name))
        return found

    def keys(self, table: str) -> set[str]:
        return set(JournalHead.objects.filter(table=table).values_list("key", flat=True).iterator(2_000))

    def advance(self, segment: Segment, heads: dict[Key, Head], fence: Callable[[], None]) -> None:
        """Heads, segment and checkpoint in one commit; `fence` is called inside it."""
        stored = [
            JournalHead(
                table=key[0], key=key[1], version=h.version, epoch=h.epoch, seq=h.seq, digest=h.digest, rows=h.rows, seal=h.seal(key)
            )
            for key, h in heads.items()
        ]
        before = {key: head.seal(key) for key, head in self.heads(heads).items()}
        row = self._row
        for head in stored:
            row.total = moved(row.total, away=before.get((head.table, head.key), ""), to=head.seal)
        row.heads += len(stored) - len(before)
        with transaction.atomic():
            fence()
            JournalHead.objects.bulk_create(
                stored,
                batch_size=100,
                update_conflicts=True,
                unique_fields=["table", "key"],
                update_fields=["version", "epoch", "seq", "digest", "rows", "seal"],
            )
            fields = {name: getattr(segment, name) for name in ("last_seq", "events", "first_at", "last_at", "seal", "archive")}
            JournalSegment.objects.update_or_create(first_seq=segment.first_seq, defaults=fields | {"checked_at": utc_now()})
            self._moved_on(segment)
            self.save()

    def save(self) -> None:
        row = self._row
        row.seq, row.events, row.last_seal, row.part = self.seq, self.events, self.last_seal, self.part
        row.seal = self._seal()
        row.save()

    def newest(self) -> Segment | None:
        row = JournalSegment.objects.filter(last_seq__lte=self.seq).order_by("first_seq").last()
        return None if row is None else as_segment(row)

    def all(self) -> Iterable[Segment]:
        return segments(self.seq)

    def forget(self, step: Callable[[], None]) -> None:
        """Begin anew: no heads, nothing folded. Segments stay, for their seals are what the events are compared with."""
        JournalCheckpoint.objects.all().delete()
        self._row = JournalCheckpoint(key=key_name())
        self.seq, self.events, self.part, self.last_seal, self.problem = 0, 0, 0, "", ""
        while keys := list(JournalHead.objects.values_list("pk", flat=True)[:2_000]):
            JournalHead.objects.filter(pk__in=keys).delete()
            step()

    def _seal(self) -> str:
        row = self._row
        return seal(row.seq, row.events, row.heads, row.total, row.last_seal, row.key)

    def _problem(self) -> str:
        row = self._row
        if row.pk is None:
            return ""
        if row.key != key_name():
            return NEW_KEY
        total, count = "", 0
        for found in JournalHead.objects.values_list("seal", flat=True).iterator(5_000):
            total, count = moved(total, to=found), count + 1
        newest = JournalSegment.objects.filter(last_seq=row.seq).values_list("seal", flat=True).first() or ""
        whole = (row.seal, row.total, row.heads, row.last_seal) == (self._seal(), total or row.total, count, newest)
        return "" if whole else BROKEN


def segments(upto: int) -> Iterator[Segment]:
    """All stored ones that end there or before, in order."""
    for row in JournalSegment.objects.filter(last_seq__lte=upto).order_by("first_seq").iterator(500):
        yield as_segment(row)


def as_segment(row: JournalSegment) -> Segment:
    names = ("first_seq", "last_seq", "events", "first_at", "last_at", "seal", "archive")
    return Segment(**{name: getattr(row, name) for name in names})


def _by_table(keys: Iterable[Key]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, name in keys:
        found.setdefault(table, []).append(name)
    return found
