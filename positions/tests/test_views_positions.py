"""The positions pages: what they show, what they refuse, and that a wish is filed once."""

from __future__ import annotations

import csv
import json
import time
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from events.models import CommandRecord
from positions.export import csv_lines
from positions.models import MinuteBar, PositionRecord
from positions.tests.people import logged_in
from positions.tests.rows import NOON, Trip, make_order, make_position
from positions.views_positions import span_text

pytestmark = pytest.mark.django_db
KEY = "0b6f6b1e-1111-4222-8333-444455556666"
JSON = {"HTTP_ACCEPT": "application/json"}
BAD_NUMBERS = ["", "NaN", "nan", "inf", "-Infinity", "-5", "0", "1e400", "99999999999999999999", "12,5", "<b>1</b>", "\x00", "１２e"]


@pytest.fixture
def trader(db: None) -> Client:
    return logged_in("trader")


@pytest.fixture
def held(db: None) -> str:
    """The id of an open position of 100 shares."""
    return make_position(Trip(exit=None, stop=145.0, target=160.0, last=152.0), "pos-open").position_id


# --- pages -----------------------------------------------------------------------------------------------------------


def test_open_positions_stand_first_and_closed_ones_follow_with_their_net(trader: Client, held: str) -> None:
    make_position(Trip(symbol="NVDA", entry=100.0, exit=110.0))
    page = trader.get("/positions/").content.decode()
    assert page.index('data-row="pos-open"') < page.index('id="closed"') < page.index("NVDA")
    assert "+998.00" in page


def test_someone_logged_out_sees_nothing() -> None:
    answer = Client().get("/positions/")
    assert answer.status_code == 302
    assert "/login/" in answer["Location"]


def test_a_viewer_sees_positions_but_no_money_buttons_and_is_refused_by_the_server(held: str) -> None:
    viewer = logged_in("viewer")
    page = viewer.get(f"/positions/{held}/").content.decode()
    assert "data-close" not in page
    assert "data-wish=" not in page
    for verb in ("close", "stop", "target"):
        assert viewer.post(f"/positions/{held}/{verb}", {"key": KEY, "price": "140"}).status_code == 403
    assert not CommandRecord.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        "first=2026-99-99",
        "last=yesterday",
        "first=1026-01-01",
        "symbol=<script>",
        "side=up",
        "result=x",
        "first=2026-03-05&last=2026-03-01",
    ],
)
def test_a_bad_filter_is_refused_in_words_and_shows_no_rows(trader: Client, query: str) -> None:
    make_position(Trip(symbol="NVDA"))
    answer = trader.get(f"/positions/?{query}")
    assert answer.status_code == 400
    page = answer.content.decode()
    assert 'class="field-error padded"' in page
    assert "<script>" not in page.replace("<script ", "")
    assert page.count("NVDA") == 0


@pytest.mark.parametrize("place", ["0", "-1", "9" * 40 + "~x", "x", "1e9~p"])
def test_a_place_that_no_position_has_is_no_crash(trader: Client, place: str) -> None:
    assert trader.get(f"/positions/?before={place}").status_code == 200


def test_filters_narrow_the_closed_positions_and_their_sum(trader: Client) -> None:
    make_position(Trip(symbol="NVDA", entry=100.0, exit=110.0))
    make_position(Trip(symbol="TSLA", shares=-10, entry=100.0, exit=120.0, closed=NOON + timedelta(days=3)))
    for query, kept in (
        ("symbol=nvda", "NVDA"),
        ("side=short", "TSLA"),
        ("result=lost", "TSLA"),
        ("first=2026-03-04&last=2026-03-04", "NVDA"),
    ):
        context = trader.get(f"/positions/?{query}").context
        assert [line.record.symbol for line in context["closed"]] == [kept]
        assert context["closed_net"] == context["closed"][0].record.realized_pnl


def test_markup_in_a_stored_field_is_shown_as_text(trader: Client) -> None:
    record = make_position(Trip(reason="<img src=x onerror=alert(1)>"))
    page = trader.get(f"/positions/{record.position_id}/").content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize("address", ["/positions/nobody/", "/positions/nobody/bars.json", "/positions/a<b/", f"/positions/{'x' * 500}/"])
def test_an_unknown_position_is_a_404(trader: Client, address: str) -> None:
    assert trader.get(address).status_code == 404


