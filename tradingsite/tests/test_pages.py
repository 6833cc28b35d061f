"""The frame of every page, the overview, log-in, and the pages for what went wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from positions.models import TradingState
from tradingsite.tests.page_data import equity_point, event_row, fit_to_trade, held_position, pending_signal, person

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"
OPEN_TO_ALL = {"login", "first_password", "healthz", "readyz"}
PAGES = ["overview", "signals:list", "positions:list", "positions:orders", "positions:pnl", "trading", "events:trace", "events:journal"]


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(person(role), backend=BACKEND)
    return client


@pytest.mark.parametrize("name", [*PAGES, "equity_today", "trading_scope"])
def test_every_page_sends_a_stranger_to_log_in(client: Client, name: str) -> None:
    answer = client.get(reverse(name))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("mode", "badge"), [("simulated", "SIMULATED"), ("paper", "PAPER"), ("live", "LIVE")])
def test_the_mode_is_on_every_page_and_in_its_title(settings, name: str, mode: str, badge: str) -> None:
    settings.TRADING_MODE = mode
    page = signed_in("viewer").get(reverse(name)).content.decode()
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    assert title
    assert badge in title.group(1)
    assert re.search(rf'class="mode-badge" data-mode="{mode}"[^>]*>{badge}<', page)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_carries_inline_scripts_styles_or_handlers(name: str) -> None:
    fit_to_trade()
    equity_point()
    held_position()
    pending_signal()
    event_row(order_id="o1")
    page = signed_in("admin").get(reverse(name)).content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_the_policy_header_allows_no_inline_script_and_no_other_origin() -> None:
    policy = signed_in("viewer").get("/")["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert "unsafe" not in policy


@pytest.mark.parametrize(("role", "sees"), [("viewer", False), ("trader", True), ("admin", True)])
def test_only_those_who_may_halt_see_the_halt_button(role: str, sees: bool) -> None:
    assert ("data-halt-open" in signed_in(role).get("/").content.decode()) is sees


def test_the_admin_entry_is_for_staff() -> None:
    assert reverse("admin:index") not in signed_in("trader").get("/").content.decode()
    assert reverse("admin:index") in signed_in("admin").get("/").content.decode()


def test_a_real_account_number_is_masked_on_every_page(settings: Any) -> None:
    settings.IB_ACCOUNT = "DU1234567"
    fit_to_trade()
    page = signed_in("viewer").get("/").content.decode()
    assert "DU1234567" not in page
    assert "DU***567" in page


def test_pending_signals_are_counted_in_the_navigation_and_the_title() -> None:
    pending_signal("META")
    pending_signal("AMZN")
    pending_signal("OLD", expires_in=-1)
    page = signed_in("trader").get("/").content.decode()
    assert "<title>(2) " in page
    assert re.search(r"data-pending-count>2<", page)


def test_a_halt_is_a_banner_on_every_page_with_its_reason() -> None:
    TradingState.objects.update_or_create(pk=1, defaults={"state": "halted", "reason": "odd <fills>"})
    page = signed_in("viewer").get(reverse("events:journal")).content.decode()
    banner = page[page.index('id="banner-trading"') :][:700]
    assert "hidden" not in banner.split(">")[0]
    assert "Trading is halted." in banner
    assert "odd &lt;fills&gt;" in banner


def test_the_overview_shows_money_positions_signals_tape_and_health_before_any_script_runs() -> None:
    fit_to_trade()
    equity_point()
    held_position()
    pending_signal()
    event_row(fill_quantity=10.0, fill_price=151.25, quantity=10.0)
    page = signed_in("viewer").get("/").content.decode()
    for shown in ("100,250.50", "+250.50", "NVDA", "+1,000.00", "META", "90.0", "Bought 10 at 151.25", "Flow API", "EST"):
        assert shown in page or (shown == "EST" and "EDT" in page), shown


def test_an_empty_desk_says_what_is_missing_and_shows_no_zero_for_unknown() -> None:
    page = signed_in("viewer").get("/").content.decode()
    for sentence in ("Nothing to decide", "Flat", "Quiet so far", "first equity point"):
        assert sentence in page
    assert re.search(r'data-figure="equity">–<', page)


def test_a_list_that_leaves_something_out_says_how_much_and_a_count_counts_all() -> None:
    for number in range(34):
        held_position(f"S{number}")
    for number in range(11):
        pending_signal(f"P{number}")
    page = signed_in("viewer").get("/").content.decode()
    assert 'data-figure="held">34<' in page
    assert "30 of 34 open" in page
    assert "8 of 11 shown" in page


def test_hostile_text_from_outside_stays_text() -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    event_row("RejectEvent", symbol="<b>", error_message=hostile, reason=hostile)
    client = signed_in("viewer")
    for address in ("/", reverse("events:trace"), reverse("events:journal"), reverse("events:journal") + "?symbol=<b>&type=" + hostile):
        page = client.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_todays_equity_is_measured_from_the_start_of_the_day() -> None:
    equity_point("100100", day_pnl="100", ago=2)
    equity_point("100250", day_pnl="250")
    body = signed_in("viewer").get(reverse("equity_today")).json()
    assert body["base"] == 100_000
    assert [value for _, value in body["points"]][-1] == 100_250


# --- log-in ---------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_said_plainly_and_keeps_the_name(client: Client) -> None:
    person("trader", name="ann")
    answer = client.post(reverse("login"), {"username": "ann", "password": "wrong"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "Please enter a correct username and password" in page
    assert 'value="ann"' in page
    assert 'autocomplete="current-password"' in page


def test_too_many_wrong_passwords_close_that_name_with_a_page_of_ours(client: Client, settings) -> None:
    person("trader", name="ann")
    for _ in range(settings.AXES_FAILURE_LIMIT):
        answer = client.post(reverse("login"), {"username": "ann", "password": "wrong"})
    assert answer.status_code == 429
    assert "Too many tries" in answer.content.decode()
    answer = client.post(reverse("login"), {"username": "ann", "password": "correct horse battery"})
    assert answer.status_code == 429


def test_logging_in_leads_to_the_page_that_was_asked_for_but_to_no_other_site(client: Client) -> None:
    person("trader", name="ann")
    form = {"username": "ann", "password": "correct horse battery"}
    assert client.post(reverse("login"), form | {"next": "/events/"})["Location"] == "/events/"
    client.logout()
    assert client.post(reverse("login"), form | {"next": "https://evil.example/"})["Location"] == reverse("overview")


def test_logging_out_takes_a_post_and_forgets_the_session() -> None:
    client = signed_in("trader")
    assert client.get(reverse("logout")).status_code == 405
    assert client.get("/").status_code == 200
    assert client.post(reverse("logout"))["Location"] == reverse("login")
    assert client.get("/").status_code == 302


# --- what went wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["viewer", None])
def test_an_unknown_address_gets_a_page_of_ours(role: str | None) -> None:
    answer = (signed_in(role) if role else Client()).get("/nothing/<here>")
    assert answer.status_code == 404
    assert "Not here" in answer.content.decode()
    assert "/nothing/<here>" not in answer.content.decode()


def test_a_server_error_gets_a_page_that_needs_nothing_and_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("tradingsite.views.first_picture", broken)
    client = signed_in("viewer")
    client.raise_request_exception = False
    answer = client.get("/")
    assert answer.status_code == 500
    assert "Something broke here" in answer.content.decode()
    assert "secret detail" not in answer.content.decode()


def test_no_cache_keeps_a_page_and_no_other_site_embeds_it() -> None:
    for address in ("/", "/events/journal/", "/nothing"):
        answer = signed_in("viewer").get(address)
        assert "no-store" in answer["Cache-Control"]
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_form_without_its_token_is_refused_with_a_page_of_ours() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("trader"), backend=BACKEND)
    answer = client.post(reverse("trading_halt"))
    assert answer.status_code == 403
    assert "That form was too old" in answer.content.decode()


# --- admin ----------------------------------------------------------------------------------------------------------


def test_the_admin_has_one_front_door_and_shows_the_mode() -> None:
    assert Client().get(reverse("admin:login") + "?next=/admin/auth/")["Location"] == "/login/?next=/admin/auth/"
    assert signed_in("trader").get(reverse("admin:login")).status_code == 403
    page = signed_in("admin").get(reverse("admin:index")).content.decode()
    assert "SIMULATED" in page
    assert f'href="{reverse("overview")}"' in page


def test_an_admin_cannot_make_anybody_a_superuser() -> None:
    target = person("viewer", name="bob")
    address = reverse("admin:auth_user_change", args=[target.pk])
    client = signed_in("admin")
    form = {"username": "bob", "is_active": "on", "is_superuser": "on", "groups": [target.groups.get().pk]}
    assert client.post(address, form).status_code == 302
    assert not User.objects.get(username="bob").is_superuser


def test_an_admin_cannot_edit_a_superuser() -> None:
    root = User.objects.create_superuser("root", password="correct horse battery")
    answer = signed_in("admin").post(reverse("admin:auth_user_change", args=[root.pk]), {"username": "mine"})
    assert answer.status_code == 403
