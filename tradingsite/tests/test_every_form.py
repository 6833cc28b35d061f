"""Every form of every page: act, be refused, cancel, act again, without a reload. A new form without a page here fails a test."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.urls import resolve
from playwright.sync_api import Page, Route

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from positions.models import BrokerCheck, ErrorTrade, OperatorTask, RiskLock, TradingState
from positions.tests.rows import Trip, make_order, make_position
from tradingsite.testing.patience import eventually
from tradingsite.tests.page_data import alarm_row

if TYPE_CHECKING:
    from tradingsite.testing.live import LiveWeb

RULES = ("trailing", "trailing_off", "break_even", "time_stop", "target", "targets_off", "add", "reverse")
POSITION = {"stop", "target", "close", "error_trade_mark"} | {f"exit_rule:{rule}" for rule in RULES}
BROKER = {f"broker_{name}" for name in ("adopt", "close", "release", "acknowledge", "doubt", "statement_check")}
PAGES = {
    "/positions/": {"stop", "target", "close"},
    "/positions/held/": POSITION,
    "/orders/": {"order_cancel"},
    "/orders/ord-1/": {"order_cancel"},
    "/broker/": BROKER,
    "/alarms/": {"alarm_acknowledge"},
    "/tasks/": {"task_done"},
    "/error-trades/": {"error_trade_settle"},
    "/trading/": {"trading_halt", "trading_resume", "trading_flatten", "clear_lock"},
}
ELSEWHERE = {
    "account": "in the menu of every page, and leaves it: tradingsite/tests/test_accounts.py",
    "logout": "leaves the desk",
    "login.html": "a page without our scripts",
    "confirm.html": "a page without our scripts",
    "change_password.html": "a page without our scripts",
    "first_password.html": "a page without our scripts",
    "approve": "signals/tests/pages",
    "approve.html": "signals/tests/pages",
    "reject": "signals/tests/pages",
    "decide_again": "signals/tests/pages",
}

KEYS = """() => [...document.querySelectorAll("main form[method=post]")]
  .map((form) => [form.getAttribute("action") ?? "", form.dataset.wish ?? ""])"""
OPEN_EDITS = """async () => { for (const edit of document.querySelectorAll("details[data-edit]")) {
  edit.open = true; await new Promise((done) => edit.addEventListener("toggle", done, { once: true })); } }"""
# Pressed as a person would, with every field that must be filled filled; the answer says whether the browser found it valid.
PRESS = """(form) => {
  for (let part = form; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  for (const field of form.elements) {
    if (!field.required || field.value || field.type === "file") continue;
    field.value = field.type === "number" ? field.max || "1" : "because";
  }
  if (!form.checkValidity()) return false;
  form.querySelector("button:not([type=button])").click();
  return true;
}"""
FREE = """(form) => form.dataset.sending === undefined && [...form.elements].every((part) => part.type !== "submit"
  || (!part.disabled && part.getAttribute("aria-disabled") !== "true"))"""
STILL_HERE_MS = 9000


def test_every_form_of_the_templates_is_tried_on_its_page() -> None:
    written = set()
    for template in (settings.BASE_DIR / "templates").rglob("*.html"):
        for tag in re.findall(r'<form\b(?:[^>"]|"[^"]*")*>', template.read_text()):
            if 'method="post"' in tag:
                written |= _keys_of(tag, template.name)
    assert written == set.union(*PAGES.values()) | set(ELSEWHERE)


def _keys_of(tag: str, template: str) -> set[str]:
    action = re.search(r'action="([^"]*)"', tag)
    found = re.findall(r"{% url '(?:\w+:)?(\w+)'[^%]*?(?:'(\w+)')? %}", action[1] if action else "")
    if found:
        return {f"{name}:{rule}" if rule else name for name, rule in found}
    wish = re.search(r'data-wish="(\w+)"', tag)
    return {wish[1] if wish else template}


@pytest.fixture
def desk(transactional_db: None) -> None:
    """Something for every form to act on."""
    now = utc_now()
    held = make_position(Trip(exit=None, stop=145.0, target=160.0, last=151.0, opened=now - timedelta(minutes=20)), "held")
    make_order("ord-1", role="stop", order_type="stop", stop_price=145.0, side="sell", at=now)
    rows = [
        _row("position:AAPL", symbol="AAPL", state="external", ours=0, theirs=60, elsewhere=60),
        _row("position:MSFT", symbol="MSFT", state="differs", ours=100, theirs=0, difference=-100, position_id="held"),
        _row("order:ord-1", kind="order", state="in_doubt", order_id="ord-1", verdict="never_sent", ours=1, theirs=0),
    ]
    data = {"id": "check", "v": 0, "at": now.isoformat(), "rows": rows, "blocked": ""}
    BrokerCheck.objects.create(account=SIMULATED_ACCOUNT, first_at=now, at=now, kind="light", blocked="", external=1, data=data)
    alarm_row()
    OperatorTask.objects.create(account=SIMULATED_ACCOUNT, key="t", kind="split", title="A split", opened_at=now)
    ErrorTrade.objects.create(
        account=SIMULATED_ACCOUNT, position_id=held.pk, symbol="AAPL", note="wrong size", marked_at=now, marked_by="x"
    )
    RiskLock.objects.create(account="DUSIM001", cause="c", code="LOSS", scope="all", reason="a loss", since=now)
    TradingState.objects.update_or_create(pk=1, defaults={"state": "halted"})


def _row(name: str, **values: Any) -> dict[str, Any]:
    blank: dict[str, Any] = {"id": name, "kind": "position", "symbol": "", "cause": "", "what": "shares", "blocks": False}
    return blank | {"difference": 0, "detail": "", "order_id": "", "position_id": "", "elsewhere": 0} | values


@pytest.fixture
def refusals(page: Page, live_web: LiveWeb, desk: None, make_user: Callable[..., Any], sign_in: Callable[..., None]) -> list[str]:
    """The paths of the POSTs so far, none of which got through. Signed in as an admin, who has every form."""
    sign_in(page.context, make_user("admin-of-the-test", role="admin"))
    sent: list[str] = []

    def refuse(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        sent.append(route.request.url)
        if "json" in (route.request.headers.get("accept") or "").split(",")[0]:
            route.fulfill(status=409, json={"error": "Not now."})
        else:
            route.fulfill(status=204)  # the browser stays on the page

    page.route("**/*", refuse)
    page.clock.install()
    return sent


@pytest.mark.browser
@pytest.mark.parametrize("path", PAGES)
def test_a_form_that_was_refused_or_left_can_be_sent_again_without_a_reload(
    page: Page, live_web: LiveWeb, refusals: list[str], path: str
) -> None:
    page.goto(live_web.url + path)
    page.wait_for_function("document.body.dataset.ready === 'yes'")
    page.evaluate("window.sameDocument = true")
    page.evaluate(OPEN_EDITS)
    tried = set()
    for action, wish in page.evaluate(KEYS):
        key = _runtime_key(action, wish)
        try_form(page, key, action, refusals)
        tried.add(key)
    assert tried == PAGES[path]
    assert page.evaluate("window.sameDocument")


def _runtime_key(action: str, wish: str) -> str:
    if not action:
        return wish
    match = resolve(action.split("?")[0])
    rule = match.kwargs.get("rule")
    return f"{match.url_name}:{rule}" if rule else str(match.url_name)


def try_form(page: Page, key: str, action: str, sent: list[str]) -> None:
    """Refused, left, held back by another handler, refused again: each time the form is as alive as before."""
    if key == "close":
        page.locator("[data-close]:visible").first.evaluate("opener => opener.click()")
    form = page.locator("#close-dialog form" if key == "close" else f'main form[method=post][action="{action}"]').first
    if key == "broker_statement_check":
        form.locator("input[type=file]").set_input_files({"name": "day.xml", "mimeType": "text/xml", "buffer": b"<x/>"})
    for press in (refused, held_back, refused):
        press(page, form, key, sent)
        if key == "close":
            page.locator("[data-close-dismiss]").evaluate("keep => keep.click()")
            page.locator("[data-close]:visible").first.evaluate("opener => opener.click()")
    if key == "close":
        page.locator("[data-close-dismiss]").evaluate("keep => keep.click()")


def refused(page: Page, form: Any, key: str, sent: list[str]) -> None:
    before = len(sent)
    assert form.evaluate(PRESS), key
    if key == "order_cancel":
        page.locator("[data-cancel-dismiss]").evaluate("keep => keep.click()")
        assert form.evaluate(PRESS), key
        page.locator("[data-cancel-confirm]").evaluate("confirm => confirm.click()")
    eventually(lambda: page.evaluate("true") and len(sent) == before + 1, what=f"{key} is sent")
    page.clock.fast_forward(STILL_HERE_MS)
    eventually(lambda: form.evaluate(FREE), what=f"{key} is free again")
    if key == "order_cancel":
        page.locator("[data-cancel-dismiss]").evaluate("keep => keep.click()")


def held_back(page: Page, form: Any, key: str, sent: list[str]) -> None:
    before = len(sent)
    form.evaluate(
        "form => form.addEventListener('submit', (event) => { event.preventDefault(); event.stopPropagation(); }, { once: true })"
    )
    assert form.evaluate(PRESS), key
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    assert (len(sent), form.evaluate(FREE)) == (before, True), key
