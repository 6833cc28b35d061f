"""The whole product as its user meets it: one command, a browser, a signal approved, a stop moved, a result on the P&L page.

Nothing here stands in for anything: the desk is `manage.py desk` with every process of its own.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tradingsite.testing.browser import Frames, when_steady
from tradingsite.testing.live_desk import PASSWORD, LiveDesk
from tradingsite.testing.network import LOOPBACK
from tradingsite.testing.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@pytest.fixture
def demo_page(page: Page, live_desk: LiveDesk) -> Page:
    """The overview, logged in through the form as the demo user."""
    page.goto(live_desk.url)
    page.fill("input[name=username]", "demo")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(f"{live_desk.url}/")
    return page


def ask_gateway(desk: LiveDesk, **command: Any) -> list[dict[str, Any]]:
    """The simulated gateway's own truth, by its control channel."""
    port = int((desk.data_dir / "gateway" / "control_port").read_text())
    with socket.create_connection((LOOPBACK, port), timeout=PATIENCE) as link:
        link.sendall(json.dumps(command).encode() + b"\n")
        answer: dict[str, Any] = json.loads(link.makefile().readline())
    assert answer["ok"], answer
    return list(answer.get("rows", ()))


def first_approvable(page: Page) -> Locator:
    """The first card whose Approve button is alive; predictions come every minute."""
    page.locator(".signal-card button[data-approve]:enabled").first.wait_for()
    name = page.locator(".signal-card", has=page.locator("button[data-approve]:enabled")).first.get_attribute("data-id")
    return page.locator(f'.signal-card[data-id="{name}"]')  # this one, whatever its button does


def test_a_newcomer_approves_a_signal_moves_its_stop_in_the_admin_and_closes(live_desk: LiveDesk, demo_page: Page) -> None:
    page = demo_page
    assert "SIMULATED" in page.title().upper()

    # A signal waits; approving it sends one protected order family to the gateway.
    page.goto(f"{live_desk.url}/signals/")
    card = first_approvable(page)
    symbol = card.locator("[data-f=symbol]").inner_text()
    detail = card.locator("[data-f=symbol]").get_attribute("href")
    card.locator("input[name=quantity]").fill("7")
    card.locator("button[data-approve]:enabled").wait_for()  # the server has judged 7 shares
    when_steady(card.get_by_role("button", name="Approve")).click()
    page.get_by_role("dialog").get_by_role("button", name="Approve and send").click()
    held = eventually(lambda: [p for p in ask_gateway(live_desk, query="positions") if p["quantity"]], what="a holding")
    assert [(p["symbol"], abs(p["quantity"])) for p in held] == [(symbol, 7)]
    sign = 1 if held[0]["quantity"] > 0 else -1

    # The position ticks on its page.
    page.goto(f"{live_desk.url}/positions/")
    row = page.locator("[data-open-rows] tr[data-row]", has_text=symbol)
    row.get_by_text("resting").wait_for()
    seen = row.inner_text()
    eventually(lambda: row.inner_text() != seen, what="the row ticks")
    position = row.get_attribute("data-row")

    # Its stop moves in the admin, and at the gateway.
    page.goto(f"{live_desk.url}/admin/positions/positionrecord/{position}/change/")
    wishes = page.locator(".field-wishes")
    old = float(page.input_value("input[name=stop_loss]"))
    new = round(old * (1 - sign * 0.002), 2)
    page.fill("input[name=stop_loss]", str(new))
    page.click("input[name=_continue]")
    eventually(
        lambda: [o for o in ask_gateway(live_desk, query="orders") if o["kind"] == "STP" and o["stop_price"] == new],
        what="the resting stop moved",
    )
    eventually(lambda: page.reload() and "done" in wishes.inner_text().lower(), every=0.5, what="the admin says done")

    # Closing it from its own page leaves nothing at the gateway and a result on the signal's chain.
    page.goto(f"{live_desk.url}/positions/{position}/")
    when_steady(page.get_by_role("link", name="Close", exact=True)).click()
    when_steady(page.get_by_role("dialog").locator("button[type=submit]")).click()
    eventually(lambda: not [p for p in ask_gateway(live_desk, query="positions") if p["quantity"]], what="flat")
    page.get_by_text("Why it closed").wait_for()  # the page turns itself into the closed position's
    page.goto(f"{live_desk.url}{detail}")
    eventually(lambda: page.reload() and "closed" in page.inner_text("body"), every=0.5, what="the chain ends in a result")

    # Months of results are charted, and today's is among them.
    page.goto(f"{live_desk.url}/pnl/?range=max")
    page.locator("canvas").first.wait_for()
    assert symbol in page.inner_text("body")


def test_pages_live_through_the_death_of_redis_gateway_and_worker(live_desk: LiveDesk, demo_page: Page) -> None:
    page, frames = demo_page, Frames(demo_page)
    page.goto(live_desk.url)
    light = page.locator("#live-light", has_text="Live")
    light.wait_for()
    for child in ("redis", "ibgateway", "ibworker"):
        died = live_desk.kill_child(child)
        eventually(lambda child=child, died=died: live_desk.rows[child]["pid"] not in (None, died), what=f"{child} is back")
        live_desk.wait_until_fit_to_trade()
        frames.wait_for('"heartbeat"', after=len(frames.all))
        light.wait_for()
