"""The Broker page in a real browser: it follows the worker's comparisons, grows old visibly, and files resolutions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from events import feed
from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import CommandRecord
from positions.models import BrokerCheck
from tradingsite.testing.browser import Frames, let_pass, when_steady

if TYPE_CHECKING:
    from tradingsite.testing.live import LiveWeb

pytestmark = pytest.mark.browser


def compared(theirs: float, *, at: datetime | None = None) -> dict[str, Any]:
    """A stored comparison: 60 shares of AAPL made elsewhere, or a difference to our 100 of MSFT."""
    at = at or utc_now()
    rows = [
        {
            "id": "position:AAPL",
            "kind": "position",
            "symbol": "AAPL",
            "state": "external",
            "cause": "Made elsewhere.",
            "ours": 0,
            "theirs": 60,
        }
        | {"what": "shares", "blocks": False, "difference": 0, "detail": "", "order_id": "", "position_id": "", "elsewhere": 60},
        {
            "id": "position:MSFT",
            "kind": "position",
            "symbol": "MSFT",
            "state": "match" if theirs == 100 else "differs",
            "cause": "",
            "ours": 100,
        }
        | {
            "what": "shares",
            "blocks": theirs != 100,
            "difference": theirs - 100,
            "detail": "",
            "order_id": "",
            "position_id": "",
            "theirs": theirs,
        },
    ]
    blocked = "" if theirs == 100 else "MSFT: shares that no execution explains."
    data = {"id": "check", "v": 0, "at": at.isoformat(), "rows": rows, "blocked": blocked}
    BrokerCheck.objects.create(account=SIMULATED_ACCOUNT, first_at=at, at=at, kind="light", blocked=blocked, external=1, data=data)
    return data


def publish(row: dict[str, Any]) -> None:
    """From a thread of its own, because the browser's event loop runs in the test's."""
    with ThreadPoolExecutor(max_workers=1) as elsewhere:
        assert elsewhere.submit(feed.publish, "broker", [row]).result()


def test_a_new_comparison_replaces_the_rows_without_a_reload(trader_page: Page, live_web: LiveWeb) -> None:
    complaints: list[str] = []
    trader_page.on("pageerror", lambda error: complaints.append(str(error)))
    trader_page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    compared(100)
    trader_page.goto(f"{live_web.url}/broker/")
    row = trader_page.locator('tr[data-row="position:MSFT"]')
    expect(row).to_contain_text("match")
    trader_page.evaluate("window.sameDocument = true")
    publish(compared(40))
    expect(row).to_contain_text("differs")
    expect(trader_page.locator("[data-verdict]")).to_contain_text("Entries are refused")
    assert trader_page.evaluate("window.sameDocument")
    assert complaints == []


def test_an_open_resolution_is_not_pulled_away_and_is_filed_with_its_reason(trader_page: Page, live_web: LiveWeb) -> None:
    compared(100)
    frames = Frames(trader_page)
    trader_page.goto(f"{live_web.url}/broker/")
    frames.wait_for('"joined"')
    row = trader_page.locator('tr[data-row="position:AAPL"]')
    row.get_by_text("Resolve").click()
    row.locator('input[name="stop_loss"]').fill("140.50")
    publish(compared(40))
    frames.wait_for('"broker"', after=1)
    let_pass(trader_page, 1500)  # the page tries again every second
    expect(row.locator('input[name="stop_loss"]')).to_have_value("140.50")
    row.locator('form[action$="/adopt"] input[name="reason"]').fill("my own shares")
    when_steady(row.get_by_role("button", name="Adopt 60 AAPL")).click()
    expect(trader_page.locator("[data-resolution]")).to_contain_text("my own shares")
    record = CommandRecord.objects.get()
    assert (record.name, record.payload["stop_loss"]) == ("AdoptHolding", 140.5)


def test_a_comparison_grows_old_before_ones_eyes(trader_page: Page, live_web: LiveWeb) -> None:
    compared(100, at=utc_now() - timedelta(seconds=72))
    trader_page.goto(f"{live_web.url}/broker/")
    expect(trader_page.get_by_text("This comparison is old")).to_be_hidden()
    expect(trader_page.get_by_text("This comparison is old")).to_be_visible()
    expect(trader_page.locator(".books")).to_have_class("books old")


@pytest.mark.parametrize("width", [375, 1366])
def test_the_page_never_scrolls_sideways(trader_page: Page, live_web: LiveWeb, width: int) -> None:
    compared(40)
    trader_page.set_viewport_size({"width": width, "height": 812})
    trader_page.goto(f"{live_web.url}/broker/")
    trader_page.locator('tr[data-row="position:AAPL"]').get_by_text("Resolve").click()
    assert trader_page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_new_comparison_leaves_the_row_the_focus_and_the_selection_where_they_are(trader_page: Page, live_web: LiveWeb) -> None:
    compared(100)
    frames = Frames(trader_page)
    trader_page.goto(f"{live_web.url}/broker/")
    frames.wait_for('"joined"')
    row = trader_page.locator('tr[data-row="position:MSFT"]')
    expect(row).to_contain_text("match")
    trader_page.evaluate("document.querySelector('tr[data-row=\"position:MSFT\"]').mine = true")
    trader_page.locator('tr[data-row="position:AAPL"] summary').focus()
    title = trader_page.locator("h2").first
    title.select_text()
    publish(compared(40))
    expect(row).to_contain_text("differs")
    assert trader_page.evaluate("document.querySelector('tr[data-row=\"position:MSFT\"]').mine"), "it is the same element"
    assert trader_page.evaluate("document.activeElement.closest('tr')?.dataset.row") == "position:AAPL"
    assert trader_page.evaluate("document.getSelection().toString().trim()") == (title.text_content() or "").strip()


def test_a_row_that_goes_under_the_pointer_keeps_its_place_until_the_pointer_leaves(trader_page: Page, live_web: LiveWeb) -> None:
    data = compared(100)
    frames = Frames(trader_page)
    trader_page.goto(f"{live_web.url}/broker/")
    frames.wait_for('"joined"')
    row = trader_page.locator('tr[data-row="position:MSFT"]')
    row.locator("td").first.hover()
    shorter = data | {"at": (utc_now() + timedelta(seconds=1)).isoformat(), "rows": [r for r in data["rows"] if r["symbol"] != "MSFT"]}
    BrokerCheck.objects.update(at=utc_now() + timedelta(seconds=1), data=shorter)
    with trader_page.expect_response("**/broker/rows"):
        publish(shorter)
    let_pass(trader_page, 300)
    expect(row).to_have_count(1)
    trader_page.mouse.move(2, 2)
    expect(row).to_have_count(0)
