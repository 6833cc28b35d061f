"""The blotter and the page of one order."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client

from events.models import CommandRecord
from events.order import OrderState
from positions.domain.order_states import TERMINAL
from positions.orders import LIVE_STATES, STATE_WORDS
from positions.tests.people import logged_in
from positions.tests.rows import NOON, make_order

pytestmark = pytest.mark.django_db
KEY = "0b6f6b1e-1111-4222-8333-444455556666"
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def trader(db: None) -> Client:
    return logged_in("trader")


def shown(answer: object) -> set[str]:
    return {row["id"] for row in answer.context["rows"]}  # type: ignore[attr-defined]


def test_an_order_is_either_live_or_finished() -> None:
    assert set(OrderState) == LIVE_STATES | TERMINAL
    assert not LIVE_STATES & TERMINAL


def test_every_state_has_plain_words() -> None:
    assert set(STATE_WORDS) == {state.value for state in OrderState}


def test_the_blotter_shows_the_brokers_own_words_as_text(trader: Client) -> None:
    make_order(state="rejected", ib_status="Inactive", message="Order rejected - reason:<b>margin</b>")
    page = trader.get("/orders/").content.decode()
    assert "Order rejected - reason:&lt;b&gt;margin&lt;/b&gt;" in page
    assert "Refused by the broker" in page


def test_only_a_live_order_offers_cancel(trader: Client) -> None:
    make_order("done", state="filled")
    assert trader.get("/orders/").context["rows"][0]["live"] is False
    assert trader.post("/orders/done/cancel", {"key": KEY}, **JSON).status_code == 409


@pytest.mark.parametrize("state", sorted(LIVE_STATES))
def test_a_live_order_can_be_cancelled_once(trader: Client, state: str) -> None:
    make_order("live", state=state)
    for _ in range(2):
        assert trader.post("/orders/live/cancel", {"key": KEY}, **JSON).status_code == 202
    record = CommandRecord.objects.get()
    assert (record.name, record.payload) == ("CancelOrder", {"order_id": "live"})


def test_a_viewer_cannot_cancel(db: None) -> None:
    make_order("live")
    viewer = logged_in("viewer")
    assert viewer.post("/orders/live/cancel", {"key": KEY}).status_code == 403
    assert "data-cancel " not in viewer.get("/orders/").content.decode()


def test_filters_by_state_symbol_role_and_day(trader: Client) -> None:
    make_order("a", symbol="AAPL", state="working", role="stop", order_type="stop")
    make_order("b", symbol="NVDA", state="filled", at=NOON + timedelta(days=2))
    make_order("c", symbol="NVDA", state="denied")
    for query, kept in (
        ("state=live", {"a"}),
        ("state=denied", {"c"}),
        ("symbol=nvda", {"b", "c"}),
        ("role=stop", {"a"}),
        ("first=2026-03-06", {"b"}),
        ("last=2026-03-04", {"a", "c"}),
    ):
        assert shown(trader.get(f"/orders/?{query}")) == kept


@pytest.mark.parametrize("query", ["state=nonsense", "role=1", "first=x", "symbol=" + "A" * 40])
def test_a_bad_filter_is_refused_in_words(trader: Client, query: str) -> None:
    make_order("a")
    answer = trader.get(f"/orders/?{query}")
    assert answer.status_code == 400
    assert not shown(answer)


def test_pages_hold_fifty_and_keep_the_filter(trader: Client) -> None:
    for n in range(60):
        make_order(f"o-{n}", at=NOON + timedelta(minutes=n))
    first = trader.get("/orders/?symbol=AAPL")
    [older] = re.findall(r'rel="next" href="([^"]*)"', first.content.decode())
    assert older.startswith("?symbol=AAPL&amp;before=")
    second = trader.get(f"/orders/{unescape(older)}")
    assert (len(shown(first)), len(shown(second))) == (50, 10)
    assert not shown(first) & shown(second)
    assert "60 rows" in second.content.decode()


def test_one_order_shows_its_family_and_its_state_in_a_sentence(trader: Client) -> None:
    make_order("entry", intent_id="i1")
    make_order("stop", intent_id="i1", role="stop", order_type="stop", stop_price=140.0, pending="replace")
    page = trader.get("/orders/stop/").content.decode()
    assert "/orders/entry/" in page
    assert "Live in the market." in page
    assert "has not confirmed it" in page


@pytest.mark.parametrize("address", ["/orders/nobody/", "/orders/<x>/"])
def test_an_unknown_order_is_a_404(trader: Client, address: str) -> None:
    assert trader.get(address).status_code == 404


def test_cancel_is_never_a_get(trader: Client) -> None:
    make_order("live")
    assert trader.get("/orders/live/cancel").status_code == 405
