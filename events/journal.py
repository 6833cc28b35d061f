"""The journal: every event once, in order, durable, with the rows that follow from it in the same commit.

The worker's `Journal` collects events on its loop and writes them from one database thread; while a batch is being
committed the next one gathers, so a burst costs few commits and a single event waits for nobody. `projections` turn the
batch into order, fill and position rows inside the same transaction, and `fence` refuses a worker that lost its lease.

If a commit fails the events stay queued, in order, and are tried again; whoever waits in `commit()` hears JournalFailed.
A commit whose answer was lost may have succeeded: the next try looks before it writes.
A batch that the database refuses for what is in it is halved until the event to blame stands alone: that one is set aside
in a row of its own, whole, `on_refused` hears of it, and all others are written in their order.

    JournalError
    ├── JournalFailed   not durable (yet); nothing may be said to the broker
    └── Fenced          another worker holds the lease: this one must stop
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import InterfaceError, OperationalError, connection, connections, transaction

from events.base import BaseEvent
from events.bus import EventBus
from events.clock import utc_now
from events.encoding import COLUMNS, Row, to_row
from events.failpoints import failpoint
from events.feed import publish
from events.models import EventRecord, SetAside
from events.rows import tape_row

log = logging.getLogger(__name__)

MAX_BATCH = 1000  # events in one transaction
RETRY_SECONDS = 0.5
REFUSED_AFTER = 2  # refusals of one batch before its content is blamed; a broken connection never is
CLOSING_TRIES = 4
_LOCK_KEY = 7_305_770_418  # any number; the same for all writers of one database

Batch = Sequence[tuple[BaseEvent, int]]
Projection = Callable[[Batch, int], None]


class JournalError(Exception):
    """Root of the journal's errors."""


class JournalFailed(JournalError):
    """The events are not durable yet."""


class Fenced(JournalError):
    """The epoch is stale: a newer worker owns the money rows."""


