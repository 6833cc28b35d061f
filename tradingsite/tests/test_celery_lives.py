"""Celery through the faults of its Redis: the same process goes on, and /readyz knows when none is left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tradingsite import health, pulses
from tradingsite.testing.network import LOOPBACK, free_port
from tradingsite.testing.patience import eventually
from tradingsite.testing.processes import LiveProcess
from tradingsite.testing.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own_redis(tmp_path: Path, live_environment: dict[str, str]) -> Iterator[RedisServer]:
    """A Redis that only this test's Celery uses."""
    server = RedisServer(port=free_port(), password="tests-only", folder=tmp_path / "redis")
    server.start()
    live_environment["REDIS_URL"] = server.url
    yield server
    server.kill()


def seen(name: str) -> datetime | None:
    return pulses.last_seen().get(name)


def works_on() -> None:
    """A task that was sent from now on is carried out."""
    before = seen(pulses.WORKERS)
    eventually(lambda: seen(pulses.WORKERS) != before, what="the workers leave a new sign of life")


def test_a_redis_that_is_replaced_full_or_read_only_does_not_end_celery(own_redis: RedisServer, live_celery: LiveProcess) -> None:
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    pid = live_celery.pid
    works_on()
    own_redis.command("REPLICAOF", LOOPBACK, free_port())  # as after a failover: the old master has become a replica
    live_celery.wait_for_output("read only replica")
    own_redis.command("REPLICAOF", "NO", "ONE")
    works_on()
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    live_celery.wait_for_output("command not allowed when used memory")
    own_redis.command("CONFIG", "SET", "maxmemory", "0")
    works_on()
    own_redis.kill()
    own_redis.start()
    works_on()
    assert live_celery.running
    assert live_celery.pid == pid


def test_celery_that_is_killed_is_no_longer_ready(own_redis: RedisServer, live_celery: LiveProcess, monkeypatch) -> None:
    def states(now: datetime) -> dict[str, str]:
        return {name: health.check_pulse(pulses.last_seen(), name, now).state for name in (pulses.BEAT, pulses.WORKERS)}

    works_on()
    eventually(lambda: seen(pulses.BEAT), what="beat leaves a sign of life")
    live_celery.reap()
    latest = max(seen(pulses.BEAT), seen(pulses.WORKERS))  # type: ignore[type-var]
    assert set(states(latest).values()) == {"ok"}
    assert set(states(latest + timedelta(seconds=pulses.LIMIT + 1)).values()) == {"down"}
