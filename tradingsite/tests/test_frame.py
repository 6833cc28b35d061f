"""The frame of every page in a real browser, the admin's pages too: nothing in it moves or covers what a person aims at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from events.clock import utc_now
from events.models import CommandRecord, WorkerLease
from positions.models import AlarmRecord, TradingState
from tradingsite.testing.browser import when_steady
from tradingsite.tests.page_data import alarm_row, equity_point, event_row, fit_to_trade, held_position, pending_signal, working_order
from tradingsite.tests.page_pulse import Pulse

DESK_PAGES = ("/", "/signals/", "/positions/", "/orders/", "/trading/")
ADMIN_PAGES = ("/admin/", "/admin/positions/orderrecord/", "/admin/signals/watchlistentry/add/", "/admin/auth/user/")
WIDTHS = (1440, 375)

# Where everything is that a person can act on; the strip's own notices are what comes and goes.
CONTROLS = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea, summary")]
  .filter((control) => !control.closest(".notices") && control.checkVisibility() && control.getBoundingClientRect().width)
  .map((control) => {
    const box = control.getBoundingClientRect();
    const across = control.closest("table") ? [] : [box.x, box.width]; // an age in a cell makes its column wider
    const name = control.getAttribute("href") || control.name || control.tagName; // words change and countdowns run, boxes do not move
    return [name, box.y + scrollY, box.height, ...across].join(" ");
  })"""

# The controls whose middle, brought into sight, belongs to something else. What needs live numbers lets clicks through while they are old.
COVERED = """() => [...document.querySelectorAll(".frame-top, main, .bottombar")]
  .flatMap((part) => [...part.querySelectorAll("a, button, input:not([type=hidden]), select, summary")])
  .filter((control) => control.checkVisibility() && control.getBoundingClientRect().width)
  .filter((control) => !control.matches(":disabled") && !control.closest("[data-needs-live], .notices, .visually-hidden"))
  .filter((control) => {
    control.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    const box = control.getBoundingClientRect();
    const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return !(there && (control.contains(there) || (there.contains(control) && there.matches("a, button, label, summary"))));
  }).map((control) => `${control.tagName} ${control.textContent.trim() || control.name}`)"""

SHOWN = """() => [...document.querySelectorAll(".banner:not([hidden])")].map((banner) => banner.id)"""


@pytest.fixture
def pulse(transactional_db: None, redis_server: Any) -> Iterator[Pulse]:
    fit_to_trade()
    held_position()
    equity_point()
    pending_signal("META", expires_in=3600)
    working_order()
    event_row(fill_quantity=10.0, fill_price=151.25, quantity=10.0)
    heart = Pulse()
    yield heart
    heart.stop()


@pytest.fixture
def admin_page(page: Any, live_web: Any, make_user: Callable[..., Any], sign_in: Callable[..., None]) -> Any:
    """A page of somebody who sees everything, the admin included."""
    sign_in(page.context, make_user("boss", role="admin"))
    page.goto(live_web.url)
    return page


def say(**parts: Any) -> None:
    """Have the worker say something else of itself from its next heartbeat on."""
    for lease in WorkerLease.objects.all():
        WorkerLease.objects.filter(pk=lease.pk).update(health=lease.health | parts)


TROUBLE = {
    "trading": {"state": "halted", "reason": "odd fills"},
    "gateway": {"state": "down", "detail": "No answer."},
    "books": {"state": "degraded", "blocked": "NVDA: ours 100, theirs 90."},
    "protection": {"alarms": [{"symbol": "NVDA", "detail": "refused", "position_id": "pos-NVDA", "since": "1"}], "tasks": 2},
}
CALM = {"trading": {"state": "active", "reason": ""}, "gateway": {"state": "ok"}, "books": {"state": "ok"}, "protection": {}}


def opened(page: Any, address: str, eventually: Callable[..., Any]) -> None:
    page.goto(address)
    page.locator("body[data-ready]").wait_for()
    eventually(lambda: page.locator("#live-light").get_attribute("data-tone") == "good")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_control_moves_or_is_covered_while_banners_and_notes_come_and_go(
    pulse: Pulse, admin_page: Any, live_web: Any, eventually: Callable[..., Any], width: int
) -> None:
    admin_page.set_viewport_size({"width": width, "height": 800})
    troubled = {"banner-alarms", "banner-protection", "banner-trading", "banner-gateway", "banner-books", "banner-tasks"}
    for address in (*DESK_PAGES, *ADMIN_PAGES):
        AlarmRecord.objects.all().delete()
        say(**CALM)
        pulse.beating = True
        opened(admin_page, live_web.url + address, eventually)
        eventually(lambda: admin_page.evaluate(SHOWN) == [])
        covered = set(admin_page.evaluate(COVERED))  # Django's own lists hide a link or two under others
        calm = admin_page.evaluate(CONTROLS)
        assert len(calm) > 10
        say(**TROUBLE)
        alarm_row()
        eventually(lambda: troubled <= set(admin_page.evaluate(SHOWN)))
        admin_page.locator(".toast-note").first.wait_for(state="attached")
        assert admin_page.evaluate(CONTROLS) == calm, address
        pulse.beating = False
        eventually(lambda: "banner-link" in admin_page.evaluate(SHOWN))
        assert admin_page.evaluate(CONTROLS) == calm, address
        assert admin_page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), address
        assert set(admin_page.evaluate(COVERED)) <= covered, address


