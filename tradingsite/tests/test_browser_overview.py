"""The overview and its neighbours in a real browser: what ends under a pointer says how, figures fit, a note names its size."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from events.clock import utc_now
from positions.models import PositionRecord
from positions.tests.rows import Trip, make_equity, make_order, make_position
from positions.tests.test_browser_positions import publish
from tradingsite.testing.patience import eventually

if TYPE_CHECKING:
    from tradingsite.testing.live import LiveWeb

pytestmark = pytest.mark.browser

OVERFLOWING = """() => [...document.querySelectorAll(".figure dd, .figure-value, .event-time, .month .net")]
  .filter((part) => part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display !== "inline")
  .map((part) => part.textContent.trim())"""


def test_a_position_that_ends_under_the_pointer_says_how_it_ended(trader_page: Page, live_web: LiveWeb) -> None:
    now = utc_now()
    row = make_position(Trip(exit=None, stop=145.0, last=151.0, opened=now - timedelta(minutes=20)), "held").as_row()
    trader_page.goto(live_web.url)
    line = trader_page.locator('#positions-table tr[data-id="held"]')
    line.locator("td").nth(3).hover()
    ended = row | {"v": row["v"] + 5, "status": "closed", "exit_price": 151.2, "realized_pnl": 120.5}

    def said() -> bool:
        publish("positions", [ended | {"at": utc_now().isoformat()}])
        return line.locator(".ended-note").count() == 1

    eventually(said, every=0.25, what="the row says that it ended")
    expect(line.locator(".ended-note")).to_have_text("closed at 151.20, P&L +120.50")
    trader_page.locator("h1").hover()
    expect(line).to_have_count(0)


def test_an_order_that_comes_while_somebody_is_at_the_table_waits_at_its_end(trader_page: Page, live_web: LiveWeb) -> None:
    now = utc_now()
    make_order("ord-1", role="stop", order_type="stop", stop_price=145.0, side="sell", at=now)
    row = make_order("ord-2", role="stop", order_type="stop", stop_price=145.0, side="sell", at=now)
    data = row.as_row()
    row.delete()
    trader_page.goto(f"{live_web.url}/orders/")
    orders = trader_page.locator("[data-order-rows] tr[data-order]")
    orders.first.locator("td").nth(2).hover()
    before = top_of(orders.first)

    def came() -> bool:
        publish("orders", [data | {"at": utc_now().isoformat(), "v": 9}])
        return orders.count() == 2

    eventually(came, every=0.25, what="the new order is in the table")
    assert orders.first.get_attribute("data-order") == "ord-1"
    assert top_of(orders.first) == before, "nothing under the pointer moves"
    trader_page.locator("h1").hover()
    expect(orders.first).to_have_attribute("data-order", "ord-2")


@pytest.mark.parametrize("width", [1440, 375])
def test_the_line_under_the_curve_moves_nothing_and_says_why_it_is_missing(trader_page: Page, live_web: LiveWeb, width: int) -> None:
    make_equity([f"{100_000 + n}" for n in range(9)], start=utc_now() - timedelta(minutes=30))
    trader_page.set_viewport_size({"width": width, "height": 900})
    title, note = trader_page.locator("#positions-title"), trader_page.locator("#equity-note")
    trader_page.goto(live_web.url)
    expect(note).to_contain_text("Measured from")
    where = top_of(title)
    note.evaluate("note => { note.textContent = ''; }")
    assert top_of(title) == where
    trader_page.route("**/overview/equity", lambda route: route.fulfill(status=503))
    trader_page.reload()
    expect(note).to_have_text("This could not be loaded (503). Reload the page to try again.")
    assert top_of(title) == where


def top_of(part: Locator) -> float:
    box = part.bounding_box()
    assert box
    return box["y"]


@pytest.mark.parametrize("width", [1440, 375])
def test_figures_fit_their_tiles_however_much_money_they_say(trader_page: Page, live_web: LiveWeb, width: int) -> None:
    now = utc_now()
    trip = Trip(shares=10_000, entry=150.0, exit=283.45, stop=145.0, opened=now - timedelta(minutes=9), closed=now)
    make_position(trip, "big")
    make_position(Trip(shares=10_000, entry=150.0, exit=16.55, opened=now - timedelta(minutes=9), closed=now), "bad")
    trader_page.set_viewport_size({"width": width, "height": 900})
    for path in ("/pnl/", "/", "/events/", "/events/journal/"):
        trader_page.goto(live_web.url + path)
        assert trader_page.evaluate(OVERFLOWING) == [], path
    assert PositionRecord.objects.count() == 2
