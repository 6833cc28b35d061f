"""The trading page in a real browser: it follows the state and what came of the switches, and leaves alone what is being typed."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from events import feed
from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import CommandRecord
from positions.models import RiskLock, TradingState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradingsite.testing.live import LiveWeb

pytestmark = pytest.mark.browser


@pytest.fixture
def admin_page(page: Page, live_web: LiveWeb, make_user: Callable[..., Any], sign_in: Callable[..., None]) -> Page:
    sign_in(page.context, make_user("chief", role="admin"))
    page.goto(f"{live_web.url}/trading/")
    page.evaluate("window.sameDocument = true")
    return page


def reduced_by_the_worker() -> None:
    """What a flatten leaves: the state changed and its command answered. From a thread of its own: the browser's loop runs in this one."""
    TradingState.objects.update_or_create(pk=1, defaults={"state": "reduce_only", "reason": "flatten all", "changed_by": "chief"})
    answered_elsewhere()


def answered_elsewhere() -> None:
    """A command was answered, and its frame is sent."""
    command = CommandRecord.objects.create(
        key=uuid.uuid4().hex, name="FlattenAll", payload={"reason": "flatten all"}, state="done", reason="all closed", created_at=utc_now()
    )
    with ThreadPoolExecutor(max_workers=1) as elsewhere:
        row = {"id": str(command.pk), "v": 1, "name": command.name, "state": "done"}
        assert elsewhere.submit(feed.publish, "commands", [row]).result()


def test_a_form_stays_the_same_while_the_page_has_nothing_new_to_say(page: Page, admin_page: Page) -> None:
    RiskLock.objects.create(account=SIMULATED_ACCOUNT, cause="c", code="drawdown", scope="book", reason="Deep.", since=utc_now())
    admin_page.reload()
    admin_page.wait_for_function("document.body.dataset.ready === 'yes'")
    admin_page.evaluate("window.clearing = document.querySelector('[data-part=locks] form')")
    for _ in range(2):  # the second is asked for when the first was put in its place
        with admin_page.expect_response(
            lambda answer: answer.url.endswith("/trading/") and answer.request.resource_type == "fetch"
        ) as answer:
            answered_elsewhere()
        answer.value.finished()
    assert admin_page.evaluate("window.clearing.isConnected")
    TradingState.objects.update_or_create(pk=1, defaults={"state": "halted"})
    RiskLock.objects.update(reason="Deeper.")
    answered_elsewhere()
    expect(admin_page.locator("[data-part=locks]")).to_contain_text("Deeper.")


def test_it_shows_what_a_switch_led_to_and_lets_trading_be_released_without_a_reload(admin_page: Page) -> None:
    resume = admin_page.get_by_role("button", name="Resume trading")
    expect(resume).to_be_disabled()
    admin_page.locator("form[action$='/trading/resume'] [name=typed]").fill("RESU")
    reduced_by_the_worker()
    expect(admin_page.locator("[data-trading-state]")).to_contain_text("reduce only")
    expect(resume).to_be_enabled()
    expect(admin_page.locator("[data-part=history]")).to_contain_text("all closed")
    expect(admin_page.locator("form[action$='/trading/resume'] [name=typed]")).to_have_value("RESU")
    assert admin_page.evaluate("window.sameDocument")
