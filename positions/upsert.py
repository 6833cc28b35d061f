"""INSERT … ON CONFLICT … DO UPDATE … WHERE, which Django's bulk_create cannot say; the same SQL on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, models, transaction


class Upsert:
    """Insert rows of `model`, or change the one with the same `key` (column names) where `only_if` holds.

    `only_if` and the expressions of `update` speak of the row to be written as {new} and the stored one as {old}.
    Without `update`, every column but the key is overwritten.
    """

    def __init__(self, model: type[models.Model], *, key: str, only_if: str = "", update: dict[str, str] | None = None) -> None:
        self._fields: list[Any] = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
        keys = {name.strip() for name in key.split(",")}
        table = model._meta.db_table
        names = {"new": "excluded", "old": f'"{table}"'}
        changes = update or {f.column: f'{{new}}."{f.column}"' for f in self._fields if f.column not in keys}
        assignments = ", ".join(f'"{column}" = {value.format(**names)}' for column, value in changes.items())
        columns = ", ".join(f'"{f.column}"' for f in self._fields)
        marks = ", ".join(["%s"] * len(self._fields))
        self._sql = f'INSERT INTO "{table}" ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {assignments}'  # noqa: S608
        if only_if:
            self._sql += f" WHERE {only_if.format(**names)}"

    def rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """All rows or none, in one commit. Each is field name → Python value, with every field given."""
        if not rows:
            return
        values = [[f.get_db_prep_save(row[f.attname], connection) for f in self._fields] for row in rows]
        with transaction.atomic(savepoint=False), connection.cursor() as cursor:  # else SQLite syncs the disk after every row
            cursor.executemany(self._sql, values)
