"""A click does what the person aimed at, or nothing: on the real pages, with a mouse, a finger and the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from events.clock import utc_now
from events.models import CommandRecord
from positions.tests.rows import Trip, make_order, make_position
from tradingsite.testing.patience import eventually

if TYPE_CHECKING:
    from tradingsite.testing.live import LiveWeb

pytestmark = pytest.mark.browser

VANISH = "row => row.remove()"
RE_SORT = "row => row.parentElement.append(row)"
MADE_LONG = "() => { document.querySelector('main').style.paddingBottom = '900px'; }"


def orders(*names: str) -> None:
    for at, name in enumerate(names):
        make_order(
            name, symbol=name.upper(), role="stop", order_type="stop", stop_price=145.0, side="sell", at=utc_now() - timedelta(minutes=at)
        )


def cancel_of(page: Page, order: str) -> Locator:
    return page.locator(f'tr[data-order="{order}"] form button')


def middle(control: Locator) -> tuple[float, float]:
    box = control.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def note(page: Page) -> Locator:
    return page.locator(".steady-note")


def open_and_stop_time(page: Page, address: str) -> None:
    """A page long after anything moved, whose clock moves only by `run_for`: a slow machine makes no click late.

    Its banners are taken away, because this desk has no worker and the one that says so would come in the middle.
    """
    page.clock.install()
    page.goto(address)
    page.wait_for_function("document.body.dataset.ready === 'yes'")
    page.evaluate("document.querySelector('.banners').remove()")
    page.clock.pause_at(page.evaluate("Date.now() / 1000 + 5"))
    page.clock.run_for(1000)


@pytest.fixture
def blotter(trader_page: Page, live_web: LiveWeb) -> Page:
    """The orders page with three orders that can be cancelled."""
    orders("ord-a", "ord-b", "ord-c")
    open_and_stop_time(trader_page, f"{live_web.url}/orders/")
    return trader_page


@pytest.mark.parametrize("change", [VANISH, RE_SORT], ids=["vanishes", "re-sorts"])
def test_the_second_click_on_another_rows_button_does_nothing_and_says_so(blotter: Page, change: str) -> None:
    x, y = middle(cancel_of(blotter, "ord-a"))
    blotter.mouse.move(x, y)
    blotter.locator('tr[data-order="ord-a"]').evaluate(change)
    assert blotter.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('tr').dataset.order", [x, y]) == "ord-b"
    blotter.mouse.click(x, y)
    expect(note(blotter)).to_contain_text("Not done")
    expect(note(blotter)).to_have_attribute("role", "status")
    expect(blotter.locator("#cancel-dialog")).to_be_hidden()
    blotter.clock.run_for(800)
    blotter.mouse.click(x, y)
    expect(blotter.locator("#cancel-dialog")).to_contain_text("ORD-B")


def test_a_banner_that_pushes_the_rows_down_takes_no_click_with_it(blotter: Page) -> None:
    x, y = middle(cancel_of(blotter, "ord-b"))
    blotter.mouse.move(x, y)
    blotter.evaluate(
        "() => { const note = document.createElement('p'); note.textContent = 'x'; document.querySelector('main').prepend(note); }"
    )
    blotter.mouse.click(*middle(cancel_of(blotter, "ord-a")))
    expect(note(blotter)).to_contain_text("Not done")
    expect(blotter.locator("#cancel-dialog")).to_be_hidden()
    blotter.clock.run_for(800)
    blotter.mouse.click(*middle(cancel_of(blotter, "ord-a")))
    expect(blotter.locator("#cancel-dialog")).to_contain_text("ORD-A")


def test_a_thing_that_goes_away_gives_its_click_to_nothing_below(blotter: Page) -> None:
    """The button below never moved; what the person pressed a second time was a note above it."""
    x, y = middle(cancel_of(blotter, "ord-a"))
    blotter.evaluate(
        """([x, y]) => {
          const cover = document.createElement("button");
          cover.textContent = "×";
          Object.assign(cover.style, { position: "fixed", left: `${x - 20}px`, top: `${y - 20}px`, width: "40px", height: "40px" });
          cover.style.zIndex = 90;
          cover.addEventListener("click", () => cover.remove());
          document.body.append(cover);
        }""",
        [x, y],
    )
    blotter.mouse.dblclick(x, y)
    expect(note(blotter)).to_contain_text("Not done")
    expect(blotter.locator("#cancel-dialog")).to_be_hidden()


def test_a_control_that_now_acts_on_something_else_takes_no_click(blotter: Page) -> None:
    button = cancel_of(blotter, "ord-a")
    x, y = middle(button)
    blotter.mouse.move(x, y)
    button.evaluate("button => { button.form.action = '/orders/ord-c/cancel'; }")
    blotter.mouse.click(x, y)
    expect(note(blotter)).to_contain_text("Not done")
    expect(blotter.locator("#cancel-dialog")).to_be_hidden()


def test_the_persons_own_scrolling_and_changes_elsewhere_hold_nothing_back(blotter: Page) -> None:
    blotter.evaluate(MADE_LONG)
    blotter.mouse.move(*middle(cancel_of(blotter, "ord-a")))
    before = blotter.evaluate("scrollY")
    eventually(lambda: blotter.mouse.wheel(0, 60) or blotter.evaluate("scrollY") > before)
    blotter.locator('tr[data-order="ord-c"] [data-o="message"]').evaluate("cell => { cell.textContent = 'x'; }")
    blotter.mouse.click(*middle(cancel_of(blotter, "ord-a")))
    expect(blotter.locator("#cancel-dialog")).to_contain_text("ORD-A")
    expect(note(blotter)).to_have_count(0)


def test_a_page_that_a_script_scrolls_has_changed(blotter: Page) -> None:
    blotter.evaluate(MADE_LONG)
    blotter.mouse.move(*middle(cancel_of(blotter, "ord-b")))
    blotter.evaluate("() => scrollTo(0, 40)")
    blotter.mouse.click(*middle(cancel_of(blotter, "ord-b")))
    expect(note(blotter)).to_contain_text("Not done")
    expect(blotter.locator("#cancel-dialog")).to_be_hidden()


def test_enter_on_a_button_that_the_person_reached_acts_at_once(blotter: Page) -> None:
    blotter.locator('tr[data-order="ord-a"] a').focus()
    blotter.keyboard.press("Tab")
    expect(cancel_of(blotter, "ord-a")).to_be_focused()
    blotter.keyboard.press("Enter")
    expect(blotter.locator("#cancel-dialog")).to_contain_text("ORD-A")


def test_enter_on_a_button_that_a_script_has_just_focused_does_nothing(blotter: Page) -> None:
    cancel_of(blotter, "ord-b").evaluate("button => button.focus()")
    blotter.keyboard.press("Enter")
    expect(note(blotter)).to_contain_text("Not done")
    expect(blotter.locator("#cancel-dialog")).to_be_hidden()


def test_a_dialog_takes_no_click_that_was_meant_for_the_page_and_says_so_above_itself(trader_page: Page, live_web: LiveWeb) -> None:
    make_position(Trip(exit=None, stop=145.0, target=160.0, opened=utc_now() - timedelta(minutes=20)), "held")
    open_and_stop_time(trader_page, f"{live_web.url}/positions/")
    trader_page.locator('tr[data-row="held"] [data-close]').click()
    confirm = trader_page.locator('#close-dialog [data-d="confirm"]')
    trader_page.mouse.click(*middle(confirm))
    expect(trader_page.locator("#close-dialog .steady-note")).to_be_visible()
    assert not CommandRecord.objects.exists()
    trader_page.clock.run_for(800)
    confirm.click()
    expect(trader_page.locator('tr[data-row="held"] [data-f="wish"]')).to_contain_text("Close: sent")


def test_a_fingers_second_tap_goes_to_nothing_else(
    browser: Browser, live_web: LiveWeb, make_user: Callable[..., Any], sign_in: Callable[..., None]
) -> None:
    orders("ord-a", "ord-b")
    context = browser.new_context(viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True)
    sign_in(context, make_user("tapping", role="trader"))
    page = context.new_page()
    open_and_stop_time(page, f"{live_web.url}/orders/")
    page.locator('tr[data-order="ord-a"]').evaluate(VANISH)
    page.touchscreen.tap(*middle(cancel_of(page, "ord-b")))
    expect(note(page)).to_contain_text("Not done")
    expect(page.locator("#cancel-dialog")).to_be_hidden()
    page.clock.run_for(800)
    page.touchscreen.tap(*middle(cancel_of(page, "ord-b")))
    expect(page.locator("#cancel-dialog")).to_contain_text("ORD-B")
    context.close()


def test_every_control_that_acts_is_guarded(trader_page: Page, live_web: LiveWeb) -> None:
    """Each submit button of a form that changes something, on every page a trader sees."""
    orders("ord-a")
    make_position(Trip(exit=None, stop=145.0, target=160.0, opened=utc_now() - timedelta(minutes=20)), "held")
    bare = []
    for path in (
        "/",
        "/positions/",
        "/positions/held/",
        "/orders/",
        "/orders/ord-a/",
        "/broker/",
        "/alarms/",
        "/tasks/",
        "/trading/",
        "/pnl/",
    ):
        trader_page.goto(live_web.url + path)
        bare += [
            f"{path}: {text}"
            for text in trader_page.evaluate(
                """() => [...document.querySelectorAll("form[method=post] button:not([type=button]):not([data-steady])")]
                  .filter((button) => !button.closest(".menu, noscript")).map((button) => button.outerHTML)"""
            )
        ]
    assert bare == []
