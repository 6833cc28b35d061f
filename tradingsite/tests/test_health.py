"""/healthz and /readyz: what probes and people are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from events.clock import utc_now
from events.health import health_now
from events.models import WorkerLease
from signals.models import JobLease, PredictionRecord, SourceHealth, WatchListEntry
from tradingsite import health, pulses
from tradingsite.testing.network import free_port
from tradingsite.testing.redis_server import RedisServer
from tradingsite.tests.page_data import fit_to_trade, person

pytestmark = pytest.mark.django_db


def states(client: Client) -> dict[str, str]:
    return {check["id"]: check["state"] for check in client.get("/readyz").json()["checks"]}


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(person("viewer"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_healthz_answers_anybody_and_tells_nothing(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok")


def test_healthz_does_not_touch_the_database(client: Client, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        client.get("/healthz")


def test_ready_only_when_every_part_is_fit_to_trade(client: Client, live_redis) -> None:
    fit_to_trade()
    assert client.get("/readyz").status_code == 200


def test_a_stranger_is_not_told_which_part_is_unfit(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False}


def test_a_worker_that_never_started_is_unknown_and_not_ready(viewer: Client) -> None:
    answer = viewer.get("/readyz")
    assert answer.status_code == 503
    assert states(viewer)["worker"] == "unknown"


@pytest.mark.parametrize(
    ("heartbeat_ago", "lease_state", "expected"),
    [(0, "ready", "ok"), (5, "ready", "ok"), (7, "ready", "down"), (0, "reconciling", "degraded"), (0, "connecting", "degraded")],
)
def test_the_worker_is_fit_only_ready_and_with_a_fresh_heartbeat(
    viewer: Client, heartbeat_ago: float, lease_state: str, expected: str
) -> None:
    fit_to_trade(heartbeat_ago=heartbeat_ago, state=lease_state)
    assert states(viewer)["worker"] == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ok", "ok"),
        ("connected", "ok"),
        ("connecting", "degraded"),
        ("disconnected", "down"),
        ("upstream_lost", "down"),
        ("nonsense", "down"),
    ],
)
def test_the_gateway_is_what_a_live_worker_says_of_it(viewer: Client, word: str, expected: str) -> None:
    fit_to_trade(gateway=word)
    assert states(viewer)["gateway"] == expected


def test_a_dead_workers_word_about_the_gateway_does_not_count(viewer: Client) -> None:
    fit_to_trade(heartbeat_ago=30, gateway="ok")
    assert states(viewer)["gateway"] == "unknown"


def test_a_worker_that_reports_garbage_about_the_gateway_is_not_trusted(viewer: Client) -> None:
    fit_to_trade()
    WorkerLease.objects.update(health={"gateway": "fine, honestly"})
    assert states(viewer)["gateway"] == "unknown"


def test_a_database_whose_clock_differs_is_degraded_by_a_live_workers_word(viewer: Client) -> None:
    fit_to_trade()
    [lease] = WorkerLease.objects.all()
    words = "this computer's clock is 4 s behind the database's; entries wait"
    WorkerLease.objects.update(health=lease.health | {"database": {"state": "degraded", "detail": words, "clock_skew": -4.0}})
    assert health_now()["database"]["detail"] == words
    WorkerLease.objects.update(heartbeat_at=utc_now() - timedelta(seconds=30))
    assert health_now()["database"] == {"state": "ok"}


@pytest.mark.parametrize(("word", "expected"), [("ok", "ok"), ("degraded", "degraded"), ("misconfigured", "down"), ("down", "down")])
def test_the_flow_api_is_what_polling_found(viewer: Client, word: str, expected: str) -> None:
    fit_to_trade()
    SourceHealth.objects.update(state=word)
    assert states(viewer)["flow"] == expected


def test_a_dead_redis_is_down_and_the_rest_still_answers(viewer: Client, settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    fit_to_trade()
    others = ("gateway", "worker", "flow", "polling", "beat", "celery", "database")
    assert states(viewer) == dict.fromkeys(others, "ok") | {"redis": "down"}


def test_without_a_database_the_rest_is_unknown_and_nothing_raises(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def __enter__(self) -> None:
            raise DatabaseError("gone")

        def __exit__(self, *_: object) -> None: ...

    class Away:
        vendor = "sqlite"

        def cursor(self) -> Gone:
            return Gone()

    monkeypatch.setattr(health, "connection", Away())
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False})
    found = {check.name: check.state for check in health.readiness()}
    assert found.pop("database") == "down"
    found.pop("redis")
    assert set(found.values()) == {"unknown"}
    assert {"worker", "gateway", "flow", "polling", "beat", "celery"} == set(found)


def test_refused_input_is_counted_and_shown(viewer: Client) -> None:
    lease = fit_to_trade()
    assert health.check_refused().state == "ok"
    WorkerLease.objects.filter(pk=lease.pk).update(health=lease.health | {"counters": {"refused_frames": 3}})
    PredictionRecord.objects.create(source="api", ticker="AAPL", timestamp=1, received_at=utc_now(), verdict="invalid", reason="NaN")
    found = health.check_refused()
    assert found.state == "degraded"
    assert found.detail == "3 frames of the gateway since the worker started, 1 prediction in 24 h"
    assert "Refused input" in viewer.get("/").content.decode()


def check(client: Client, name: str) -> dict[str, str]:
    return next(each for each in client.get("/readyz").json()["checks"] if each["id"] == name)


@pytest.mark.parametrize(("pulse", "name"), [(pulses.BEAT, "beat"), (pulses.WORKERS, "celery")])
def test_a_celery_that_was_last_seen_minutes_ago_is_down_in_words(viewer: Client, live_redis, pulse: str, name: str) -> None:
    fit_to_trade()
    assert check(viewer, name)["state"] == "ok"
    JobLease.objects.filter(name=pulse).update(slot=int(utc_now().timestamp()) - 185)
    assert viewer.get("/readyz").status_code == 503
    found = check(viewer, name)
    assert found["state"] == "down"
    assert "no sign of life for 3 minutes" in found["detail"]
    assert health_now()["celery"]["state"] == "down"
    JobLease.objects.filter(name=pulse).delete()
    assert check(viewer, name)["state"] == "unknown"
    assert viewer.get("/readyz").status_code == 503


def test_a_symbol_without_a_fresh_answer_makes_the_desk_not_ready_in_words(viewer: Client, live_redis) -> None:
    fit_to_trade()
    SourceHealth.objects.filter(ticker="MSFT").update(last_success=utc_now() - timedelta(minutes=9, seconds=30))
    assert viewer.get("/readyz").status_code == 503
    found = check(viewer, "polling")
    assert found["state"] == "degraded"
    assert found["detail"].startswith("No fresh answer for 1 of 8 symbols: MSFT; the oldest waits 9 minutes.")
    assert "MSFT" in health_now()["flow"]["detail"]


def test_a_symbol_that_was_never_polled_makes_the_desk_not_ready(viewer: Client, live_redis) -> None:
    fit_to_trade()
    WatchListEntry.objects.create(symbol="GOOGL")
    assert viewer.get("/readyz").status_code == 200
    WatchListEntry.objects.filter(symbol="GOOGL").update(added_at=utc_now() - timedelta(minutes=4))
    assert viewer.get("/readyz").status_code == 503
    assert "1 symbol not answered for yet" in check(viewer, "polling")["detail"]


@pytest.fixture
def own_redis(tmp_path, settings) -> Iterator[RedisServer]:
    server = RedisServer(port=free_port(), password="tests-only", folder=tmp_path / "redis")
    server.start()
    settings.REDIS_URL = server.url
    yield server
    server.kill()


@pytest.mark.parametrize(
    ("spoil", "mend", "words"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "it is full"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "it is read-only"),
    ],
)
def test_a_redis_that_answers_but_takes_no_writes_is_down_in_words(viewer: Client, own_redis, spoil, mend, words: str) -> None:
    fit_to_trade()
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert viewer.get("/readyz").status_code == 200
    own_redis.command(*spoil)
    assert own_redis.answers()
    assert viewer.get("/readyz").status_code == 503
    assert check(viewer, "redis")["detail"].startswith(words)
    own_redis.command(*mend)
    assert viewer.get("/readyz").status_code == 200


def test_a_database_that_answers_but_takes_no_writes_is_down(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fit_to_trade()
    kept = JobLease.objects.count()
    assert health.check_database().state == "ok"
    assert JobLease.objects.count() == kept
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA query_only = 1")
        else:
            connection.check_constraints()  # what is left to check at the end would write locks
            cursor.execute("SET TRANSACTION READ ONLY")
    try:
        found = health.check_database()
    finally:
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA query_only = 0")
    assert found.state == "down"
    assert found.detail.startswith("it takes no writes: ")