def test_the_detail_page_tells_every_change_with_its_reason(trader: Client, held: str) -> None:
    make_order("o-1", position_id=held, role="stop", order_type="stop", stop_price=145.0)
    CommandRecord.objects.create(
        key="k1", name="ChangeStop", payload={"price": 146.0}, state="refused", reason="too close", position_id=held, created_at=NOON
    )
    page = trader.get(f"/positions/{held}/").content.decode()
    for words in ("Every change", "quantity 0 → 100", "too close", reverse("positions:order_detail", args=["o-1"])):
        assert words in page


def test_bars_come_with_entry_stop_target_and_a_marker_for_each_fill(trader: Client) -> None:
    record = make_position(Trip(stop=145.0, target=160.0))
    MinuteBar.objects.create(symbol="AAPL", at=NOON, open=150, high=151, low=149, close=150.5, volume=10)
    answer = trader.get(f"/positions/{record.position_id}/bars.json").json()
    assert answer["bars"] == [[int(NOON.timestamp()), 150.0, 151.0, 149.0, 150.5, 10]]
    assert (answer["entry"], answer["stop"], answer["target"]) == (150.0, 145.0, 160.0)
    assert [(mark["side"], mark["price"]) for mark in answer["markers"]] == [("buy", 150.0), ("sell", 155.0)]


@pytest.mark.parametrize(
    ("span", "text"),
    [(None, ""), (timedelta(seconds=9), "9 s"), (timedelta(minutes=72), "1 h 12 min"), (timedelta(days=2, hours=4), "2 d 4 h")],
)
def test_a_span_is_told_in_its_two_largest_units(span: timedelta | None, text: str) -> None:
    assert span_text(span) == text


# --- wishes ----------------------------------------------------------------------------------------------------------


def test_closing_files_one_command_however_often_the_form_is_sent(trader: Client, held: str) -> None:
    for _ in range(3):
        answer = trader.post(f"/positions/{held}/close", {"key": KEY}, **JSON)
        assert answer.status_code == 202
        assert answer.json()["command"]["state"] == "pending"
    record = CommandRecord.objects.get()
    assert (record.name, record.payload["position_id"], record.payload["quantity"]) == ("ClosePosition", held, None)
    assert record.expires_at is not None


def test_two_people_closing_the_same_position_file_one_command(trader: Client, held: str) -> None:
    admin = logged_in("admin")
    first = trader.post(f"/positions/{held}/close", {"key": KEY}, **JSON)
    second = admin.post(f"/positions/{held}/close", {"key": KEY[::-1]}, **JSON)
    assert first.json()["command"]["id"] == second.json()["command"]["id"]
    assert CommandRecord.objects.count() == 1


def test_a_different_close_waits_for_the_one_on_its_way(trader: Client, held: str) -> None:
    trader.post(f"/positions/{held}/close", {"key": KEY, "quantity": "40"}, **JSON)
    answer = trader.post(f"/positions/{held}/close", {"key": KEY[::-1], "quantity": "60"}, **JSON)
    assert answer.status_code == 409
    assert "already on its way" in answer.json()["error"]


def test_part_of_a_position_can_be_closed_but_not_more_than_all(trader: Client, held: str) -> None:
    assert trader.post(f"/positions/{held}/close", {"key": KEY, "quantity": "101"}, **JSON).status_code == 400
    assert trader.post(f"/positions/{held}/close", {"key": KEY, "quantity": "40"}, **JSON).status_code == 202
    assert CommandRecord.objects.get().payload["quantity"] == 40


@pytest.mark.parametrize("verb", ["stop", "target"])
def test_moving_a_stop_or_target_files_its_command_with_the_price(trader: Client, held: str, verb: str) -> None:
    answer = trader.post(f"/positions/{held}/{verb}", {"key": KEY, "price": "148.25"}, **JSON)
    assert answer.status_code == 202
    record = CommandRecord.objects.get()
    assert (record.name, record.payload) == (f"Change{verb.capitalize()}", {"position_id": held, "price": 148.25})


@pytest.mark.parametrize("price", BAD_NUMBERS)
def test_a_price_that_is_no_price_is_refused_in_words(trader: Client, held: str, price: str) -> None:
    answer = trader.post(f"/positions/{held}/stop", {"key": KEY, "price": price}, **JSON)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    assert not CommandRecord.objects.exists()


