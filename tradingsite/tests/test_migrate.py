"""`manage.py migrate` is not cut short by the time limit that pages have, on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from django.db import connections
from django.db.utils import load_backend

from tradingsite.management.commands.migrate import without_time_limit
from tradingsite.testing.postgres_server import empty_postgres_database
from tradingsite.testing.processes import LiveProcess

LIMIT = "-c statement_timeout=300 -c idle_in_transaction_session_timeout=10000"


@pytest.fixture
def slow_project(tmp_path: Path, postgres_url: str) -> dict[str, str]:
    """The desk with one more app, whose migration takes four times the limit of a statement."""
    migrations = tmp_path / "slowapp" / "migrations"
    migrations.mkdir(parents=True)
    for folder in (migrations.parent, migrations):
        (folder / "__init__.py").touch()
    (migrations / "0001_slow.py").write_text(
        dedent("""
            from django.db import migrations

            class Migration(migrations.Migration):
                operations = [migrations.RunSQL("SELECT pg_sleep(1.2)", migrations.RunSQL.noop)]
        """)
    )
    (tmp_path / "slow_settings.py").write_text(
        dedent(f"""
            from tradingsite.settings import *

            INSTALLED_APPS = [*INSTALLED_APPS, "slowapp"]
            DATABASES["default"]["OPTIONS"] = {{"options": "{LIMIT}"}}
        """)
    )
    return {
        "DATABASE_URL": empty_postgres_database(),
        "DATA_DIR": str(tmp_path / "var"),
        "DJANGO_SETTINGS_MODULE": "slow_settings",
        "PYTHONPATH": str(tmp_path),
    }


def test_a_migration_that_takes_longer_than_a_page_may_is_run_to_its_end(slow_project: dict[str, str], tmp_path: Path) -> None:
    process = LiveProcess.manage("migrate", "migrate", "slowapp", environment=slow_project, folder=tmp_path)
    process.start()
    try:
        assert process.wait(seconds=120) == 0, process.output
    finally:
        process.reap()
    assert "Applying slowapp.0001_slow... OK" in process.output


@pytest.mark.django_db
def test_the_limit_holds_again_after_the_migrations(postgres_url: str) -> None:
    settings = connections["default"].settings_dict | {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"options": LIMIT}}
    host, _, rest = postgres_url.rpartition("@")[2].partition(":")
    port, _, name = rest.partition("/")
    settings |= {"HOST": host, "PORT": port, "NAME": name, "USER": postgres_url.split("//")[1].split("@")[0].split(":")[0]}
    link = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "limits")

    def limit() -> str:
        with link.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            return str(cursor.fetchone()[0])

    try:
        assert limit() == "300ms"
        with without_time_limit(link):
            assert limit() == "0"
        assert limit() == "300ms"
    finally:
        link.close()
