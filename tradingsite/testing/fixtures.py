"""Services and data every kind of test may ask for."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tradingsite.testing import patience
from tradingsite.testing.pgbouncer import NoPgBouncer, binary, pgbouncer
from tradingsite.testing.postgres_server import NoPostgres, postgres_server_url
from tradingsite.testing.redis_server import RedisServer
from tradingsite.testing.settings import TEST_REDIS_PASSWORD, TEST_REDIS_PORT

_ROWS = pytest.StashKey[tuple[str, Any]]()  # (what migrations wrote, the database blocker) of a transactional test
IN_CI = bool(os.environ.get("CI"))
PROCESS_FIXTURES = {"live_gateway", "live_flowapi", "live_worker", "live_web", "live_celery", "live_desk", "make_desk", "live_environment"}
DATABASE_FIXTURES = {"db", "transactional_db", "live_server"}
BROWSER_FIXTURES = {"page", "browser", "context", "trader_page"}

_relaxed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
hypothesis_settings.register_profile("quick", max_examples=60, **_relaxed)  # type: ignore[arg-type]
# In CI the same examples every time, so that a change is judged by itself; whoever works here meets new ones with each run.
hypothesis_settings.register_profile("ci", max_examples=150, print_blob=True, derandomize=True, **_relaxed)  # type: ignore[arg-type]
hypothesis_settings.register_profile("thorough", max_examples=5_000, **_relaxed)  # type: ignore[arg-type]
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "quick"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Marks by what a test asks for. In-process tests first, then real processes, the browser last: its event loop never ends."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & BROWSER_FIXTURES:
            item.add_marker(pytest.mark.browser)
        if names & PROCESS_FIXTURES:
            item.add_marker(pytest.mark.processes)
        if item.get_closest_marker("django_db") or names & DATABASE_FIXTURES:  # from all others pytest-django keeps the database away
            item.add_marker(pytest.mark.database)
    yield  # -m selects by these marks, and the order is shuffled
    items.sort(key=lambda item: (bool(item.get_closest_marker("browser")), bool(item.get_closest_marker("processes"))))


def unavailable(what: str) -> None:
    """Something the machine lacks: a failure where the machine is ours (CI), else one loud line and a skip."""
    message = f"NOT AVAILABLE: {what}"
    if IN_CI:
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis that settings.REDIS_URL, the channel layer and Celery point to; up for the rest of the run."""
    server = RedisServer(port=TEST_REDIS_PORT, password=TEST_REDIS_PASSWORD, folder=tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def live_redis(redis_server: RedisServer) -> Iterator[RedisServer]:
    """The same, empty at the start of the test; the test may kill() and start() it."""
    redis_server.start()
    redis_server.flush()
    yield redis_server
    redis_server.start()


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """URL of a throwaway PostgreSQL, also while the suite itself runs on SQLite."""
    try:
        return postgres_server_url()
    except NoPostgres as error:
        unavailable(str(error))
        raise


@pytest.fixture
def pooled() -> Iterator[Callable[[str, str], str]]:
    """`pooled(url, mode)`: the URL of that PostgreSQL database behind a real PgBouncer, "transaction" or "session"."""
    try:
        binary()
    except NoPgBouncer as error:
        unavailable(str(error))
    with ExitStack() as started:
        yield lambda url, mode: started.enter_context(pgbouncer(url, mode))


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return patience.eventually


@pytest.fixture(scope="session")
def eventually_async() -> Callable[..., Any]:
    return patience.eventually_async


@pytest.fixture(scope="session")
def migrated_rows(django_db_setup: None, django_db_blocker: Any) -> str:
    """What migrations wrote (groups, single rows, permissions), serialized."""
    from django.db import connection

    with django_db_blocker.unblock():
        return connection.creation.serialize_db_to_string()


@pytest.fixture(autouse=True)
def _migrated_rows_survive(request: pytest.FixtureRequest) -> None:
    """A transactional test ends by emptying all tables; the teardown hook below puts back what migrations had written."""
    marker = request.node.get_closest_marker("django_db")
    transactional = bool(marker and (marker.kwargs.get("transaction") or marker.kwargs.get("reset_sequences")))
    if transactional or {"transactional_db", "live_server", "django_db_reset_sequences"} & set(request.fixturenames):
        rows: str = request.getfixturevalue("migrated_rows")
        request.node.stash[_ROWS] = (rows, request.getfixturevalue("django_db_blocker"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Runs after every fixture's own teardown, pytest-django's flush included."""
    yield
    if _ROWS not in item.stash or nextitem is None:  # after the last test the database itself is gone
        return
    from django.apps import apps
    from django.contrib.contenttypes.models import ContentType
    from django.core.management import call_command
    from django.core.management.color import no_style
    from django.db import connection

    rows, blocker = item.stash[_ROWS]
    with blocker.unblock():
        call_command("flush", verbosity=0, interactive=False, inhibit_post_migrate=True)
        connection.creation.deserialize_db_from_string(rows)
        with connection.cursor() as cursor:  # rows put back under their ids do not move PostgreSQL's counters
            for statement in connection.ops.sequence_reset_sql(no_style(), apps.get_models()):
                cursor.execute(statement)
        ContentType.objects.clear_cache()
        connection.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty DATA_DIR for one test's processes."""
    folder = tmp_path / "var"
    folder.mkdir(mode=0o700)
    return folder