class Journal:
    """The worker's journal. Use from its loop; `append` from anywhere on it, `await commit()` before speaking to the broker."""

    def __init__(
        self,
        *,
        projections: Sequence[Projection] = (),
        fence: Callable[[], None] | None = None,
        epoch: int = 0,
        on_durable: Callable[[Batch], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
        on_refused: Callable[[BaseEvent, str], None] | None = None,
    ) -> None:
        self.epoch = epoch
        self.last_seq = 0
        self.written = 0
        self.refused = 0  # events set aside
        self._projections = tuple(projections)
        self._fence = fence
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._on_refused = on_refused  # gets the event and the database's words, once it is safely set aside
        self._waiting: deque[tuple[BaseEvent, Row]] = deque()
        self._appended = 0  # events ever appended; `written` and `refused` together catch up with it
        self._refusals = 0  # times the batch at the head was refused
        self._suspects = 0  # events at the head among which one was refused
        self._limit = MAX_BATCH  # of a batch; halved while a suspect is sought
        self._unsure = 0  # events at the head that failed together, and may be written all the same
        self._sealed = False
        self._committers: list[tuple[int, asyncio.Future[None]]] = []  # (how many must be written, who waits)
        self._writer: asyncio.Task[None] | None = None
        self._fenced: Fenced | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    async def attach(self, bus: EventBus) -> None:
        """Hear everything on the bus that is to be remembered."""
        await bus.subscribe(BaseEvent, self.append, core=True)

    def append(self, event: BaseEvent) -> None:
        """Queue `event` as it is now. Raises at once for what cannot be written, so that it cannot block the rest."""
        if not event.journaled:
            return
        if self._fenced:
            raise self._fenced
        if self._sealed:
            log.warning("not written, because the journal is sealed: %s", event)
            return
        self._waiting.append((event, to_row(event)))
        self._appended += 1
        self._start()

    async def commit(self) -> None:
        """Return when all appended so far is durable; raises JournalFailed or Fenced."""
        if self._fenced:
            raise self._fenced
        if self._settled >= self._appended:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._committers.append((self._appended, done))
        self._start()
        await done

    def seal(self) -> None:
        """Take no more events: what they tell of is not trusted. Those appended before are still written."""
        self._sealed = True

    async def close(self) -> None:
        """Write what is left, if it can be written, and end the thread."""
        for _ in range(CLOSING_TRIES):
            try:
                await self.commit()
                break
            except JournalError as error:
                log.error("the journal closes with %d events unwritten: %s", len(self._waiting), error)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
        self._thread.shutdown()

    @property
    def _settled(self) -> int:
        return self.written + self.refused

    def _start(self) -> None:
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        """Write batch after batch until nothing waits; ends by itself."""
        loop = asyncio.get_running_loop()
        while self._waiting and not self._fenced:
            batch = [self._waiting[i] for i in range(min(self._limit, self._suspects or MAX_BATCH, len(self._waiting)))]
            try:
                numbered = await loop.run_in_executor(self._thread, self._write, batch)
            except Fenced as error:
                self._fenced = error
                self._fail(error)
            except Exception as error:
                await self._after_failure(batch, error)
            else:
                self._written(numbered)

    async def _after_failure(self, batch: list[tuple[BaseEvent, Row]], error: Exception) -> None:
        """Try again while it may be the database's trouble; look for the event to blame when it is the content's."""
        content = not isinstance(error, OperationalError | InterfaceError)
        if not self._suspects or not content:
            self._fail(error)
            self._refusals += content
            self._unsure = len(batch)
            if self._refusals >= REFUSED_AFTER:
                self._suspects, self._limit, self._unsure = len(batch), max(1, len(batch) // 2), 0
            await asyncio.sleep(RETRY_SECONDS)
        elif len(batch) > 1:
            self._limit = len(batch) // 2
        else:
            await self._refuse(batch[0], error)

    async def _refuse(self, entry: tuple[BaseEvent, Row], error: Exception) -> None:
        words = f"{type(error).__name__}: {error}".strip()[:500]
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._set_aside, entry, words)
        except Fenced as fenced:
            self._fenced = fenced
            self._fail(fenced)
            return
        except Exception as failure:
            self._fail(failure)
            await asyncio.sleep(RETRY_SECONDS)
            return
        log.error("the database refused %s, which was set aside: %s", entry[0], words)
        self._waiting.popleft()
        self.refused += 1
        self._fail(error)  # everybody who waits, waits for this event too
        self._trust_again(1)
        if self._on_refused is not None:
            self._on_refused(entry[0], words)

    def _trust_again(self, count: int) -> None:
        """`count` events at the head were written or set aside."""
        self._suspects = max(0, self._suspects - count)
        if not self._suspects:
            self._refusals, self._limit = 0, MAX_BATCH

    def _written(self, numbered: list[tuple[BaseEvent, int]]) -> None:
        for _ in numbered:
            self._waiting.popleft()
        self._unsure = 0
        self.written += len(numbered)
        self.last_seq = numbered[-1][1]
        self._trust_again(len(numbered))
        for goal, done in self._committers:
            if goal <= self._settled and not done.done():
                done.set_result(None)
        self._committers = [waiting for waiting in self._committers if waiting[0] > self._settled]
        if self._on_durable is not None:
            self._on_durable(numbered)

    def _fail(self, error: Exception) -> None:
        log.error("the journal could not be written (%d events wait): %s", len(self._waiting), error, exc_info=error)
        waiting, self._committers = self._committers, []
        for _, done in waiting:
            if not done.done():
                done.set_exception(error if isinstance(error, Fenced) else JournalFailed(f"{type(error).__name__}: {error}"))
        if self._on_failure is not None:
            self._on_failure(error)

    def _write(self, batch: list[tuple[BaseEvent, Row]]) -> list[tuple[BaseEvent, int]]:
        """In the database thread: one transaction for the batch and all that follows from it."""
        try:
            failpoint("journal.begin")
            with transaction.atomic():
                if self._fence is not None:
                    self._fence()
                if self._unsure and (found := self._found(batch[: self._unsure])):
                    return found
                first = insert_rows([row for _, row in batch], epoch=self.epoch)
                failpoint("journal.events")
                numbered = [(event, seq) for seq, (event, _) in zip(first, batch, strict=True)]
                for project in self._projections:
                    project(numbered, self.epoch)
                failpoint("journal.rows")
            failpoint("journal.committed")
            return numbered
        except Exception:
            connection.close()  # it may be the connection that is broken; the next try opens a new one
            raise

    def _found(self, batch: list[tuple[BaseEvent, Row]]) -> list[tuple[BaseEvent, int]]:
        """The batch with its seqs, if a commit that seemed to fail wrote it; they are newer than what we know to be written."""
        ids = [event.event_id for event, _ in batch]
        rows = EventRecord.objects.filter(event_id__in=ids, seq__gt=self.last_seq).values_list("event_id", "seq")
        seqs = {str(event_id): seq for event_id, seq in rows}
        return [(event, seqs[event.event_id]) for event, _ in batch] if len(seqs) == len(batch) else []

    def _set_aside(self, entry: tuple[BaseEvent, Row], words: str) -> None:
        """In the database thread: keep the event whole, outside the journal that would not take it."""
        event, row = entry
        try:
            with transaction.atomic():
                if self._fence is not None:
                    self._fence()
                content = {"at": utc_now(), "epoch": self.epoch, "reason": words, "content": row[9].decode()}
                SetAside.objects.update_or_create(key=f"event {event.event_id}", defaults={"kind": SetAside.Kind.EVENT, **content})
        except Exception:
            connection.close()
            raise


def record_event(event: BaseEvent, epoch: int = 0) -> int:
    """Journal one event from Celery or the web, inside the caller's transaction if there is one; returns its seq."""
    with transaction.atomic():
        [seq] = insert_rows([to_row(event)], epoch=epoch)
        transaction.on_commit(lambda: publish("tape", [tape_row(event.to_dict(), seq)]), robust=True)
    return seq


def insert_rows(rows: Sequence[Row], *, epoch: int) -> list[int]:
    """Insert journal rows in order, inside a transaction, and return their seqs. Seqs become visible in their order."""
    if connection.vendor == "postgresql":
        return _copy_rows(rows, epoch)
    return _insert_many(rows, epoch)


_TABLE = "events_eventrecord"


def _insert_many(rows: Sequence[Row], epoch: int) -> list[int]:
    """SQLite: the transaction is IMMEDIATE, so nobody else can take a seq between reading the last one and writing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [_TABLE])
        last = cursor.fetchone()
        first = (last[0] if last else 0) + 1
        marks = ", ".join(["%s"] * len(COLUMNS))
        cursor.executemany(
            f"INSERT INTO {_TABLE} ({', '.join(COLUMNS)}) VALUES ({marks})",  # noqa: S608 - constants only
            [_sqlite_values(seq, row, epoch) for seq, row in enumerate(rows, first)],
        )
    return list(range(first, first + len(rows)))


def _sqlite_values(seq: int, row: Row, epoch: int) -> tuple[Any, ...]:
    at = row[4].replace(tzinfo=None).isoformat(" ")  # as Django writes it; an event's time is always UTC
    return (seq, *row[:4], at, *row[5:9], epoch, row[9].decode())


def _copy_rows(rows: Sequence[Row], epoch: int) -> list[int]:
    """PostgreSQL: one COPY. The lock makes seqs commit in order, so a reader that resumes after a seq misses nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'seq')) FROM generate_series(1, %s)",
            [_TABLE, len(rows)],
        )
        seqs = sorted(row[0] for row in cursor.fetchall())
        with cursor.cursor.copy(f"COPY {_TABLE} ({', '.join(COLUMNS)}) FROM STDIN") as copy:
            for seq, row in zip(seqs, rows, strict=True):
                copy.write_row((seq, *row[:9], epoch, row[9].decode()))
    return seqs
