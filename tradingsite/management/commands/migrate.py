"""`manage.py migrate`: Django's own, without the time limit that pages have. An index over years of rows takes as long as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

LIMITS = ("statement_timeout", "idle_in_transaction_session_timeout")


class Command(migrate.Command):
    def handle(self, *args: Any, database: str, **options: Any) -> None:
        with without_time_limit(connections[database]):
            super().handle(*args, database=database, **options)


@contextmanager
def without_time_limit(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Statements of this session may take for ever; afterwards what the settings say holds again."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        for name in LIMITS:
            cursor.execute(f"SET {name} = 0")
    try:
        yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                for name in LIMITS:
                    cursor.execute(f"RESET {name}")
