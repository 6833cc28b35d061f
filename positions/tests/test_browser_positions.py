"""Positions, orders and P&L in a real browser on the real web process: live cells, wishes, charts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from events import feed
from events.clock import utc_now
from events.models import CommandRecord
from events.rows import command_row
from positions.models import MinuteBar, PositionRecord
from positions.tests.rows import Trip, make_equity, make_order, make_position
from tradingsite.testing.browser import when_steady
from tradingsite.testing.patience import eventually

if TYPE_CHECKING:
    from tradingsite.testing.live import LiveWeb

pytestmark = pytest.mark.browser


def hold(position_id: str = "held") -> PositionRecord:
    return make_position(Trip(exit=None, stop=145.0, target=160.0, opened=utc_now() - timedelta(minutes=20)), position_id)


def publish(topic: str, rows: list[dict[str, object]]) -> None:
    """As Celery would: from a thread of its own, because the browser's event loop runs in the test's."""
    with ThreadPoolExecutor(max_workers=1) as elsewhere:
        assert elsewhere.submit(feed.publish, topic, rows).result()


def watched(page: Page) -> list[str]:
    """Everything the page complains about from now on: script errors, and content the security policy blocked."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
    return complaints


def test_a_frame_changes_the_row_and_an_older_one_does_not(trader_page: Page, live_web: LiveWeb) -> None:
    row = hold().as_row()
    trader_page.goto(f"{live_web.url}/positions/")
    last = trader_page.locator('tr[data-row="held"] [data-f="last"]')
    newer = row | {"v": row["v"] + 5, "at": utc_now().isoformat(), "last": 157.25, "unrealized_pnl": 725.0}
    older = row | {"v": row["v"] + 4, "at": utc_now().isoformat(), "last": 111.0}
    _publish_until(last, newer, "157.25")
    publish("positions", [older])
    publish("positions", [newer | {"v": row["v"] + 6, "at": utc_now().isoformat(), "last": 158.0}])
    expect(last).to_have_text("158.00")
    expect(trader_page.locator('tr[data-row="held"] [data-f="unrealized_pnl"]')).to_contain_text("+725.00")


def _publish_until(cell: Locator, row: dict[str, object], text: str) -> None:
    """Publish until the page shows it: frames sent before its socket joined are lost, as the design allows."""
    eventually(lambda: publish("positions", [row]) or cell.text_content() == text, every=0.25, what=f"the cell shows {text}")


def test_confirming_twice_closes_once_and_the_safe_button_has_the_focus(trader_page: Page, live_web: LiveWeb) -> None:
    hold()
    trader_page.goto(f"{live_web.url}/positions/")
    when_steady(trader_page.locator('tr[data-row="held"] [data-close]')).click()
    dialog = trader_page.locator("#close-dialog")
    expect(dialog.get_by_role("button", name="Keep position")).to_be_focused()
    expect(dialog).to_contain_text("Sell 100 AAPL, market")
    dialog.locator("[data-part='0.5']").click()
    when_steady(dialog.get_by_role("button", name="Sell 50 AAPL")).dblclick()
    expect(trader_page.locator('tr[data-row="held"] [data-f="wish"]')).to_contain_text("Close: sent")
    assert [record.payload["quantity"] for record in CommandRecord.objects.all()] == [50]


def test_a_stop_is_moved_in_the_row_and_its_refusal_stands_there(trader_page: Page, live_web: LiveWeb) -> None:
    hold()
    trader_page.goto(f"{live_web.url}/positions/")
    cell = trader_page.locator('tr[data-row="held"] [data-edit="stop"]')
    cell.locator("summary").click()
    cell.locator("[name=price]").fill("148.5")
    when_steady(cell.get_by_role("button", name="Move stop")).dblclick()
    wish = trader_page.locator('tr[data-row="held"] [data-f="wish"]')
    expect(wish).to_have_text("Stop move: sent…")
    record = CommandRecord.objects.get()
    assert record.payload["price"] == 148.5
    CommandRecord.objects.update(state="refused", reason="too close to the market", finished_at=utc_now())
    publish("commands", [command_row(CommandRecord.objects.get())])
    expect(wish).to_have_text("Stop move: refused. too close to the market")


def test_a_cancel_names_the_order_and_is_filed_once(trader_page: Page, live_web: LiveWeb) -> None:
    make_order("ord-1", role="stop", order_type="stop", stop_price=145.0, side="sell", at=utc_now())
    trader_page.goto(f"{live_web.url}/orders/")
    when_steady(trader_page.locator('tr[data-order="ord-1"] form button')).click()
    dialog = trader_page.locator("#cancel-dialog")
    expect(dialog).to_contain_text("Sell 100 AAPL, stop")
    expect(dialog).to_contain_text("Without it the loss is not limited")
    when_steady(dialog.get_by_role("button", name="Cancel order")).dblclick()
    expect(trader_page.locator('tr[data-order="ord-1"] [data-o="wish"]')).to_contain_text("Cancel: sent")
    assert CommandRecord.objects.count() == 1


