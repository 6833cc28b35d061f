"""The frame of every page in a real browser, the admin's pages too: nothing in it moves or covers what a person aims at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from events.clock import utc_now
from events.models import CommandRecord
from positions.models import TradingState
from tradingsite.testing.browser import when_steady
from tradingsite.tests.page_data import equity_point, event_row, fit_to_trade, held_position, pending_signal, working_order
from tradingsite.tests.page_pulse import Pulse

DESK_PAGES = ("/", "/signals/", "/positions/", "/orders/", "/trading/")
ADMIN_PAGES = ("/admin/", "/admin/positions/orderrecord/", "/admin/signals/watchlistentry/add/", "/admin/password_change/")
WIDTHS = (1440, 375)


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


def opened(page: Any, address: str, eventually: Callable[..., Any]) -> None:
    page.goto(address)
    page.locator("body[data-ready]").wait_for()
    eventually(lambda: page.locator("#live-light").get_attribute("data-tone") == "good")


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
