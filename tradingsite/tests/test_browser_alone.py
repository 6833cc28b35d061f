"""Pages that stand alone (log-in, passwords) in a real browser: an impatient second click does not undo the first."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from playwright.sync_api import Page, expect

from tradingsite.testing.live import LiveWeb

pytestmark = pytest.mark.browser
OLD, NEW = "correct horse battery staple", "ochre lantern gravel tuba"
NOW = re.compile("Password of .* now")


@pytest.fixture
def ann(page: Page, live_web: LiveWeb, make_user: Callable[..., Any]) -> Any:
    """A trader, whose log-in page is open."""
    user = make_user("ann", password=OLD)
    page.goto(f"{live_web.url}/login/")
    return user


def log_in(page: Page, password: str) -> None:
    page.get_by_label("User name").fill("ann")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").dblclick()


def test_a_second_click_on_log_in_is_no_second_log_in(page: Page, live_web: LiveWeb, ann: Any) -> None:
    log_in(page, "not it")
    page.get_by_role("alert").wait_for()
    log_in(page, OLD)
    expect(page).to_have_url(f"{live_web.url}/")
    expect(page.locator("h1")).to_have_text("Overview")


@pytest.mark.parametrize("width", [1440, 375])
def test_a_second_click_on_a_new_password_leaves_the_person_logged_in(page: Page, live_web: LiveWeb, ann: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    log_in(page, OLD)
    expect(page).to_have_url(f"{live_web.url}/")
    page.goto(f"{live_web.url}/account/password/")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for now in ("not this one", OLD):
        page.get_by_label(NOW).fill(now)
        page.get_by_label("New password").fill(NEW)
        page.get_by_label("The new one once more").fill(NEW)
        page.get_by_role("button", name="Change the password").dblclick()
        if now != OLD:
            page.get_by_text("That is not your password. Nothing was changed.").wait_for()
    expect(page).to_have_url(f"{live_web.url}/")
    page.get_by_text("Your password is changed.").first.wait_for(state="attached")


def test_a_second_click_on_a_first_password_leads_to_the_log_in(page: Page, live_web: LiveWeb, ann: Any) -> None:
    uid = urlsafe_base64_encode(force_bytes(ann.pk))
    page.goto(live_web.url + reverse("first_password", args=[uid, default_token_generator.make_token(ann)]))
    page.get_by_label("New password").fill(NEW)
    page.get_by_label("The same once more").fill(NEW)
    page.get_by_role("button", name="Set the password").dblclick()
    expect(page).to_have_url(f"{live_web.url}/login/")
    log_in(page, NEW)
    expect(page).to_have_url(f"{live_web.url}/")
