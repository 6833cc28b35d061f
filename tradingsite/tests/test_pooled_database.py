"""The worker on a PostgreSQL behind a real PgBouncer in transaction mode."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tradingsite.testing.network import free_port
from tradingsite.testing.patience import eventually
from tradingsite.testing.postgres_server import empty_postgres_database
from tradingsite.testing.processes import ROOT, LiveProcess, clean_environment

pytestmark = pytest.mark.processes


@pytest.fixture
def direct(postgres_url: str, tmp_path: Path) -> str:
    """The address of a migrated database."""
    url = empty_postgres_database()
    environment = clean_environment({"DATA_DIR": str(tmp_path / "var"), "DATABASE_URL": url})
    subprocess.run([sys.executable, str(ROOT / "manage.py"), "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
    return url


@pytest.fixture
def worker(direct: str, pooled: Callable[[str, str], str], tmp_path: Path) -> Iterator[Callable[..., LiveProcess]]:
    """`worker(name, **settings)` starts one whose DATABASE_URL is the pooler's; no gateway listens, so it goes on connecting."""
    shared = {"DATA_DIR": str(tmp_path / "var"), "DATABASE_URL": pooled(direct, "transaction"), "IB_PORT": str(free_port())}
    started: list[LiveProcess] = []

    def start(name: str, **settings: str) -> LiveProcess:
        started.append(LiveProcess.manage(name, "ibworker", environment=shared | settings, folder=tmp_path))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.reap()


def test_without_a_direct_address_no_worker_starts_and_it_says_what_to_set(worker: Callable[..., LiveProcess]) -> None:
    refused = worker("refused")
    assert refused.wait() == 1
    assert "set LOCK_DATABASE_URL to PostgreSQL's own address" in refused.output
    assert "Traceback" not in refused.output


def test_with_a_direct_address_one_worker_works_through_the_pooler_and_a_second_is_refused(
    worker: Callable[..., LiveProcess], direct: str
) -> None:
    first = worker("first", LOCK_DATABASE_URL=direct)
    with psycopg.connect(direct, autocommit=True) as link:

        def beats() -> int:
            beat = "SELECT count(*) FROM events_workerlease WHERE pid = %s AND heartbeat_at > started_at"
            return link.execute(beat, [first.pid]).fetchone()[0]  # type: ignore[index]

        eventually(beats, what="the worker leaves heartbeats through the pooler")
        second = worker("second", LOCK_DATABASE_URL=direct)
        assert second.wait() == 75
        assert "another worker is running" in second.output
        assert first.running
        first.kill()
        third = worker("third", LOCK_DATABASE_URL=direct)
        eventually(
            lambda: link.execute("SELECT 1 FROM events_workerlease WHERE pid = %s", [third.pid]).fetchone(),
            what="the next worker has the lock once the first is dead",
        )
