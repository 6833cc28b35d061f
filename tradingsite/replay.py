"""Proof that the journal is the whole truth: fold it from empty and compare the result, row for row, with the live tables.

The fold is the worker's own projection (`positions.store.project`), run in a thread whose default database is a new one
in memory, so nothing of the live tables can leak into it. Journal and tables are read in one snapshot: a running worker
neither waits nor disturbs. What is not journaled is left out by name, below, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection, connections, models, transaction
from django.db.utils import load_backend

from events.base import BaseEvent, EventError
from events.clock import utc_now
from events.journal import record_event
from events.models import EventRecord, JournalCheck
from events.system import JournalCheckedEvent
from positions.models import BrokerHolding, EquityPoint, FillRecord, OrderRecord, PositionRecord
from positions.store import project

CHUNK = 2_000
KEPT_WHOLE = timedelta(days=2)  # equity points younger than this are never thinned
MOST_TOLD = 50  # differences kept; the count is of all
Row = dict[str, Any]

# A price moves an open position many times a second and is never journaled: the tracker writes these beside the journal.
# They are compared once the position is closed, when its last event carries them.
MARKS = frozenset(
    {"current_price", "price_at", "unrealized_pnl", "max_favorable", "max_adverse", "r_multiple", "updated_at", "version", "epoch"}
)
MARKS_IN_DATA = frozenset(
    {
        *("v", "at", "last", "last_at", "unrealized_pnl", "unrealized_pct", "stop_distance_pct", "open_risk"),
        *("r_multiple", "mfe", "mae", "extremes", "drawdown"),
    }
)
MARKS_OF_TRAIL = frozenset({"best", "distance"})  # what a trailing stop has seen; its moves are journaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is compared: rows by their key columns, all columns but `without`."""

    model: type[models.Model]
    key: tuple[str, ...]
    without: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.model.__name__


TABLES = (
    Table(model=OrderRecord, key=("order_id",)),
    Table(model=FillRecord, key=("exec_id",), without=frozenset({"id"})),  # numbered by the table
    Table(model=PositionRecord, key=("position_id",)),
    Table(model=BrokerHolding, key=("account", "symbol"), without=frozenset({"id"})),
    Table(model=EquityPoint, key=("account", "at"), without=frozenset({"id", "resolution"})),  # housekeeping names resolutions
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that the journal and the table tell differently; a whole missing row has the column "row"."""

    table: str
    key: str
    column: str
    journal: str
    live: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.column} is {self.live} in the table and {self.journal} by the journal"


@dataclass(slots=True, kw_only=True)
class Replay:
    """What a comparison found. `thinned` counts equity points that housekeeping has removed since."""

    events: int = 0
    last_seq: int = 0
    rows: dict[str, int] = field(default_factory=dict)  # table → rows that the journal makes
    thinned: int = 0
    count: int = 0  # of differences
    differences: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not self.count

    def add(self, difference: Difference) -> None:
        self.count += 1
        if len(self.differences) < MOST_TOLD:
            self.differences.append(difference)


def verify() -> Replay:
    """Fold and compare. Reads only."""
    replay = Replay()
    with one_snapshot(), Scratch() as scratch:
        for epoch, batch in _batches(replay):
            scratch.run(_project, batch, epoch)
        for table in TABLES:
            _compare(table, scratch.run(_rows, table), _rows(table), replay)
    return replay


def remember(replay: Replay) -> None:
    """Keep when the journal was last compared and when it was last equal; the overview shows it, and a difference is an event."""
    now = utc_now()
    told = [str(difference) for difference in replay.differences[:5]]
    values: dict[str, Any] = {"checked_at": now, "equal": replay.equal, "events": replay.events, "detail": "\n".join(told)[:2000]}
    if replay.equal:
        values["equal_at"] = now
    with transaction.atomic():
        before = JournalCheck.objects.first()
        JournalCheck.objects.update_or_create(pk=1, defaults=values)
        if not replay.equal or (before is not None and not before.equal):
            event = JournalCheckedEvent(equal=replay.equal, events=replay.events, differences=replay.count, detail="; ".join(told)[:500])
            record_event(event)


# --- the fold ---------------------------------------------------------------------------------------------------------


class Scratch:
    """A thread whose default database is empty, in memory and its own, with the projected tables made."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay")

    def __enter__(self) -> Scratch:
        self.run(_open_scratch)
        return self

    def __exit__(self, *_: object) -> None:
        self.run(lambda: connections["default"].connection.close())
        self._thread.shutdown()

    def run(self, function: Any, *args: Any) -> Any:
        return self._thread.submit(function, *args).result()


