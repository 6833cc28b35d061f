"""The switches that stop and release trading: who may, what is filed, what is refused."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from events.models import CommandRecord
from tradingsite.tests.page_data import held_position, pending_signal, person, working_order

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"
STOPS = [("trading_halt", "HaltTrading"), ("trading_reduce_only", "ReduceOnly")]
RELEASES = [("trading_resume", "ResumeTrading", "RESUME"), ("trading_flatten", "FlattenAll", "FLATTEN")]


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(person(role), backend=BACKEND)
    return client


@pytest.mark.parametrize(("name", "command"), STOPS)
@pytest.mark.parametrize("role", ["trader", "admin"])
def test_a_stop_files_its_command_with_reason_and_author(name: str, command: str, role: str) -> None:
    client = signed_in(role)
    answer = client.post(reverse(name), {"key": "k1", "reason": "odd fills"})
    assert answer["Location"] == reverse("trading")
    row = CommandRecord.objects.get()
    assert (row.name, row.payload, row.state) == (command, {"reason": "odd fills"}, "pending")
    assert row.created_by_id == int(client.session["_auth_user_id"])


@pytest.mark.parametrize("name", ["trading_halt", "trading_reduce_only", "trading_resume", "trading_flatten"])
def test_a_viewer_is_refused_by_the_server_and_nothing_is_filed(name: str) -> None:
    answer = signed_in("viewer").post(reverse(name), {"key": "k1", "typed": "RESUME"})
    assert answer.status_code == 403
    assert "Not allowed" in answer.content.decode()
    assert not CommandRecord.objects.exists()


@pytest.mark.parametrize(("name", "command", "word"), RELEASES)
def test_only_an_admin_who_types_the_word_releases_or_flattens(name: str, command: str, word: str) -> None:
    assert signed_in("trader").post(reverse(name), {"key": "k1", "typed": word}).status_code == 403
    admin = signed_in("admin")
    admin.post(reverse(name), {"key": "k2", "typed": "yes", "reason": "seen"})
    assert not CommandRecord.objects.exists()
    admin.post(reverse(name), {"key": "k2", "typed": word.lower(), "reason": "seen"})
    assert CommandRecord.objects.get().name == command


def test_nothing_is_released_without_a_reason() -> None:
    page = signed_in("admin").post(reverse("trading_resume"), {"key": "k1", "typed": "RESUME", "reason": "  "}, follow=True)
    assert "say why trading may go on" in page.content.decode()
    assert not CommandRecord.objects.exists()


def test_the_admin_releases_nothing_it_has_no_place_for_a_reason() -> None:
    page = signed_in("admin").get(reverse("admin:positions_tradingstate_changelist")).content.decode()
    assert 'value="halt"' in page
    assert 'value="resume"' not in page


def test_a_halt_after_reduce_only_from_the_same_old_page_is_a_wish_of_its_own() -> None:
    """The dialog has one key and two buttons; going back in the browser brings the old key again."""
    client = signed_in("trader")
    client.post(reverse("trading_reduce_only"), {"key": "same"})
    client.post(reverse("trading_halt"), {"key": "same"})
    assert [row.name for row in CommandRecord.objects.order_by("id")] == ["ReduceOnly", "HaltTrading"]


def test_the_same_form_sent_twice_is_one_command() -> None:
    client = signed_in("trader")
    for _ in range(2):
        page = client.post(reverse("trading_halt"), {"key": "same"}, follow=True).content.decode()
    assert CommandRecord.objects.count() == 1
    assert "not sent twice" in page


@pytest.mark.parametrize("key", ["", "x" * 65])
def test_a_form_without_a_usable_key_sends_nothing(key: str) -> None:
    page = signed_in("trader").post(reverse("trading_halt"), {"key": key}, follow=True).content.decode()
    assert "Nothing was sent" in page
    assert not CommandRecord.objects.exists()


def test_hostile_and_endless_reasons_never_break_the_page() -> None:
    client = signed_in("trader")
    answer = client.post(reverse("trading_halt"), {"key": "k", "reason": "<script>\x07\u202e" + "x" * 5000}, follow=True)
    assert answer.status_code == 200
    assert "<script>x" not in answer.content.decode()
    assert CommandRecord.objects.get().payload["reason"] == "<script>" + "x" * 192  # cut, never a reason to refuse a halt
    assert client.post(reverse("trading_halt"), {"key": "other", "reason": "\x00"}).status_code == 400
    assert CommandRecord.objects.count() == 1


@pytest.mark.parametrize("name", ["trading_halt", "trading_reduce_only", "trading_resume", "trading_flatten"])
def test_looking_at_a_switch_does_not_throw_it(name: str) -> None:
    assert signed_in("admin").get(reverse(name)).status_code == 405


def test_the_scope_counts_what_a_halt_would_touch() -> None:
    held_position("NVDA")
    held_position("AMD", status="closed", quantity=0)
    pending_signal("META")
    pending_signal("OLD", expires_in=-5)
    working_order("entry")
    working_order("entry", state="filled")
    working_order("stop")
    for state in ("filled", "canceled", "expired", "rejected", "denied"):
        working_order("stop", state=state)
    scope = signed_in("trader").get(reverse("trading_scope")).json()
    assert scope == {"signals": 1, "positions": 1, "entries": 1, "exits": 1}


@pytest.mark.parametrize(("role", "stop", "release"), [("viewer", False, False), ("trader", True, False), ("admin", True, True)])
def test_the_trading_page_offers_each_role_its_own_switches(role: str, stop: bool, release: bool) -> None:
    page = signed_in(role).get(reverse("trading")).content.decode()
    assert (f'action="{reverse("trading_halt")}"' in page) is stop
    assert (f'action="{reverse("trading_flatten")}"' in page) is release
