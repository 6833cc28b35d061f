"""A database in memory, in a thread of its own, in which the worker's own projection makes rows of events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby

from django.db import connection, connections, transaction
from django.db.utils import load_backend

from events.base import BaseEvent
from positions.store import project
from tradingsite.replay.tables import ADDED_TO, TABLES, Row, Table, rows

Made = Sequence[tuple[Table, Row]]


class Scratch:
    """A thread whose default database is empty, in memory and its own, so nothing of the live tables can leak into it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay")

    def __enter__(self) -> Scratch:
        self._thread.submit(_open).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(lambda: connections["default"].connection.close()).result()
        self._thread.shutdown()

    def project(self, events: Sequence[tuple[BaseEvent, int]], known: Made = ()) -> Made:
        """The rows that (event, epoch) pairs make, in their order, of a database that holds only the rows `known`."""
        return self._thread.submit(_project, events, known).result()


def _open() -> None:
    settings = connections.configure_settings({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})["default"]
    backend = load_backend(settings["ENGINE"])
    connections["default"] = backend.DatabaseWrapper(settings, "default")  # of this thread only
    with connections["default"].schema_editor() as editor:
        for table in TABLES:
            editor.create_model(table.model)


def _project(events: Sequence[tuple[BaseEvent, int]], known: Made) -> Made:
    with transaction.atomic():
        for kept in ADDED_TO:
            old = [kept.model(**row) for table, row in known if table is kept]
            kept.model._default_manager.bulk_create(old, batch_size=200)
        for epoch, same in groupby(events, key=lambda pair: pair[1]):
            project([(event, 0) for event, _ in same], epoch)
        made = [(table, row) for table in TABLES for row in rows(table, table.model._default_manager.all())]
        for table in TABLES:
            table.model._default_manager.all().delete()
    return made


@contextmanager
def one_snapshot() -> Iterator[None]:
    """All reads inside see one moment; nobody is locked out. Inside a transaction it is the caller's. Keep it short."""
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
