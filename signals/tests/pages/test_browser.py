"""The signals page in a real browser: cards come and go by themselves, and decisions are one click or one key away."""

import json
import re
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
from tradingsite.testing.browser import Frames, let_pass, when_steady

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Response

Maker = Callable[..., Any]
LONG = 3600  # seconds; nothing here ends by itself while a test looks at it


@pytest.fixture
def signals_page(trader_page: "Page", live_web: Any, desk: Any, heart: Any, make_signal: Maker) -> "Page":
    """The page with one pending AAPL signal, and live; worker and quote stay fresh for the length of a test."""
    RiskLimits.objects.update(quote_max_age_seconds=LONG)
    make_signal("first", life=LONG)
    trader_page.goto(f"{live_web.url}/signals/")
    live(trader_page)
    return trader_page


def press(button: "Locator") -> None:
    """As a person does, who has seen the control stand there for a moment."""
    when_steady(button).click()


def approve(card: "Locator") -> None:
    """Press Approve and answer its question."""
    press(card.get_by_role("button", name="Approve"))
    card.page.get_by_role("dialog").get_by_role("button", name="Approve and send").click()


def live(page: "Page") -> None:
    """Until then a banner may come above the list."""
    page.locator("#live-light", has_text="Live").wait_for()


def proposing(entry: float) -> Callable[["Response"], bool]:
    """Whether an answer of the cards proposes to enter at that price."""

    def says(answer: "Response") -> bool:
        return "/signals/cards?" in answer.url and answer.json()["rows"][0]["entry"] == pytest.approx(entry, abs=0.02)

    return says


def boxes(page: "Page") -> list[Any]:
    return [card.bounding_box() for card in page.locator(".signal-card").all()]


def test_an_approval_is_asked_about_and_its_card_keeps_its_place_with_the_outcome(signals_page: "Page", eventually: Any) -> None:
    live(signals_page)
    card = signals_page.locator(".signal-card")
    where = card.bounding_box()
    approve(card)
    card.get_by_text("Sent to the worker").wait_for()
    assert SignalRecord.objects.get().state == "approved"
    record = CommandRecord.objects.get()
    assert (record.name, record.payload["symbol"]) == ("ApproveSignal", "AAPL")
    signals_page.get_by_text("Nothing waits").wait_for()
    assert card.bounding_box() == where
    assert "by trader-of-the-test at" in card.inner_text()
    assert f"Buy {record.payload['quantity']:g} AAPL, limit {record.payload['limit_price']:.2f}" in card.inner_text()
    CommandRecord.objects.update(state="refused", code="moved_price", reason="The price moved.", finished_at=timezone.now())
    say("commands", [command_row(CommandRecord.objects.select_related("created_by").get())])
    card.get_by_text("The worker refused it: The price moved.").wait_for()
    press(signals_page.get_by_role("button", name="Clear 1 decided"))
    card.wait_for(state="detached")


def say(topic: str, rows: list[dict[str, Any]]) -> None:
    """Publish, but not in this thread, which the browser's loop has."""
    with ThreadPoolExecutor(1) as other:
        other.submit(publish, topic, rows).result()


@pytest.mark.parametrize("width", [1366, 375])
def test_a_second_impatient_click_on_approve_approves_no_other_signal(
    signals_page: "Page", make_signal: Maker, desk: Any, eventually: Any, width: int
) -> None:
    for symbol in ("MSFT", "NVDA"):
        desk.quote(symbol)
        make_signal(f"second-{symbol}", symbol=symbol, life=LONG)
    signals_page.set_viewport_size({"width": width, "height": 900})
    signals_page.reload()
    live(signals_page)
    signals_page.locator(".signal-life", has_text="left").nth(2).wait_for()
    first = signals_page.locator(".signal-card").first
    button = first.get_by_role("button", name="Approve")
    button.scroll_into_view_if_needed()
    place, before = button.bounding_box(), boxes(signals_page)
    assert place
    approve(first)
    for _ in range(12):
        signals_page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        let_pass(signals_page, 80)  # an impatient hand
    first.get_by_text("Sent to the worker").wait_for()
    assert boxes(signals_page) == before
    assert not signals_page.get_by_role("dialog").is_visible()
    assert {s.symbol: s.state for s in SignalRecord.objects.all()} == {"AAPL": "approved", "MSFT": "pending", "NVDA": "pending"}
    assert CommandRecord.objects.count() == 1


