"""The live link in a real browser: live, polled, stale, and back, each of them visible."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from events.clock import utc_now
from events.feed import encode, group_of, publish, send_to_group
from events.health import health_now
from events.models import CommandRecord
from tradingsite.testing.browser import let_pass, when_steady
from tradingsite.testing.patience import PATIENCE
from tradingsite.tests.page_data import equity_point, fit_to_trade, held_position
from tradingsite.tests.page_pulse import Pulse

LIVE, POLLING = "Live", "Polling"


@pytest.fixture
def pulse(transactional_db: None, redis_server: Any) -> Iterator[Pulse]:
    fit_to_trade()
    held_position()
    equity_point()
    heart = Pulse()
    yield heart
    heart.stop()


# The page's own notes: when it last heard something, for how long it got no processor since then, how long it was until it called
# itself stale, and whether it took that back.
HEARING = """
  const Real = window.WebSocket;
  window.frames_heard = 0;
  let ran = performance.now();
  setInterval(() => {
    const now = performance.now();
    if (now - ran > 20) window.held_up += now - ran - 20;
    ran = now;
  }, 10);
  window.WebSocket = class extends Real {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", () => { window.heard = performance.now(); window.held_up = 0; window.frames_heard += 1; });
    }
  };
  addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
    const stale = document.documentElement.classList.contains("stale");
    if (stale) window.waited ??= performance.now() - window.heard;
    if (!stale && window.waited) window.turned_live_again = true;
  }).observe(document.documentElement, { attributes: true }));
"""


# Answers of /live/positions wait on their way while `hold` is set, each until let_go() is called.
HELD_ANSWERS = """
  const real = window.fetch;
  window.fetch = async (...given) => {
    const answer = await real(...given);
    if (window.hold && String(given[0]).endsWith("/live/positions")) await new Promise((go) => {
      window.let_go = () => { window.let_go = null; go(); };
    });
    return answer;
  };
"""


def in_thread(work: Callable[[], object]) -> None:
    """Without an event loop: the browser's lives in the test's own thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=PATIENCE)


def sent(topic: str, *rows: dict[str, Any]) -> bool:
    """A frame may be lost: send until seen."""
    in_thread(lambda: publish(topic, rows))
    return True


def link(page: Any) -> str:
    return str(page.locator(".link-text").text_content())


def is_stale(page: Any) -> bool:
    return "stale" in (page.locator("html").get_attribute("class") or "").split()


def test_numbers_grey_out_with_their_age_when_the_worker_falls_silent_and_recover(
    pulse: Pulse, trader_page: Any, eventually: Callable[..., Any]
) -> None:
    eventually(lambda: link(trader_page) == LIVE)
    pulse.beating = False
    eventually(lambda: is_stale(trader_page))
    banner = trader_page.locator("#banner-link")
    assert "old" in banner.inner_text()
    assert trader_page.locator('[data-figure="equity"]').inner_text() == "100,250.50"  # the last good number stays
    pulse.beating = True
    eventually(lambda: link(trader_page) == LIVE and not is_stale(trader_page))
    assert not banner.is_visible()


def test_a_page_is_stale_five_seconds_after_the_last_heartbeat_not_at_its_next_tick(
    pulse: Pulse, trader_page: Any, eventually: Callable[..., Any]
) -> None:
    trader_page.add_init_script(HEARING)
    for ticks_late in (0.3, 0.7):  # wherever in its second the last one falls
        trader_page.reload()
        pulse.beating = True
        eventually(lambda: link(trader_page) == LIVE)
        let_pass(trader_page, int(1000 * ticks_late))
        pulse.beating = False
        eventually(lambda: is_stale(trader_page))
        assert 4500 < trader_page.evaluate("window.waited") < 5250 + trader_page.evaluate("window.held_up")


def test_a_heartbeat_that_waited_on_its_way_proves_nothing(pulse: Pulse, trader_page: Any, eventually: Callable[..., Any]) -> None:
    trader_page.add_init_script(HEARING)
    trader_page.reload()
    eventually(lambda: link(trader_page) == LIVE)
    pulse.beating = False
    eventually(lambda: is_stale(trader_page))
    before = trader_page.evaluate("window.frames_heard")
    frame = json.loads(encode("health", [health_now()])) | {"at": (utc_now() - timedelta(seconds=8)).isoformat()}
    late = {"type": "desk.frame", "topic": "health", "text": json.dumps(frame)}
    in_thread(lambda: async_to_sync(send_to_group)(group_of("health"), late))
    eventually(lambda: trader_page.evaluate("window.frames_heard") > before)
    assert not trader_page.evaluate("window.turned_live_again")
    assert is_stale(trader_page)


