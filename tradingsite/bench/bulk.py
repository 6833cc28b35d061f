"""Rows by the hundred thousand into a table of ours: COPY on PostgreSQL, executemany on SQLite. For data that is made, not traded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from django.core.management.color import no_style
from django.db import connection, models

CHUNK = 20_000

Adapt = Callable[[Any], Any]


class Table:
    """Gathers rows (attribute name → value; times aware or as ISO text in UTC, JSON as objects) and writes them in chunks.

    A column that a row leaves out takes its default; a key that counts is left to the database unless the rows are `keyed`.
    """

    def __init__(self, model: type[models.Model], *, keyed: bool = False) -> None:
        fields = [field for field in model._meta.concrete_fields if keyed or not isinstance(field, models.AutoField)]
        self._name = model._meta.db_table
        self._columns = [field.column for field in fields]
        self._read = [(field.attname, _default(field), _adapt(field)) for field in fields]
        self._rows: list[tuple[Any, ...]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        values = ((row.get(name, default), adapt) for name, default, adapt in self._read)
        self._rows.append(tuple(value if value is None else adapt(value) for value, adapt in values))
        if len(self._rows) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        columns = ", ".join(f'"{column}"' for column in self._columns)
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                with cursor.cursor.copy(f'COPY "{self._name}" ({columns}) FROM STDIN') as copy:
                    for row in rows:
                        copy.write_row(row)
                return
            marks = ", ".join(["?"] * len(self._columns))
            cursor.cursor.connection.executemany(f'INSERT INTO "{self._name}" ({columns}) VALUES ({marks})', rows)  # noqa: S608 - own names


def _default(field: models.Field[Any, Any]) -> Any:
    if field.has_default():
        return field.get_default()
    return "" if isinstance(field, models.CharField | models.TextField) and not field.null else None


def _adapt(field: models.Field[Any, Any]) -> Adapt:
    if isinstance(field, models.JSONField):
        return lambda value: orjson.dumps(value).decode()
    if connection.vendor == "postgresql":
        return lambda value: value
    if isinstance(field, models.DateTimeField):
        return _sqlite_time
    if isinstance(field, models.BooleanField):
        return int
    if isinstance(field, models.DecimalField | models.DateField):
        return str
    return lambda value: value


def _sqlite_time(value: datetime | str) -> str:
    """As the SQLite backend stores it: UTC without its name."""
    text = value if isinstance(value, str) else value.astimezone(UTC).isoformat()
    return text[:-6].replace("T", " ")


def prepare_for_bulk() -> None:
    """This session may take as long as it needs and does not wait for the disk."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET synchronous_commit = off")
        else:
            cursor.execute("PRAGMA synchronous = OFF")
            cursor.execute("PRAGMA cache_size = -400000")


def finish_bulk(written: list[type[models.Model]]) -> None:
    """Counters behind the rows, and the statistics that a database of that age has."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), written):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
        else:
            cursor.execute("PRAGMA optimize")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