def test_the_signals_own_page_asks_the_same_and_its_card_stays_with_the_outcome(
    signals_page: "Page", live_web: Any, eventually: Any
) -> None:
    signals_page.goto(f"{live_web.url}/signals/first/")
    live(signals_page)
    loads: list[str] = []
    signals_page.on("load", lambda page: loads.append(page.url))
    card = signals_page.locator(".signal-card")
    card.get_by_label("Shares").fill("30")
    card.locator("button[data-approve]:enabled").wait_for()
    where = card.bounding_box()
    approve(card)
    card.get_by_text("Sent to the worker").wait_for()
    signals_page.locator("[data-part=command] tbody tr").first.wait_for()  # the chain below is read anew
    assert card.bounding_box() == where
    assert loads == []
    assert CommandRecord.objects.get().payload["quantity"] == 30


def test_decided_cards_go_by_themselves_only_when_nobody_is_near(signals_page: "Page") -> None:
    signals_page.clock.install()
    signals_page.reload()
    live(signals_page)
    card = signals_page.locator(".signal-card")
    SignalRecord.objects.update(state="rejected", version=2, decided_by="bob", decided_at=timezone.now())
    say("signals", [SignalRecord.objects.get().as_row()])
    card.get_by_text("by bob").wait_for()
    place = card.bounding_box()
    assert place
    signals_page.mouse.move(place["x"] + 20, place["y"] + 20)
    signals_page.clock.fast_forward(200_000)
    assert card.is_visible()
    signals_page.mouse.move(5, 5)
    signals_page.clock.fast_forward(50_000)
    assert card.is_visible()
    signals_page.clock.run_for(70_000)
    card.wait_for(state="detached")


# The second half of a double click, the moment the question opens: a slow machine would let its yes come alive before a test looks.
ANSWER_AS_IT_OPENS = """() => {
  const dialog = document.getElementById("approve-dialog");
  const yes = dialog.querySelector('[value="approve"]');
  new MutationObserver(() => {
    if (!dialog.open) return;
    window.could_answer ??= !yes.disabled;
    yes.click();
  }).observe(dialog, { attributes: true, attributeFilter: ["open"] });
}"""


def test_a_double_click_asks_once_and_its_second_half_answers_nothing(signals_page: "Page") -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    button = signals_page.locator(".signal-card").get_by_role("button", name="Approve")
    signals_page.evaluate(ANSWER_AS_IT_OPENS)
    press(button)
    dialog = signals_page.get_by_role("dialog")
    dialog.wait_for()
    assert signals_page.evaluate("window.could_answer") is False
    assert dialog.is_visible()
    yes = dialog.get_by_role("button", name="Approve and send")
    assert signals_page.evaluate("document.activeElement.textContent") == "Not now"
    yes.click()
    dialog.wait_for(state="hidden")
    signals_page.locator(".signal-card").get_by_text("Sent to the worker").wait_for()
    assert CommandRecord.objects.count() == 1


def test_mouse_and_key_ask_the_same_question_with_symbol_side_size_and_money(signals_page: "Page") -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    card, dialog = signals_page.locator(".signal-card"), signals_page.get_by_role("dialog")
    said = []
    for way in ("mouse", "key"):
        if way == "mouse":
            press(card.get_by_role("button", name="Approve"))
        else:
            signals_page.keyboard.press("j")
            signals_page.keyboard.press("a")
        dialog.wait_for()
        said.append(dialog.inner_text())
        dialog.get_by_role("button", name="Not now").click()
        dialog.wait_for(state="hidden")
    assert said[0] == said[1]
    for part in (
        "Buy",
        "AAPL",
        "SIMULATED",
        "DUSIM001",
        card.locator("[data-f=notional]").inner_text(),
        card.locator("[data-f=risk_dollars]").inner_text(),
    ):
        assert part in said[0], part
    assert SignalRecord.objects.get().state == "pending"