def test_pages_read_by_http_while_redis_is_dead_and_go_live_again_after_it(
    pulse: Pulse, live_redis: Any, trader_page: Any, eventually: Callable[..., Any]
) -> None:
    eventually(lambda: link(trader_page) == LIVE)
    live_redis.kill()
    eventually(lambda: link(trader_page) == POLLING and not is_stale(trader_page))
    equity_point("123456.78")
    eventually(lambda: trader_page.locator('[data-figure="equity"]').inner_text() == "123,456.78")
    live_redis.start()
    eventually(lambda: link(trader_page) == LIVE)


def test_a_row_that_changes_changes_on_screen_and_an_older_one_never_does(
    pulse: Pulse, trader_page: Any, eventually: Callable[..., Any]
) -> None:
    last = trader_page.locator("#positions-table tbody tr td:nth-child(4)")
    eventually(lambda: link(trader_page) == LIVE and last.inner_text() == "160.00")
    at = utc_now().isoformat()
    row = {"id": "pos-NVDA", "symbol": "NVDA", "status": "open", "quantity": 100.0, "entry_price": 150.0, "at": at, "last_at": at}
    newer, older = row | {"v": 9, "last": 171.5, "unrealized_pnl": 2150.0}, row | {"v": 8, "last": 99.0, "unrealized_pnl": -5100.0}
    eventually(lambda: sent("positions", newer) and last.inner_text() == "171.50", every=0.5)
    other = row | {"id": "pos-ZZ", "symbol": "ZZ", "v": 1, "last": 1.0}
    eventually(lambda: sent("positions", older, other) and trader_page.locator("#positions-table tbody tr").count() == 2, every=0.5)
    assert last.first.inner_text() == "171.50"


def test_a_row_that_a_frame_brought_stays_though_a_list_asked_for_before_it_does_not_name_it(
    pulse: Pulse, trader_page: Any, eventually: Callable[..., Any]
) -> None:
    trader_page.add_init_script(HELD_ANSWERS)
    trader_page.reload()
    rows = trader_page.locator("#positions-table tbody tr")
    eventually(lambda: link(trader_page) == LIVE and rows.count() == 1)
    trader_page.evaluate("window.hold = true")

    def a_list_is_on_its_way() -> bool:
        trader_page.evaluate("dispatchEvent(new Event('online'))")
        return bool(trader_page.evaluate("Boolean(window.let_go)"))

    eventually(a_list_is_on_its_way, every=0.3)
    at = utc_now().isoformat()
    new = {
        "id": "pos-ZZ",
        "symbol": "ZZ",
        "status": "open",
        "quantity": 10.0,
        "entry_price": 1.0,
        "at": at,
        "last_at": at,
        "v": 1,
        "last": 1.0,
    }
    eventually(lambda: sent("positions", new) and rows.count() == 2, every=0.5)
    trader_page.evaluate("let_go()")
    eventually(a_list_is_on_its_way, every=0.3)  # the next one: the first has been shown
    assert rows.count() == 2
    trader_page.evaluate("let_go()")
    eventually(lambda: rows.count() == 1)  # and that one was asked for after the frame


def test_halting_takes_two_steps_and_a_double_click_files_one_command(
    pulse: Pulse, trader_page: Any, eventually: Callable[..., Any]
) -> None:
    trader_page.locator("body[data-ready]").wait_for()
    trader_page.locator("[data-halt-open]").click()
    dialog = trader_page.locator("#halt-dialog")
    assert not CommandRecord.objects.exists()
    assert trader_page.evaluate("document.activeElement.textContent") == "Keep trading"
    eventually(lambda: dialog.locator('[data-scope="positions"]').inner_text() == "1")
    when_steady(dialog.get_by_role("button", name="Halt trading")).dblclick(no_wait_after=True)
    trader_page.wait_for_url("**/trading/")
    assert [row.name for row in CommandRecord.objects.all()] == ["HaltTrading"]


@pytest.mark.parametrize("width", [375, 1366])
def test_no_page_breaks_the_policy_logs_an_error_or_scrolls_sideways(pulse: Pulse, trader_page: Any, live_web: Any, width: int) -> None:
    problems: list[str] = []
    trader_page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    trader_page.on("pageerror", lambda error: problems.append(str(error)))
    trader_page.set_viewport_size({"width": width, "height": 800})
    for address in ("/", "/events/", "/events/journal/", "/trading/"):
        trader_page.goto(live_web.url + address)
        trader_page.locator("body[data-ready]").wait_for()
        assert trader_page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    assert problems == []