def _open_scratch() -> None:
    settings = connections.configure_settings({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})["default"]
    backend = load_backend(settings["ENGINE"])
    connections["default"] = backend.DatabaseWrapper(settings, "default")  # of this thread only
    with connections["default"].schema_editor() as editor:
        for table in TABLES:
            editor.create_model(table.model)


def _project(batch: Sequence[tuple[BaseEvent, int]], epoch: int) -> None:
    with transaction.atomic():
        project(batch, epoch)


def _batches(replay: Replay) -> Iterator[tuple[int, list[tuple[BaseEvent, int]]]]:
    """(epoch, events with their seqs) in the journal's order; one epoch a batch, as they were written."""
    records = EventRecord.objects.order_by("seq").values_list("epoch", "seq", "data").iterator(chunk_size=CHUNK)
    for epoch, same in groupby(records, key=lambda record: record[0]):
        batch: list[tuple[BaseEvent, int]] = []
        for _, seq, data in same:
            replay.events, replay.last_seq = replay.events + 1, seq
            try:
                batch.append((BaseEvent.from_dict(data), seq))
            except (EventError, TypeError, ValueError) as error:
                replay.add(Difference(table="EventRecord", key=str(seq), column="data", journal=f"unreadable: {error}", live=""))
            if len(batch) == CHUNK:
                yield epoch, batch
                batch = []
        if batch:
            yield epoch, batch


@contextmanager
def one_snapshot() -> Iterator[None]:
    """All reads inside see one moment; nobody is locked out. Inside a transaction it is the caller's."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")  # deferred: a reader, whatever `transaction_mode` says for writers
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


# --- the comparison ---------------------------------------------------------------------------------------------------


def _rows(table: Table) -> dict[tuple[Any, ...], Row]:
    columns = [f.attname for f in table.model._meta.concrete_fields if f.attname not in table.without]
    found = table.model._default_manager.order_by().values(*columns).iterator(chunk_size=CHUNK)
    return {tuple(row[name] for name in table.key): row for row in found}


def _compare(table: Table, folded: dict[tuple[Any, ...], Row], live: dict[tuple[Any, ...], Row], replay: Replay) -> None:
    replay.rows[table.name] = len(folded)
    thinned = _thinned(folded, live) if table.model is EquityPoint else frozenset()
    replay.thinned += len(thinned)
    for key, ours in folded.items():
        theirs = live.get(key)
        if theirs is None and key not in thinned:
            replay.add(_difference(table, key, "row", "there", "missing"))
        elif theirs is not None:
            for column, journal, value in _unequal(table, ours, theirs):
                replay.add(_difference(table, key, column, journal, value))
    for key in live.keys() - folded.keys():
        replay.add(_difference(table, key, "row", "missing", "there"))


def _unequal(table: Table, folded: Row, live: Row) -> Iterator[tuple[str, Any, Any]]:
    """(column, value by the journal, value in the table) for each that differs."""
    marked = table.model is PositionRecord and folded["status"] != "closed"
    for column, value in folded.items():
        if column == "data":
            ours, theirs = (_without_marks(data) for data in (value, live[column])) if marked else (value, live[column])
            for name in sorted(ours.keys() | theirs.keys()):
                if ours.get(name) != theirs.get(name):
                    yield f"data.{name}", ours.get(name), theirs.get(name)
        elif value != live[column] and not (marked and column in MARKS):
            yield column, value, live[column]


def _without_marks(data: Row) -> Row:
    kept = {name: value for name, value in data.items() if name not in MARKS_IN_DATA}
    rules = kept.get("exit_rules")
    if rules and rules.get("trail"):
        trail = {name: value for name, value in rules["trail"].items() if name not in MARKS_OF_TRAIL}
        kept["exit_rules"] = rules | {"trail": trail}
    return kept


def _thinned(folded: dict[tuple[Any, ...], Row], live: dict[tuple[Any, ...], Row]) -> frozenset[tuple[Any, ...]]:
    """Old points that housekeeping may have rolled up: a later one of the same account and day is still there."""
    newest: dict[tuple[str, Any], datetime] = {}
    for account, at in live:
        newest[account, at.date()] = max(at, newest.get((account, at.date()), at))
    horizon = utc_now() - KEPT_WHOLE
    return frozenset(
        (account, at)
        for account, at in folded.keys() - live.keys()
        if at < horizon and (kept := newest.get((account, at.date()))) is not None and kept > at
    )


def _difference(table: Table, key: tuple[Any, ...], column: str, journal: Any, live: Any) -> Difference:
    words = " ".join(part.isoformat() if isinstance(part, datetime) else str(part) for part in key)
    return Difference(table=table.name, key=words, column=column, journal=str(journal)[:120], live=str(live)[:120])