def test_the_numbers_that_were_asked_about_are_sent_though_the_price_moves_meanwhile(
    signals_page: "Page", desk: Any, eventually: Any
) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    press(signals_page.locator(".signal-card").get_by_role("button", name="Approve"))
    dialog = signals_page.get_by_role("dialog")
    asked = dialog.locator("[data-c=order]").inner_text()
    with signals_page.expect_response(proposing(150.54)):  # an answer of the old price may be on its way
        WorkerLease.objects.update(health=quoted(WorkerLease.objects.get().health, 150.3))
        signals_page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    dialog.get_by_role("button", name="Approve and send").click()
    eventually(lambda: CommandRecord.objects.exists())
    assert asked == f"limit {CommandRecord.objects.get().payload['limit_price']:.2f}, expected at 150.03"


def test_a_question_about_a_signal_that_somebody_else_decided_cannot_be_answered_yes(signals_page: "Page") -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    press(signals_page.locator(".signal-card").get_by_role("button", name="Approve"))
    dialog = signals_page.get_by_role("dialog")
    SignalRecord.objects.update(state="rejected", version=2, decided_by="bob", decided_at=timezone.now())
    say("signals", [SignalRecord.objects.get().as_row()])
    dialog.get_by_text("this signal is rejected by bob").wait_for()
    assert dialog.get_by_role("button", name="Approve and send").is_disabled()
    dialog.get_by_role("button", name="Not now").click()
    assert "rejected by bob" in signals_page.locator(".signal-card").inner_text()


def test_asking_cancelling_being_refused_and_changing_need_no_reload(signals_page: "Page", eventually: Any) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    card, dialog = signals_page.locator(".signal-card"), signals_page.get_by_role("dialog")
    for _ in range(2):
        press(card.get_by_role("button", name="Approve"))
        dialog.get_by_role("button", name="Not now").click()
        dialog.wait_for(state="hidden")
    press(card.get_by_role("button", name="Approve"))
    RiskLimits.objects.update(max_order_quantity=5)
    dialog.get_by_role("button", name="Approve and send").click()
    card.get_by_role("alert").get_by_text("5 one order may have").wait_for()
    card.get_by_label("Shares").fill("4")
    card.locator("button[data-approve]:enabled").wait_for()
    approve(card)
    eventually(lambda: SignalRecord.objects.get().state == "approved")
    assert CommandRecord.objects.get().payload["quantity"] == 4


@pytest.mark.parametrize("width", [1366, 375])
def test_nothing_that_a_card_says_moves_a_card_or_its_buttons(
    signals_page: "Page", make_signal: Maker, desk: Any, eventually: Any, width: int
) -> None:
    for symbol in ("MSFT", "NVDA", "TSLA", "AMD"):
        desk.quote(symbol)
        make_signal(symbol, symbol=symbol, life=LONG)
    signals_page.set_viewport_size({"width": width, "height": 900})
    signals_page.reload()
    live(signals_page)
    signals_page.locator(".signal-life", has_text="left").nth(4).wait_for()

    def places() -> list[Any]:
        return boxes(signals_page) + [button.bounding_box() for button in signals_page.locator("[data-approve]").all()]

    before = places()
    TradingState.objects.update(state="halted", reason="a reason that is as long as reasons are allowed to be " * 4)
    RiskLimits.objects.update(max_symbol_risk=1, max_open_risk=2)
    signals_page.locator(".signal-card .signal-blocked li[data-code=max_risk]").nth(4).wait_for()
    assert places() == before
    TradingState.objects.update(state="active")
    RiskLimits.objects.update(max_symbol_risk=10_000, max_open_risk=20_000)
    WorkerLease.objects.update(health={"account": "DUSIM001", "quotes": {}})
    signals_page.locator(".signal-card .signal-blocked li[data-code=no_price]").nth(4).wait_for()
    assert places() == before
    press(signals_page.locator(".signal-card").first.get_by_role("button", name="Reject", exact=True))
    signals_page.get_by_label("Reason to reject").first.wait_for()
    assert places() == before
    make_signal("newcomer", symbol="IBM", life=200)  # it ends before the others, and still comes last
    say("signals", [SignalRecord.objects.get(pk="newcomer").as_row()])
    signals_page.locator(".signal-card", has_text="IBM").wait_for()
    assert boxes(signals_page)[:5] == before[:5]
    SignalRecord.objects.filter(pk="first").update(state="superseded", version=2, reason="the prediction was revised")
    say("signals", [SignalRecord.objects.get(pk="first").as_row()])
    signals_page.locator(".signal-card").first.get_by_text("the prediction was revised").wait_for()
    assert boxes(signals_page)[:5] == before[:5]


