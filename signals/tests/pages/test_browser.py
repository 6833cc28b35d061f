"""The signals page in a real browser: cards come and go by themselves, and decisions are one click or one key away."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from events.feed import publish
from events.models import CommandRecord, WorkerLease
from events.rows import command_row
from positions.models import RiskLimits, RiskLock, TradingState
from signals.models import SignalRecord, SignalSettings

if TYPE_CHECKING:
    from playwright.sync_api import Page

Maker = Callable[..., Any]


@pytest.fixture
def signals_page(trader_page: "Page", live_web: Any, desk: Any, make_signal: Maker) -> "Page":
    """The page with one pending AAPL signal; worker and quote stay fresh for the length of a test."""
    WorkerLease.objects.update(heartbeat_at=timezone.now() + timedelta(minutes=5))
    RiskLimits.objects.update(quote_max_age_seconds=300)
    make_signal("first", life=300)
    trader_page.goto(f"{live_web.url}/signals/")
    return trader_page


def test_one_click_approves_and_the_card_leaves(signals_page: "Page", eventually: Any) -> None:
    card = signals_page.locator(".signal-card")
    card.get_by_role("button", name="Approve").click()
    card.wait_for(state="detached")
    assert SignalRecord.objects.get().state == "approved"
    record = CommandRecord.objects.get()
    assert (record.name, record.payload["symbol"]) == ("ApproveSignal", "AAPL")
    signals_page.get_by_text("Nothing waits").wait_for()


def test_an_impatient_double_click_is_one_command(signals_page: "Page", eventually: Any) -> None:
    signals_page.locator(".signal-card").get_by_role("button", name="Approve").dblclick()
    eventually(lambda: SignalRecord.objects.get().state == "approved")
    signals_page.locator(".signal-card").wait_for(state="detached")
    assert CommandRecord.objects.count() == 1


def test_keys_choose_approve_and_confirm(signals_page: "Page", eventually: Any) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()  # scripts run
    signals_page.keyboard.press("j")
    signals_page.keyboard.press("a")
    dialog = signals_page.get_by_role("dialog")
    assert "AAPL" in dialog.inner_text()
    assert "SIMULATED" in dialog.inner_text()
    dialog.get_by_role("button", name="Approve and send").click()
    eventually(lambda: SignalRecord.objects.get().state == "approved")


def test_approve_stays_disabled_on_a_stale_page_though_its_proposals_are_read_again(signals_page: "Page", eventually: Any) -> None:
    """The server's own limit is a second longer than the page's: what it still allows, old numbers on screen must not."""

    def with_an_old_heartbeat(route: Any) -> None:
        answer = route.fetch()
        said = answer.json()
        said["health"]["worker"]["heartbeat_at"] = (timezone.now() - timedelta(seconds=5.5)).isoformat()
        route.fulfill(response=answer, body=json.dumps(said))

    signals_page.route("**/live/*", with_an_old_heartbeat)
    signals_page.reload()
    eventually(lambda: "stale" in (signals_page.locator("html").get_attribute("class") or ""), seconds=20)
    with signals_page.expect_response("**/live/signals"):
        pass
    with signals_page.expect_response("**/live/signals"):  # the one before has been written by now
        pass
    assert signals_page.locator(".signal-blocked").is_hidden()
    assert signals_page.get_by_role("button", name="Approve").is_disabled()
    signals_page.unroute("**/live/*")
    eventually(lambda: signals_page.get_by_role("button", name="Approve").is_enabled(), seconds=15)


def test_a_blocked_card_can_never_be_approved_while_the_link_comes_and_goes(signals_page: "Page", eventually: Any) -> None:
    TradingState.objects.update(state="halted")
    signals_page.add_init_script("""
        window.pressable = 0;
        addEventListener("DOMContentLoaded", () => setInterval(() => {
          for (const card of document.querySelectorAll(".signal-card"))
            if (!card.querySelector(".signal-blocked").hidden && !card.querySelector("[data-approve]").disabled) window.pressable += 1;
        }, 5));
    """)
    signals_page.reload()
    eventually(lambda: signals_page.locator(".link-text").text_content() != "…", seconds=20)
    assert signals_page.locator(".signal-blocked").is_visible()
    assert signals_page.evaluate("window.pressable") == 0


def test_reasons_that_come_while_the_card_is_open_are_all_drawn_and_go_again(signals_page: "Page", eventually: Any) -> None:
    signals_page.set_viewport_size({"width": 375, "height": 800})
    TradingState.objects.update(state="halted", reason="fire drill")
    RiskLimits.objects.update(max_symbol_risk=1, max_open_risk=2)
    wide = {"held_by": "a-name-as-long-as-an-order-reference-may-be " * 2}
    RiskLock.objects.create(cause="c", code="repeats", scope="symbol", name="AAPL", reason="Wait.", values=wide, since=timezone.now())
    reasons = signals_page.locator(".signal-card .signal-blocked li")
    reasons.nth(3).wait_for()
    assert [item.get_attribute("data-code") for item in reasons.all()] == ["halted", "locked_repeats", "symbol_risk", "max_risk"]
    symbol_risk = reasons.nth(2)
    assert symbol_risk.locator(".refusal-figures span").all_inner_texts()[-1] == "limit 1"
    assert symbol_risk.locator(".refusal-way").inner_text() == "Make it smaller, or bring the stop closer."
    assert signals_page.evaluate("document.documentElement.scrollWidth") <= 375
    assert signals_page.get_by_role("button", name="Approve").is_disabled()
    TradingState.objects.update(state="active")
    RiskLock.objects.all().delete()
    RiskLimits.objects.update(max_symbol_risk=10_000, max_open_risk=20_000)
    signals_page.locator(".signal-blocked").wait_for(state="hidden")
    eventually(lambda: signals_page.get_by_role("button", name="Approve").is_enabled())


def test_rejecting_by_key_asks_for_a_reason(signals_page: "Page", eventually: Any) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    signals_page.keyboard.press("j")
    signals_page.keyboard.press("r")
    signals_page.get_by_label("Reason to reject").select_option("news")
    signals_page.get_by_role("button", name="Reject signal").click()
    eventually(lambda: SignalRecord.objects.get().state == "rejected")
    assert SignalRecord.objects.get().reason == "News or earnings"


def test_a_typed_size_is_kept_while_prices_move_and_a_refusal_is_shown_on_the_card(signals_page: "Page", eventually: Any) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    card = signals_page.locator(".signal-card")
    card.get_by_label("Shares").fill("7")
    card.get_by_label("Stop").fill("151")
    with signals_page.expect_response("**/live/signals"):
        pass
    assert card.get_by_label("Shares").input_value() == "7"
    card.get_by_role("button", name="Approve").click()
    card.get_by_text("must be below").wait_for()
    assert SignalRecord.objects.get().state == "pending"
    card.get_by_label("Stop").fill("149")
    card.get_by_role("button", name="Approve").click()
    eventually(lambda: SignalRecord.objects.get().state == "approved")
    assert CommandRecord.objects.get().payload["quantity"] == 7


def test_a_new_signal_appears_by_itself_and_an_expired_one_leaves(signals_page: "Page", make_signal: Maker) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    signal = make_signal("second", symbol="MSFT", life=300)
    publish("signals", [signal.as_row()])
    newcomer = signals_page.locator(".signal-card", has_text="MSFT")
    newcomer.wait_for()
    assert "No fresh price" in newcomer.inner_text()
    assert newcomer.get_by_role("button", name="Approve").is_disabled()
    SignalRecord.objects.filter(pk="second").update(state="expired", version=2)
    publish("signals", [SignalRecord.objects.get(pk="second").as_row()])
    newcomer.wait_for(state="detached")


def test_what_somebody_else_decided_is_said_on_the_card(signals_page: "Page") -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    SignalSettings.objects.update(pending_seconds=121)
    signals_page.route("**/live/signals", lambda route: route.abort())  # or the card leaves before the click
    SignalRecord.objects.update(state="rejected", version=2, decided_by="bob", decided_at=timezone.now())
    card = signals_page.locator(".signal-card")
    card.get_by_role("button", name="Approve").click()
    signals_page.get_by_text("already rejected by bob").wait_for()
    assert not CommandRecord.objects.exists()


def test_the_page_of_a_decided_signal_stays_still(signals_page: "Page", live_web: Any, eventually: Any) -> None:
    signals_page.locator(".signal-card").get_by_role("button", name="Approve").click()
    eventually(lambda: CommandRecord.objects.exists())
    loads: list[str] = []
    signals_page.goto(f"{live_web.url}/signals/{SignalRecord.objects.get().pk}/")
    with signals_page.expect_response("**/live/commands"):
        signals_page.reload()
    signals_page.on("load", lambda page: loads.append(page.url))
    signals_page.wait_for_timeout(2000)  # a reload would come after 600 ms of quiet
    assert loads == []


def test_a_refused_approval_is_decided_again_and_its_card_comes_back_on_every_open_page(
    signals_page: "Page", live_web: Any, eventually: Any
) -> None:
    signals_page.locator(".signal-card").get_by_role("button", name="Approve").click()
    signals_page.locator(".signal-card").wait_for(state="detached")
    own, heard = signals_page.context.new_page(), []
    own.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(frame)))
    own.goto(f"{live_web.url}/signals/first/")
    eventually(lambda: own.wait_for_timeout(50) or any("joined" in frame for frame in heard), what="the page hears the desk")
    answered = CommandRecord.objects.get()
    CommandRecord.objects.update(
        state="refused", code="moved_price", reason="The price moved. Nothing was sent.", finished_at=timezone.now()
    )
    answered.refresh_from_db()
    with ThreadPoolExecutor(1) as worker:  # not in this thread, which the browser's loop has
        worker.submit(publish, "commands", [command_row(answered)]).result()
    button = own.get_by_role("button", name="Decide again")
    button.wait_for()
    assert signals_page.get_by_role("link", name="Approval refused: The price moved.").get_attribute("href") == "/signals/first/"
    own.locator("form[data-again] .signal-life", has_text="left").wait_for()
    WorkerLease.objects.update(health=quoted(WorkerLease.objects.get().health, 150.4))
    button.click()
    own.locator(".signal-card").get_by_role("button", name="Approve").wait_for()
    back = signals_page.locator(".signal-card")
    back.get_by_text("left").wait_for()
    assert back.locator("[data-f=last]").inner_text() == "150.40"
    back.get_by_role("button", name="Approve").click()
    back.wait_for(state="detached")
    eventually(lambda: SignalRecord.objects.get().state == "approved")
    first, second = CommandRecord.objects.order_by("id")
    assert (first.state, second.state) == ("refused", "pending")
    assert second.payload["limit_price"] > first.payload["limit_price"]


def test_the_button_goes_when_the_signals_own_time_runs_out(signals_page: "Page", live_web: Any, eventually: Any) -> None:
    signals_page.locator(".signal-card").get_by_role("button", name="Approve").click()
    eventually(lambda: CommandRecord.objects.exists())
    CommandRecord.objects.update(state="expired", reason="Too late.", finished_at=timezone.now())
    SignalRecord.objects.update(expires_at=timezone.now() + timedelta(seconds=4))
    signals_page.goto(f"{live_web.url}/signals/first/")
    button = signals_page.get_by_role("button", name="Decide again")
    button.wait_for()
    signals_page.get_by_text("The signal itself ended at").wait_for()
    assert button.count() == 0


def quoted(health: dict[str, Any], last: float) -> dict[str, Any]:
    """What the worker says, with another price of AAPL."""
    quote = {**health["quotes"]["AAPL"], "last": last, "bid": last - 0.01, "ask": last + 0.01}
    return {**health, "quotes": {"AAPL": quote}}
