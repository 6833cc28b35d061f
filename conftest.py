"""Fixtures for every test; what they stand on is in tradingsite/testing."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest_plugins = [
    "tradingsite.testing.fixtures",
    "tradingsite.testing.live",
    "tradingsite.testing.live_desk",
    "tradingsite.testing.browser",
]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """pytest-django's database; at the end, sessions that a thread or a process under test left open do not keep it alive."""
    yield
    from django.db import connection

    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