def test_approve_stays_disabled_on_a_stale_page_though_its_proposals_are_read_again(
    signals_page: "Page", heart: Any, eventually: Any
) -> None:
    """The server's own limit is a second longer than the page's: what it still allows, old numbers on screen must not."""

    def with_an_old_heartbeat(route: Any) -> None:
        answer = route.fetch()
        said = answer.json()
        said["health"]["worker"]["heartbeat_at"] = (timezone.now() - timedelta(seconds=5.5)).isoformat()
        route.fulfill(response=answer, body=json.dumps(said))

    heart.stop()
    WorkerLease.objects.update(heartbeat_at=timezone.now() + timedelta(seconds=LONG))
    signals_page.route("**/live/*", with_an_old_heartbeat)
    signals_page.reload()
    eventually(lambda: "stale" in (signals_page.locator("html").get_attribute("class") or ""))
    with signals_page.expect_response("**/signals/cards?*"):
        pass
    with signals_page.expect_response("**/signals/cards?*"):  # the one before has been written by now
        pass
    assert signals_page.locator(".signal-blocked").is_hidden()
    assert signals_page.get_by_role("button", name="Approve").is_disabled()
    signals_page.unroute("**/live/*")
    eventually(lambda: signals_page.get_by_role("button", name="Approve").is_enabled())


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
    eventually(lambda: signals_page.locator(".link-text").text_content() != "…")
    assert signals_page.locator(".signal-blocked").is_visible()
    assert signals_page.evaluate("window.pressable") == 0


def test_reasons_that_come_while_the_card_is_open_are_all_drawn_and_go_again(signals_page: "Page", eventually: Any) -> None:
    signals_page.set_viewport_size({"width": 375, "height": 800})
    TradingState.objects.update(state="halted", reason="fire drill")
    RiskLimits.objects.update(max_symbol_risk=1, max_open_risk=2)
    wide = {"held_by": "a-name-as-long-as-an-order-reference-may-be " * 2}
    RiskLock.objects.create(
        account="DUSIM001", cause="c", code="repeats", scope="symbol", name="AAPL", reason="Wait.", values=wide, since=timezone.now()
    )
    reasons = signals_page.locator(".signal-card .signal-blocked li")
    reasons.nth(3).wait_for()
    assert [item.get_attribute("data-code") for item in reasons.all()] == ["halted", "locked_repeats", "symbol_risk", "max_risk"]
    symbol_risk = reasons.nth(2)
    assert symbol_risk.locator(".refusal-figures span").all_inner_texts()[-1] == "limit $1.00"
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
    press(signals_page.get_by_role("button", name="Reject signal"))
    eventually(lambda: SignalRecord.objects.get().state == "rejected")
    assert SignalRecord.objects.get().reason == "News or earnings"


def test_a_typed_ticket_is_kept_while_prices_move_and_a_stop_on_the_wrong_side_is_said_at_the_field(
    signals_page: "Page", eventually: Any
) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    card = signals_page.locator(".signal-card")
    card.get_by_label("Shares").fill("7")
    card.get_by_label("Stop").fill("151")
    card.locator(".signal-why", has_text="must be below").wait_for()
    assert card.get_by_label("Stop").get_attribute("aria-invalid") == "true"
    assert card.get_by_role("button", name="Approve").is_disabled()
    with signals_page.expect_response("**/signals/cards?*"):
        pass
    assert card.get_by_label("Shares").input_value() == "7"
    assert card.get_by_label("Stop").input_value() == "151"
    card.get_by_label("Stop").fill("149")
    card.locator("button[data-approve]:enabled").wait_for()
    approve(card)
    eventually(lambda: SignalRecord.objects.get().state == "approved")
    assert CommandRecord.objects.get().payload["quantity"] == 7


