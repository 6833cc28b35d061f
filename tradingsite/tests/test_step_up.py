"""The password once more: what asks for it, what never does, and that no form is lost on the way."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from events import step_up
from events.clock import utc_now
from events.models import CommandRecord
from events.step_up import FIELD, Act
from positions.models import ProtectionSettings, RiskLimits, RiskLock
from signals.models import SignalSettings, WatchListEntry
from tradingsite.tests.page_data import held_position, pending_signal, working_order

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
JSON = {"accept": "application/json"}


@pytest.fixture
def asking(settings):
    settings.STEP_UP = True
    settings.STEP_UP_APPROVE_MINUTES = 15
    return settings


@pytest.fixture
def admin(asking) -> Client:
    """An admin whose session does not know when the password was typed."""
    return session_of("admin")


def session_of(role: str) -> Client:
    user = User.objects.create_user(role, password=PASSWORD, is_staff=role == "admin")
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def approval(**more):
    form = {"key": "key-of-this-form", "version": 1, "quantity": 100, "entry": 500.2, "stop": 499.2, "target": 502.2}
    return form | more


def test_live_mode_cannot_do_without_it():
    code = "import os, string; os.environ.update(TRADING_MODE='live', IB_ACCOUNT='U1', LIVE_TRADING_CONFIRMED='U1', IB_PORT='4001', "
    code += "STEP_UP='false', HTTPS='true', SECRET_KEY=string.ascii_letters, "
    code += "FLOW_API_URL='https://x.example/api/v1'); from tradingsite import settings; print(settings.STEP_UP)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "True"


def test_an_approval_asks_scripts_with_a_403_that_says_where_to_go(asking):
    signal = pending_signal()
    answer = session_of("trader").post(reverse("signals:approve", args=[signal.pk]), approval(), headers=JSON)
    assert answer.status_code == 403
    assert answer.json() == {
        "error": "Type your password to go on. Nothing was sent yet.", "code": "step_up", "confirm": "/confirm/", "field": FIELD,
    }  # fmt: skip
    assert not CommandRecord.objects.exists()


def test_the_page_that_asks_keeps_every_field_of_the_wish_and_the_password_sends_it(admin):
    path = reverse("trading_flatten")
    wish = {"key": "key-of-this-form", "reason": "going <home>", "typed": "FLATTEN"}
    page = admin.post(path, wish)
    assert page.status_code == 403
    assert page.context["to"] == path
    assert page.context["kept"] == list(wish.items())
    assert b"going &lt;home&gt;" in page.content
    assert not CommandRecord.objects.exists()
    assert admin.post(path, wish | {FIELD: "a wrong one"}).status_code == 403
    assert not CommandRecord.objects.exists()
    admin.post(path, wish | {FIELD: PASSWORD})
    assert CommandRecord.objects.get().payload == {"reason": "going <home>"}


def test_a_password_lasts_five_minutes_for_switches_and_fifteen_for_approvals(admin):
    class Request:
        session = admin.session

    with time_machine.travel(utc_now(), tick=False) as clock:
        step_up.remember(Request)
        for minutes, control, approve in ((4.9, True, True), (5.1, False, True), (14.9, False, True), (15.1, False, False)):
            clock.move_to(Request.session[step_up.TYPED_AT] + minutes * 60)
            assert step_up.is_fresh(Request, Act.CONTROL) is control
            assert step_up.is_fresh(Request, Act.APPROVE) is approve


def test_a_clock_set_back_does_not_make_an_old_password_fresh(admin):
    session = admin.session
    session["password_typed_at"] = (utc_now() + timedelta(hours=1)).timestamp()
    session.save()
    assert admin.post(reverse("trading_resume"), {"typed": "RESUME", "key": "k" * 12, "reason": "x"}).status_code == 403


def test_logging_in_counts_as_typing_it(asking):
    session_of("admin")
    client = Client()
    client.post(reverse("login"), {"username": "admin", "password": PASSWORD})
    assert client.post(reverse("trading_resume"), {"typed": "RESUME", "key": "k" * 12, "reason": "x"}).status_code == 302
    assert CommandRecord.objects.get().name == "ResumeTrading"


def test_limits_and_locks_ask_and_the_limit_form_comes_through_whole(admin):
    limits, _ = RiskLimits.objects.get_or_create(pk=1)
    path = reverse("admin:positions_risklimits_change", args=[limits.pk])
    answer = admin.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/confirm/?next={path.replace('/', '%2F')}")
    lock = RiskLock.objects.create(account="DUSIM001", cause="c", code="drawdown", scope="book", reason="Deep.", since=utc_now())
    assert admin.post(reverse("clear_lock", args=[lock.pk]), {"reason": "seen"}).status_code == 403
    assert admin.post(answer.headers["Location"], {FIELD: PASSWORD}).headers["Location"] == path
    assert admin.get(path).status_code == 200
    admin.post(reverse("clear_lock", args=[lock.pk]), {"reason": "seen"})
    lock.refresh_from_db()
    assert lock.clear_reason == "seen"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "", "\\\\evil.example"])
def test_the_way_back_never_leads_to_another_site(admin, elsewhere):
    answer = admin.post(reverse("confirm_person", query={"next": elsewhere}), {FIELD: PASSWORD})
    assert answer.headers["Location"] == "/"


def test_what_lowers_risk_never_asks(asking):
    client = session_of("trader")
    position, order, signal = held_position(), working_order(), pending_signal()
    key = {"key": "key-of-this-form"}
    for name, ids, form in (
        ("trading_halt", [], {}),
        ("trading_reduce_only", [], {}),
        ("positions:close", [position.pk], {}),
        ("positions:stop", [position.pk], {"price": "149"}),
        ("positions:order_cancel", [order.pk], {}),
        ("signals:reject", [signal.pk], {"version": signal.version, "reason": "news"}),
    ):
        assert client.post(reverse(name, args=ids), key | form).status_code == 302, name
    assert CommandRecord.objects.count() == 6


def test_a_signal_that_closes_never_asks(asking):
    signal = pending_signal()
    type(signal).objects.update(action="close_long")
    answer = session_of("trader").post(reverse("signals:approve", args=[signal.pk]), approval(), headers=JSON)
    assert answer.json()["code"] != "step_up"


def test_guesses_are_locked_out(admin):
    for _ in range(9):
        answer = admin.post(reverse("confirm_person"), {FIELD: "guess"})
    assert answer.status_code == 429


EDITED_IN_THE_ADMIN = [
    "/admin/auth/user/add/",
    "/admin/auth/user/{other}/change/",
    "/admin/auth/user/{other}/delete/",
    "/admin/auth/user/{other}/password/",
    "/admin/signals/signalsettings/{settings}/change/",
    "/admin/signals/watchlistentry/add/",
    "/admin/signals/watchlistentry/{entry}/change/",
    "/admin/signals/watchlistentry/{entry}/delete/",
    "/admin/positions/protectionsettings/{protection}/change/",
    "/admin/positions/risklimits/{limits}/change/",
    "/admin/positions/scopedlimitrecord/add/",
]


@pytest.mark.parametrize("path", EDITED_IN_THE_ADMIN)
def test_every_page_of_the_admin_that_raises_risk_or_rights_asks(asking, admin, path):
    other = User.objects.create_user("other", password=PASSWORD)
    entry = WatchListEntry.objects.get_or_create(symbol="NVDA")[0]
    path = path.format(
        other=other.pk, entry=entry.pk, settings=SignalSettings.current().pk, protection=ProtectionSettings.objects.get_or_create()[0].pk,
        limits=RiskLimits.objects.get_or_create()[0].pk,
    )  # fmt: skip
    before = [list(model.objects.values()) for model in (User, WatchListEntry, SignalSettings, ProtectionSettings, RiskLimits)]
    asked = admin.get(path)
    assert (asked.status_code, asked.headers["Location"].startswith("/confirm/")) == (302, True)
    refused = admin.post(path, {"post": "yes", "username": "mallory", "password1": "x", "symbol": "TSLA", FIELD: "a guess"})
    assert refused.status_code == 403
    assert b"Confirm it is you" in refused.content
    assert [list(model.objects.values()) for model in (User, WatchListEntry, SignalSettings, ProtectionSettings, RiskLimits)] == before


def test_edits_in_the_watch_list_of_the_admin_ask_too(asking, admin):
    entry = WatchListEntry.objects.get_or_create(symbol="NVDA")[0]
    listed = reverse("admin:signals_watchlistentry_changelist")
    assert admin.get(listed).status_code == 200
    assert admin.post(listed, {"action": "delete_selected", "_selected_action": str(entry.pk), "post": "yes"}).status_code == 403
    assert WatchListEntry.objects.filter(pk=entry.pk).exists()


@pytest.mark.parametrize("role", ["viewer", "trader", "admin"])
def test_everybody_changes_their_own_password_with_the_old_one(role, db):
    client = session_of(role)
    user, page = User.objects.get(username=role), reverse("password_change")
    fresh = "ochre lantern gravel tuba"
    wrong = client.post(page, {"old_password": "not it", "new_password1": fresh, "new_password2": fresh})
    assert "That is not your password. Nothing was changed." in wrong.content.decode()
    weak = client.post(page, {"old_password": PASSWORD, "new_password1": "123456789012345", "new_password2": "123456789012345"})
    assert "field-error" in weak.content.decode()
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    elsewhere = Client()
    elsewhere.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(page, {"old_password": PASSWORD, "new_password1": fresh, "new_password2": fresh})["Location"] == reverse("overview")
    user.refresh_from_db()
    assert user.check_password(fresh)
    assert client.get(reverse("overview")).status_code == 200
    assert elsewhere.get(reverse("overview"))["Location"].startswith("/login/")


def test_no_page_of_the_admin_sets_ones_own_password_without_the_old_one(db):
    client = session_of("admin")
    own = User.objects.get(username="admin")
    fresh = "ochre lantern gravel tuba"
    for path in (f"/admin/auth/user/{own.pk}/password/", "/admin/password_change/"):
        for answer in (client.get(path), client.post(path, {"password1": fresh, "password2": fresh, "usable_password": "true"})):
            assert (answer.status_code, answer.headers["Location"]) == (302, "/account/password/")
    own.refresh_from_db()
    assert own.check_password(PASSWORD)


def test_guessing_the_old_password_counts_against_the_lock_out(settings, db):
    settings.AXES_ENABLED = True
    client = session_of("viewer")
    page, fresh = reverse("password_change"), "ochre lantern gravel tuba"
    for _ in range(settings.AXES_FAILURE_LIMIT + 1):
        client.post(page, {"old_password": "a guess", "new_password1": fresh, "new_password2": fresh})
    client.post(page, {"old_password": PASSWORD, "new_password1": fresh, "new_password2": fresh})
    assert User.objects.get(username="viewer").check_password(PASSWORD)
