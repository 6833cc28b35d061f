"""What every page stands on: roles, the health frame, the snapshots, the page frame and the read-only admin."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.test import Client

from events import context, live
from events.accounts import masked
from events.clock import utc_now
from events.health import HEARTBEAT_LIMIT, health_now
from events.models import CommandRecord, EventRecord, WorkerLease
from events.roles import ADMIN_VERBS, TRADER_VERBS, can

pytestmark = pytest.mark.django_db

Person = Callable[..., Any]


@pytest.fixture
def as_person(person: Person) -> Callable[..., Client]:
    def make(role: str) -> Client:
        client = Client()
        client.force_login(person(role, role=role), backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.mark.parametrize(
    ("role", "trades", "resumes"), [("viewer", False, False), ("trader", True, False), ("admin", True, True), ("nobody", False, False)]
)
def test_each_role_may_do_what_its_table_says_and_nothing_else(person: Person, role: str, trades: bool, resumes: bool) -> None:
    user = person(role=role)
    assert can(user, "view")
    assert {can(user, verb) for verb in TRADER_VERBS} == {trades}
    assert {can(user, verb) for verb in ADMIN_VERBS} == {resumes}
    assert not can(user, "no such verb")


def test_strangers_and_the_deactivated_may_not_even_look(person: Person) -> None:
    user = person(role="admin")
    user.is_active = False
    for who in (AnonymousUser(), user):
        assert not can(who, "view")
        assert not can(who, "halt")


def lease(*, age: float = 0.0, state: str = "ready") -> None:
    health = {"account": "U1234567", "gateway": {"state": "ok"}, "trading": {"state": "active", "reason": ""}, "worker": {"state": "ok"}}
    WorkerLease.objects.create(name="a", epoch=3, state=state, heartbeat_at=utc_now() - timedelta(seconds=age), health=health)


@pytest.mark.parametrize(
    ("age", "state", "worker", "gateway"),
    [
        (0, "ready", "ok", "ok"),
        (0, "reconciling", "degraded", "ok"),
        (HEARTBEAT_LIMIT + 1, "ready", "down", "unknown"),
        (0, "stopped", "down", "unknown"),
    ],
)
def test_a_dead_workers_word_is_not_believed(age: float, state: str, worker: str, gateway: str) -> None:
    lease(age=age, state=state)
    frame = health_now()
    assert (frame["worker"]["state"], frame["gateway"]["state"], frame["epoch"]) == (worker, gateway, 3)


def test_a_desk_without_a_worker_says_so() -> None:
    assert health_now()["worker"]["state"] == "down"


@pytest.mark.parametrize("topic", live.TOPICS)
def test_every_topic_has_a_snapshot_for_who_is_logged_in(as_person: Callable[..., Client], topic: str) -> None:
    answer = as_person("viewer").get(f"/live/{topic}")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    assert {"topic", "at", "rows", "health"} <= set(answer.json())
    assert Client().get(f"/live/{topic}").status_code == 302


@pytest.mark.parametrize("topic", ["passwords", "x" * 300])
def test_an_unknown_topic_is_not_found(as_person: Callable[..., Client], topic: str) -> None:
    assert as_person("viewer").get(f"/live/{topic}").status_code == 404


def test_a_snapshot_that_cannot_be_read_is_an_honest_503(as_person: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: Any) -> list[dict[str, Any]]:
        raise DatabaseError("gone")

    monkeypatch.setitem(live._providers, "tape", broken)
    answer = as_person("viewer").get("/live/tape")
    assert answer.status_code == 503
    assert "database" in answer.json()["error"]


def test_only_topics_of_the_feed_can_be_registered() -> None:
    with pytest.raises(ValueError, match="not a topic"):
        live.register("passwords", lambda request: [])


@pytest.mark.parametrize(
    ("account", "shown"), [("U1234567", "U***567"), ("DU7654321", "DU***321"), ("DUSIM000001", "DUSIM000001"), ("", "")]
)
def test_an_account_number_is_masked(account: str, shown: str) -> None:
    assert masked(account) == shown


def test_the_page_frame_tells_strangers_nothing_and_survives_a_broken_provider(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    lease()
    stranger = context.desk(SimpleNamespace(user=AnonymousUser()))  # type: ignore[arg-type]
    assert not stranger["can_trade"]

    def broken() -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(context._providers, "pending_count", broken)
    known = context.desk(SimpleNamespace(user=person()))  # type: ignore[arg-type]
    assert known["can_trade"]


def test_nobody_writes_the_journal_or_the_inbox_in_the_admin(admin_client: Client) -> None:
    now = utc_now()
    event = EventRecord.objects.create(event_id="e", event_type="FillEvent", timestamp=now, symbol="<b>X</b>")
    command = CommandRecord.objects.create(key="k", name="HaltTrading", created_at=now)
    for path, pk in (("eventrecord", event.pk), ("commandrecord", command.pk)):
        base = f"/admin/events/{path}"
        assert admin_client.get(f"{base}/").status_code == 200
        assert admin_client.get(f"{base}/{pk}/change/").status_code == 200
        assert admin_client.get(f"{base}/add/").status_code == 403
        assert admin_client.post(f"{base}/{pk}/change/", {"event_type": "Nothing"}).status_code == 403
        assert admin_client.post(f"{base}/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert EventRecord.objects.get().event_type == "FillEvent"
    assert CommandRecord.objects.exists()