def test_make_it_smaller_can_be_obeyed(signals_page: "Page", eventually: Any) -> None:
    """Red by the proposed size, alive by the typed one, and the money beside it is the typed one's."""
    SignalSettings.objects.update(sizing="shares", shares=100)
    RiskLimits.objects.update(max_position_notional=10_000)
    signals_page.reload()
    card = signals_page.locator(".signal-card")
    card.locator(".signal-blocked").get_by_text("Make it smaller.").wait_for()
    card.get_by_label("Shares").fill("50")
    card.locator("button[data-approve]:enabled").wait_for()
    assert card.locator(".signal-blocked").is_hidden()
    entry = float(card.get_by_label("Entry limit").input_value())
    assert entry > 150
    assert card.locator("[data-f=notional]").inner_text() == f"{50 * 150.01 * 1.0001:,.2f}"
    card.get_by_label("Shares").fill("80")
    card.locator(".signal-blocked").get_by_text("Make it smaller.").wait_for()
    assert card.get_by_role("button", name="Approve").is_disabled()
    card.get_by_label("Shares").fill("50")
    card.locator("button[data-approve]:enabled").wait_for()
    approve(card)
    eventually(lambda: SignalRecord.objects.get().state == "approved")
    assert CommandRecord.objects.get().payload["quantity"] == 50


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("Shares", "-5", "At least one share"),
        ("Shares", "ten", "Enter whole shares"),
        ("Shares", "1.5", "Enter whole shares"),
        ("Shares", "", "Enter the number of shares"),
        ("Entry limit", "abc", "as a plain number"),
        ("Stop", "", "needs a stop"),
        ("Target", "140", "must be above"),
    ],
)
def test_nonsense_is_answered_by_a_sentence_at_the_field(signals_page: "Page", field: str, typed: str, sentence: str) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    card = signals_page.locator(".signal-card")
    card.get_by_label(field).fill(typed)
    card.locator(".signal-why", has_text=sentence).wait_for()
    assert card.get_by_label(field).get_attribute("aria-invalid") == "true"
    assert card.get_by_role("button", name="Approve").is_disabled()


def test_while_a_typed_ticket_is_not_judged_approve_is_disabled_and_says_so(signals_page: "Page") -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    card = signals_page.locator(".signal-card")
    held: list[Any] = []
    signals_page.route("**/judge?*", lambda route: held.append(route))
    card.get_by_label("Shares").fill("7")
    assert card.get_by_role("button", name="Approve").is_disabled()
    assert card.locator(".signal-why").inner_text() == "Being checked…"
    signals_page.wait_for_function("() => true")
    signals_page.unroute("**/judge?*")
    signals_page.route("**/judge?*", lambda route: route.abort())
    card.get_by_label("Shares").fill("8")
    card.locator(".signal-why", has_text="did not answer").wait_for()
    assert card.get_by_role("button", name="Approve").is_disabled()
    signals_page.unroute("**/judge?*")
    card.locator("button[data-approve]:enabled").wait_for()  # it asks again by itself


def test_the_latest_answer_wins_whatever_order_they_come_in(signals_page: "Page") -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    card = signals_page.locator(".signal-card")
    held: list[Any] = []
    signals_page.route("**/judge?quantity=7", lambda route: held.append(route))
    card.get_by_label("Shares").fill("7")
    with signals_page.expect_request("**/judge?quantity=7"):
        pass
    card.get_by_label("Shares").fill("9")
    card.locator("button[data-approve]:enabled").wait_for()
    worth = card.locator("[data-f=notional]").inner_text()
    held[0].continue_()
    with signals_page.expect_response("**/signals/cards?*"):
        pass
    assert card.locator("[data-f=notional]").inner_text() == worth
    assert card.get_by_label("Shares").input_value() == "9"


def test_a_new_signal_appears_by_itself_and_an_expired_one_keeps_its_place(signals_page: "Page", make_signal: Maker) -> None:
    signals_page.locator(".signal-life", has_text="left").wait_for()
    signal = make_signal("second", symbol="MSFT", life=LONG)
    say("signals", [signal.as_row()])
    newcomer = signals_page.locator(".signal-card", has_text="MSFT")
    newcomer.wait_for()
    assert "No fresh price" in newcomer.inner_text()
    assert newcomer.get_by_role("button", name="Approve").is_disabled()
    SignalRecord.objects.filter(pk="second").update(state="expired", version=2)
    say("signals", [SignalRecord.objects.get(pk="second").as_row()])
    newcomer.get_by_text("Nobody decided it in time.").wait_for()
    assert newcomer.get_by_role("button", name="Approve").count() == 0