@pytest.mark.parametrize("width", WIDTHS)
def test_trading_is_halted_from_an_admin_page_and_the_banner_stands_there_at_once(
    pulse: Pulse, admin_page: Any, live_web: Any, eventually: Callable[..., Any], width: int
) -> None:
    admin_page.set_viewport_size({"width": width, "height": 800})
    opened(admin_page, live_web.url + "/admin/positions/orderrecord/", eventually)
    admin_page.locator("[data-halt-open]").click()
    when_steady(admin_page.locator("#halt-dialog").get_by_role("button", name="Halt trading")).click()
    admin_page.wait_for_url("**/trading/")
    assert [row.name for row in CommandRecord.objects.all()] == ["HaltTrading"]
    TradingState.objects.update_or_create(pk=1, defaults={"state": "halted", "reason": "odd fills", "changed_at": utc_now()})
    for address in ADMIN_PAGES:
        admin_page.goto(live_web.url + address)
        banner = admin_page.locator("#banner-trading")
        assert banner.is_visible()
        assert "Trading is halted." in banner.inner_text()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_admin_pages_keep_the_policy_log_no_error_and_do_not_scroll_sideways(
    pulse: Pulse, admin_page: Any, live_web: Any, eventually: Callable[..., Any], width: int, theme: str
) -> None:
    problems: list[str] = []
    admin_page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    admin_page.on("pageerror", lambda error: problems.append(str(error)))
    admin_page.set_viewport_size({"width": width, "height": 800})
    admin_page.evaluate("(theme) => localStorage.setItem('desk.theme', theme)", theme)
    for address in ADMIN_PAGES:
        opened(admin_page, live_web.url + address, eventually)
        bar = admin_page.locator(".topbar").evaluate("(bar) => getComputedStyle(bar).backgroundColor")
        assert bar == {"light": "rgb(255, 255, 255)", "dark": "rgb(19, 25, 33)"}[theme]
        assert admin_page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    assert problems == []


def test_shortened_notices_are_read_in_full_by_opening_the_strip(
    pulse: Pulse, admin_page: Any, live_web: Any, eventually: Callable[..., Any]
) -> None:
    admin_page.set_viewport_size({"width": 375, "height": 800})
    opened(admin_page, live_web.url + "/", eventually)
    say(**TROUBLE)
    eventually(lambda: admin_page.locator("[data-notices-count]").inner_text() == "6")  # five banners and a note
    admin_page.locator("details[data-notices] summary").click()
    for sentence in ("Trading is halted.", "odd fills", "Broker link is down.", "ours 100, theirs 90", "2 open tasks"):
        assert sentence in admin_page.locator(".notices").inner_text()
    for link in admin_page.locator(".notices a:visible").all():
        assert link.bounding_box()["height"] >= 44
    admin_page.keyboard.press("Escape")
    assert not admin_page.locator("#banner-tasks").is_visible()


def test_the_session_clock_is_on_every_page_and_follows_a_halt(
    pulse: Pulse, admin_page: Any, live_web: Any, eventually: Callable[..., Any]
) -> None:
    for address in (*DESK_PAGES, *ADMIN_PAGES):
        opened(admin_page, live_web.url + address, eventually)
        clock = admin_page.locator("#session-clock")
        assert clock.locator("summary").inner_text().startswith("Round the clock"), address
    clock.locator("summary").click()
    assert "The simulated market trades round the clock" in clock.inner_text()
    assert "Next open: " in clock.inner_text()
    approval = clock.locator("[data-session-approval]")
    assert approval.inner_text() == "An approval now is sent at once to the simulated market."
    say(trading={"state": "halted", "reason": "odd fills"})
    eventually(lambda: approval.inner_text() == "Trading is halted: an approval now is refused.")


def test_the_session_clock_asks_the_server_again_when_its_word_runs_out(
    pulse: Pulse, admin_page: Any, live_web: Any, eventually: Callable[..., Any]
) -> None:
    opened(admin_page, live_web.url + "/", eventually)
    answer = {
        "state": "open",
        "label": "Half day",
        "next": "closes 13:00 EST",
        "until": "2099-01-01T00:00:00+00:00",
        "changes_at": "2099-01-01T00:00:00+00:00",
        "sentences": ["Half day: the exchange is open and closes at 13:00 EST."],
        "approval": "An approval now is sent at once.",
    }
    admin_page.route("**/session", lambda route: route.fulfill(json=answer))
    admin_page.evaluate("document.getElementById('session-clock').dataset.until = '2026-01-01T00:00:00+00:00'")
    label = admin_page.locator("[data-session-label]")
    eventually(lambda: label.inner_text() == "Half day")
    assert admin_page.locator("#session-clock").get_attribute("data-state") == "open"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_time_of_another_day_leaves_the_symbol_beside_it_readable(
    pulse: Pulse, admin_page: Any, live_web: Any, eventually: Callable[..., Any], width: int
) -> None:
    event_row(ago=3 * 86_400, fill_quantity=10.0, fill_price=151.25, quantity=10.0)
    admin_page.set_viewport_size({"width": width, "height": 800})
    opened(admin_page, live_web.url + "/", eventually)
    overlaps = """() => [...document.querySelectorAll(".tape li")].filter((line) =>
        line.querySelector("time").getBoundingClientRect().right > line.querySelector(".tape-symbol").getBoundingClientRect().left)
        .map((line) => line.textContent)"""
    assert admin_page.locator(".tape li").count() == 2
    assert admin_page.evaluate(overlaps) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_card_says_the_limit_of_the_drift_in_full(
    pulse: Pulse, admin_page: Any, live_web: Any, eventually: Callable[..., Any], width: int
) -> None:
    admin_page.set_viewport_size({"width": width, "height": 800})
    opened(admin_page, live_web.url + "/signals/", eventually)
    note = admin_page.locator('.signal-card .cell-note:has([data-f="drift_word"])')
    note.evaluate("(note) => { note.children[0].textContent = 'better, limit'; note.children[1].textContent = '0.50\u202f%'; }")
    assert note.evaluate("(note) => note.scrollWidth <= note.clientWidth")