def test_the_charts_draw_in_both_themes_without_a_complaint(trader_page: Page, live_web: LiveWeb) -> None:
    complaints = watched(trader_page)
    record = hold()
    make_position(Trip(opened=utc_now() - timedelta(hours=2), closed=utc_now() - timedelta(hours=1)))
    make_equity([f"{100_000 + n * n % 377}" for n in range(50)], start=utc_now() - timedelta(hours=2))
    start = utc_now().replace(second=0, microsecond=0) - timedelta(minutes=40)
    MinuteBar.objects.bulk_create(
        MinuteBar(symbol="AAPL", at=start + timedelta(minutes=n), open=150, high=151, low=149, close=150.5, volume=9) for n in range(40)
    )
    for path, charts in (
        ("/pnl/?range=max", ["[data-equity-chart]", "[data-daily-chart]"]),
        (f"/positions/{record.pk}/", ["[data-position-chart]"]),
    ):
        trader_page.goto(live_web.url + path)
        for chart in charts:
            expect(trader_page.locator(chart)).to_have_attribute("data-state", "ready")
            expect(trader_page.locator(f"{chart} canvas").first).to_be_visible()
        for theme in ("dark", "light"):
            trader_page.evaluate("theme => window.deskAppearance('desk.theme', theme)", theme)
            expect(trader_page.locator("html")).to_have_attribute("data-bs-theme", theme)
    assert complaints == []


@pytest.mark.parametrize("path", ["/positions/", "/orders/", "/pnl/?range=max", "/positions/held/"])
def test_a_phone_never_scrolls_sideways(trader_page: Page, live_web: LiveWeb, path: str) -> None:
    hold()
    make_position(Trip(opened=utc_now() - timedelta(hours=2), closed=utc_now() - timedelta(hours=1)))
    make_order(message="x" * 300, state="rejected", at=utc_now())
    trader_page.set_viewport_size({"width": 375, "height": 812})
    trader_page.goto(live_web.url + path)
    assert trader_page.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_position_that_ends_under_the_pointer_keeps_its_place_and_says_how(trader_page: Page, live_web: LiveWeb) -> None:
    first, second = hold("first").as_row(), hold("second").as_row()
    trader_page.goto(f"{live_web.url}/positions/")
    rows = trader_page.locator("[data-open-rows] tr")
    ended = trader_page.locator(f'tr[data-row="{rows.first.get_attribute("data-row")}"]')
    gone = first if ended.get_attribute("data-row") == "first" else second
    ended.locator('[data-f="quantity"]').hover()
    _publish_until_class(ended, gone | {"v": gone["v"] + 5, "at": utc_now().isoformat(), "status": "closed", "realized_pnl": 12.5}, "over")
    new = make_position(Trip(symbol="NEW", exit=None, stop=145.0, opened=utc_now()), "third")
    publish("positions", [new.as_row()])
    expect(rows.last).to_contain_text("NEW")
    expect(ended.locator('[data-f="wish"]')).to_have_text("Closed. Net 12.50 USD")
    expect(ended.locator("[data-close]")).to_be_hidden()
    expect(rows.first).to_have_attribute("data-row", gone["id"])
    expect(trader_page.locator("[data-open-count]")).to_have_text("2")
    trader_page.mouse.move(2, 2)
    expect(ended).to_have_count(0)
    expect(rows.first).to_contain_text("NEW")


def _publish_until_class(row: Locator, frame: dict[str, object], name: str) -> None:
    eventually(
        lambda: publish("positions", [frame]) or name in (row.get_attribute("class") or ""), every=0.25, what=f"the row becomes {name}"
    )


def test_a_close_dialog_stays_about_its_position_when_that_has_ended(trader_page: Page, live_web: LiveWeb) -> None:
    row = hold().as_row()
    trader_page.goto(f"{live_web.url}/positions/")
    when_steady(trader_page.locator('tr[data-row="held"] [data-close]')).click()
    over = row | {"v": row["v"] + 5, "at": utc_now().isoformat(), "status": "closed"}
    _publish_until_class(trader_page.locator('tr[data-row="held"]'), over, "over")
    dialog = trader_page.locator("#close-dialog")
    expect(dialog).to_contain_text("closed meanwhile")
    expect(dialog.locator('[data-d="confirm"]')).to_be_disabled()


def test_a_refusal_goes_when_it_is_dismissed_or_the_person_tries_again(trader_page: Page, live_web: LiveWeb) -> None:
    hold()
    trader_page.goto(f"{live_web.url}/positions/held/")
    cell = trader_page.locator('[data-edit="stop"]')
    wish = trader_page.locator('[data-f="wish"]')
    asked = trader_page.locator("[data-commands] tbody tr").first
    for way, stop in (("dismissed", "148.5"), ("tried again", "148.6"), ("done", "148.7")):
        cell.locator("summary").click()
        expect(wish).to_be_hidden()
        cell.locator("[name=price]").fill(stop)
        when_steady(cell.get_by_role("button", name="Move stop")).click()
        expect(asked).to_contain_text(f"Change stop to {stop}0")
        state = "done" if way == "done" else "refused"
        CommandRecord.objects.filter(state="pending").update(state=state, reason="too close", finished_at=utc_now())
        publish("commands", [command_row(CommandRecord.objects.latest("pk"))])
        expect(wish).to_contain_text(f"Stop move: {state}")
        expect(asked.locator("[data-outcome]")).to_have_text(state)
        if way == "dismissed":
            wish.get_by_role("button", name="Dismiss").click()
            expect(wish).to_be_hidden()
