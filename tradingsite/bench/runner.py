"""Runs each part of the benchmark in a process of its own, on servers made for it, and gathers the rows.

A part never sees the database, Redis or DATA_DIR of the desk that may be running here.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradingsite.bench.table import Row, unmeasured
from tradingsite.testing.network import free_port
from tradingsite.testing.postgres_server import NoPostgres, empty_postgres_database, postgres_server_url
from tradingsite.testing.processes import LiveProcess
from tradingsite.testing.redis_server import RedisServer

SECONDS = 600  # a part that takes longer is broken

Place = Callable[[Path], Any]


class PartFailed(Exception):
    """A part ended without its rows; the text is the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`measure` names a key of `parts.MEASURES`; `place` gives the environment it runs in."""

    name: str
    measure: str
    place: Place
    suffix: str = ""  # added to each row's name, where the same work is measured in two places
    environment: dict[str, str] = field(default_factory=dict)  # besides what its place gives
    seconds: float = SECONDS


def run(part: Part) -> list[Row]:
    """The part's rows. A part that cannot run here is one row that says so."""
    with tempfile.TemporaryDirectory(prefix="desk-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            with part.place(folder) as environment:
                rows = _rows(part, folder, environment | part.environment)
        except (NoPostgres, PartFailed) as error:
            return [unmeasured(part.name, (str(error).strip().splitlines() or [""])[-1])]
    return [{**row, "name": row["name"] + part.suffix} for row in rows]


def _rows(part: Part, folder: Path, environment: dict[str, str]) -> list[Row]:
    answer = folder / "rows.json"
    process = LiveProcess.manage(
        part.measure, "bench", "--part", part.measure, "--into", str(answer), environment=environment, folder=folder
    )
    process.start()
    try:
        process.wait(seconds=part.seconds)
    finally:
        process.reap()
    if not answer.exists():
        raise PartFailed(process.output[-3000:])
    rows: list[Row] = json.loads(answer.read_text())
    return rows


@contextmanager
def on_sqlite(folder: Path) -> Iterator[dict[str, str]]:
    """A migrated SQLite database."""
    environment = {"DATA_DIR": str(folder / "var"), "SECRET_KEY": "bench-" * 10}
    _migrate(folder, environment)
    yield environment


@contextmanager
def on_postgres(folder: Path) -> Iterator[dict[str, str]]:
    """A migrated PostgreSQL database that really waits for its disk."""
    import psycopg  # not needed for the other parts

    with psycopg.connect(postgres_server_url(), autocommit=True) as link:
        link.execute("ALTER SYSTEM SET fsync = on")
        link.execute("ALTER SYSTEM SET full_page_writes = on")
        link.execute("SELECT pg_reload_conf()")
    environment = {"DATA_DIR": str(folder / "var"), "SECRET_KEY": "bench-" * 10, "DATABASE_URL": empty_postgres_database()}
    _migrate(folder, environment)
    yield environment


@contextmanager
def on_redis(folder: Path) -> Iterator[dict[str, str]]:
    """SQLite and a Redis."""
    redis = RedisServer(free_port(), "bench-only", folder / "redis")
    redis.start()
    try:
        with on_sqlite(folder) as environment:
            yield environment | {"REDIS_URL": redis.url}
    finally:
        redis.kill()


@contextmanager
def on_a_gateway(folder: Path) -> Iterator[dict[str, str]]:
    """SQLite and the simulated gateway."""
    port, control = free_port(), free_port()
    with on_sqlite(folder) as environment:
        options = ("--port", str(port), "--control-port", str(control), "--seed", "7", "--state-dir", str(folder / "gateway"))
        gateway = LiveProcess.manage("ibgateway", "ibgateway", *options, environment=environment, folder=folder)
        gateway.start()
        try:
            yield environment | {"IB_HOST": "127.0.0.1", "IB_PORT": str(port)}
        finally:
            gateway.reap()


@contextmanager
def on_a_desk(folder: Path) -> Iterator[dict[str, str]]:
    """Everything that `manage.py desk` starts, fresh."""
    data_dir = folder / "var"
    environment = {"DATA_DIR": str(data_dir), "PORT": str(free_port()), "DEMO_PASSWORD": "bench only 4711", "DEMO_HISTORY": "false"}
    desk = LiveProcess.manage("desk", "desk", environment=environment, folder=folder)
    desk.start()
    try:
        desk.wait_for_output("Log in at http")
        yield environment
    finally:
        desk.terminate()


def _migrate(folder: Path, environment: dict[str, str]) -> None:
    process = LiveProcess.manage("migrate", "migrate", "-v0", environment=environment, folder=folder)
    process.start()
    if process.wait(seconds=120):
        raise PartFailed(process.output)