@pytest.mark.parametrize("quantity", [bad for bad in BAD_NUMBERS if bad] + ["1.5", "100.0001"])
def test_a_quantity_that_is_no_whole_number_of_shares_is_refused(trader: Client, held: str, quantity: str) -> None:
    assert trader.post(f"/positions/{held}/close", {"key": KEY, "quantity": quantity}, **JSON).status_code == 400
    assert not CommandRecord.objects.exists()


@pytest.mark.parametrize("key", ["", "short", "x" * 500, "<script>", "\x00" * 20])
def test_a_form_without_a_usable_key_is_refused(trader: Client, held: str, key: str) -> None:
    assert trader.post(f"/positions/{held}/stop", {"key": key, "price": "148"}, **JSON).status_code == 400


def test_a_closed_position_cannot_be_closed_or_moved(trader: Client) -> None:
    done = make_position(Trip()).position_id
    for verb in ("close", "stop", "target"):
        answer = trader.post(f"/positions/{done}/{verb}", {"key": KEY, "price": "148"}, **JSON)
        assert answer.status_code == 409
        assert "closed" in answer.json()["error"]


@pytest.mark.parametrize("verb", ["close", "stop", "target"])
def test_a_wish_is_never_a_get(trader: Client, held: str, verb: str) -> None:
    assert trader.get(f"/positions/{held}/{verb}").status_code == 405


def test_a_wish_without_a_csrf_token_is_refused(held: str) -> None:
    strict = logged_in("trader", enforce_csrf_checks=True)
    assert strict.post(f"/positions/{held}/close", {"key": KEY}).status_code == 403
    assert not CommandRecord.objects.exists()


def test_without_scripts_a_wish_answers_with_a_page(trader: Client, held: str) -> None:
    assert trader.post(f"/positions/{held}/stop", {"key": KEY, "price": "148"}).status_code == 302
    refused = trader.post(f"/positions/{held}/stop", {"key": KEY, "price": "x"})
    assert refused.status_code == 400
    assert "plain number" in refused.content.decode()


def test_the_first_picture_carries_the_same_rows_as_the_live_topic(trader: Client, held: str) -> None:
    page = trader.get("/positions/").content.decode()
    start = page.index('<script id="open-rows" type="application/json">') + len('<script id="open-rows" type="application/json">')
    [row] = json.loads(page[start : page.index("</script>", start)])
    assert row["id"] == held
    assert {"v", "at", "quantity", "last", "unrealized_pnl", "stop_state", "r_multiple", "mfe", "mae"} <= row.keys()


def test_a_position_without_a_stop_at_its_entry_says_that_it_has_no_r_and_never_zero(trader: Client) -> None:
    make_position(Trip(symbol="BARE", exit=None, stop=None), "bare-1")
    page = trader.get("/positions/bare-1/").content.decode()
    assert "No R: no stop, or one already in profit, rested when it was entered." in page
    assert "0.00\u202fR" not in page


def test_the_detail_page_and_the_export_give_risk_and_excursions_in_r(trader: Client) -> None:
    make_position(Trip(symbol="RISK", entry=150.0, exit=160.0, stop=145.0), "risk-1")
    record = PositionRecord.objects.get(pk="risk-1")
    assert (float(record.risk_taken or 0), record.mfe_r) == (500.0, float(record.max_favorable) / 500.0)
    assert "risk taken 500.00" in trader.get("/positions/risk-1/").content.decode()
    [line] = csv.DictReader(csv_lines(PositionRecord.objects.filter(pk="risk-1")))
    assert (line["risk_taken"], line["r_multiple"], line["mfe_r"]) == ("500.0000", f"{record.r_multiple:.4f}", f"{record.mfe_r:.4f}")


def test_a_hundred_of_many_open_positions_are_shown_with_a_way_to_the_rest_and_the_list_is_read_fast(trader: Client) -> None:
    for n in range(204):
        make_position(Trip(symbol=f"S{n:03}", exit=None, stop=145.0, opened=NOON + timedelta(seconds=n)), f"many-{n:03}")
    page = trader.get("/positions/").content.decode()
    assert page.count("<tr data-row=") == 101  # and the blank for a new one
    assert "100 of 204 open" in page
    assert "and 104 more" in page
    assert page.count("<form") < 12  # no form for each row
    assert trader.get("/positions/?open=all").content.decode().count("<tr data-row=") == 205
    began = time.process_time()
    rows = trader.get("/live/positions").json()["rows"]
    assert len(rows) == 204
    assert time.process_time() - began < 0.15  # seconds of this process