def test_what_somebody_else_decided_is_said_on_the_card(signals_page: "Page") -> None:
    """Also when the page has not heard of it before the person says yes."""
    signals_page.locator(".signal-life", has_text="left").wait_for()
    signals_page.route("**/signals/cards?*", lambda route: route.abort())
    with signals_page.expect_event(
        "requestfailed", lambda request: "/signals/cards" in request.url
    ):  # the look before it is over, and no later one says anything
        pass
    card = signals_page.locator(".signal-card")
    press(card.get_by_role("button", name="Approve"))
    SignalRecord.objects.update(state="rejected", version=2, decided_by="bob", decided_at=timezone.now())
    signals_page.get_by_role("dialog").get_by_role("button", name="Approve and send").click()
    signals_page.get_by_text("already rejected by bob").wait_for()
    signals_page.unroute("**/signals/cards?*")
    card.locator(".signal-outcome", has_text="by bob").wait_for()
    assert not CommandRecord.objects.exists()


def test_the_page_of_a_decided_signal_stays_still(signals_page: "Page", live_web: Any, eventually: Any) -> None:
    approve(signals_page.locator(".signal-card"))
    eventually(lambda: CommandRecord.objects.exists())
    read: list[str] = []
    address = f"{live_web.url}/signals/first/"
    signals_page.goto(address)
    with signals_page.expect_response("**/live/commands"):
        signals_page.reload()
    signals_page.on("request", lambda request: read.append(request.url))
    let_pass(signals_page, 2000)  # the page would be read anew after 600 ms of quiet
    assert address not in read


def test_a_refused_approval_is_decided_again_and_its_card_comes_back_on_every_open_page(
    signals_page: "Page", live_web: Any, eventually: Any
) -> None:
    approve(signals_page.locator(".signal-card"))
    signals_page.locator(".signal-card[data-settled]").wait_for()
    own = signals_page.context.new_page()
    frames = Frames(own)
    own.goto(f"{live_web.url}/signals/first/")
    frames.wait_for('"joined"')
    answered = CommandRecord.objects.get()
    CommandRecord.objects.update(
        state="refused", code="moved_price", reason="The price moved. Nothing was sent.", finished_at=timezone.now()
    )
    answered.refresh_from_db()
    say("commands", [command_row(answered)])
    button = own.get_by_role("button", name="Decide again")
    button.wait_for()
    assert (
        signals_page.get_by_role("link", name=re.compile("Approval: .*AAPL.*, refused: The price moved")).get_attribute("href")
        == "/signals/first/"
    )
    own.locator("form[data-again] .signal-life", has_text="left").wait_for()
    WorkerLease.objects.update(health=quoted(WorkerLease.objects.get().health, 150.4))
    press(button)
    own.locator(".signal-card").get_by_role("button", name="Approve").wait_for()
    back = signals_page.locator(".signal-card")
    back.get_by_text("left").wait_for()
    assert back.locator("[data-f=last]").inner_text() == "150.40"
    approve(back)
    eventually(lambda: SignalRecord.objects.get().state == "approved")
    first, second = CommandRecord.objects.order_by("id")
    assert (first.state, second.state) == ("refused", "pending")
    assert second.payload["limit_price"] > first.payload["limit_price"]


def test_the_button_goes_when_the_signals_own_time_runs_out(signals_page: "Page", live_web: Any, eventually: Any) -> None:
    approve(signals_page.locator(".signal-card"))
    eventually(lambda: CommandRecord.objects.exists())
    CommandRecord.objects.update(state="expired", reason="Too late.", finished_at=timezone.now())
    signals_page.clock.install()
    signals_page.goto(f"{live_web.url}/signals/first/")
    button = signals_page.get_by_role("button", name="Decide again")
    button.wait_for()
    SignalRecord.objects.update(expires_at=timezone.now())
    signals_page.clock.fast_forward(LONG * 1000)
    signals_page.get_by_text("The signal itself ended at").wait_for()
    assert button.count() == 0


def quoted(health: dict[str, Any], last: float) -> dict[str, Any]:
    """What the worker says, with another price of AAPL."""
    quote = {**health["quotes"]["AAPL"], "last": last, "bid": last - 0.01, "ask": last + 0.01}
    return {**health, "quotes": {"AAPL": quote}}
