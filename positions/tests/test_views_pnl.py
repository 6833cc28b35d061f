"""The P&L page, its curve and its CSV: one source, the same cents everywhere."""

from __future__ import annotations

import csv
import io
import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.http import StreamingHttpResponse
from django.test import Client

from positions.export import COLUMNS, text_cell
from positions.models import CashFlow, EquityPoint, PositionRecord
from positions.tests.people import logged_in
from positions.tests.rows import ACCOUNT, NOON, Trip, make_equity, make_position

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noon at the exchange on 2026-03-04."""
    monkeypatch.setattr("positions.views_pnl.utc_now", lambda: NOON)


@pytest.fixture
def viewer(db: None) -> Client:
    return logged_in("viewer")


def export(client: Client, period: str) -> list[dict[str, str]]:
    answer = client.get(f"/pnl/export.csv?range={period}")
    assert isinstance(answer, StreamingHttpResponse)
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def random_history(count: int = 60) -> None:
    """Positions closed at random moments of the last 400 days, one of them today."""
    rng = random.Random(5)
    for n in range(count):
        closed = NOON - timedelta(minutes=rng.randint(1, 400 * 1440) if n else 0)
        entry = round(rng.uniform(5, 500), 2)
        make_position(
            Trip(
                symbol=rng.choice(["AAPL", "NVDA", "TSLA"]),
                shares=rng.choice([-1, 1]) * rng.randint(1, 300),
                entry=entry,
                exit=round(entry * rng.uniform(0.93, 1.07), 2),
                opened=closed - timedelta(minutes=30),
                closed=closed,
                commission=round(rng.uniform(0.2, 3), 2),
            )
        )


@pytest.mark.parametrize("period", ["today", "wtd", "mtd", "ytd", "1y", "max"])
def test_page_symbols_list_and_export_agree_on_closed_trades_to_the_cent(viewer: Client, period: str) -> None:
    random_history()
    page = viewer.get(f"/pnl/?range={period}").context
    net = page["figures"].net
    window = page["window"]
    listed = viewer.get(f"/positions/?{f'first={window.first}&' if window.first else ''}last={window.last}").context
    lines = export(viewer, period)
    assert page["figures"].count == listed["closed_count"] == len(lines) > 0
    assert page["figures"].count == sum(total.count for total in page["days"])
    assert page["realized"] == sum((total.net for total in page["days"]), Decimal(0))
    assert net == sum((group.performance.net for group in page["by_symbol"]), Decimal(0))
    assert net == listed["closed_net"] == sum((Decimal(line["realized_pnl_net"]) for line in lines), Decimal(0))


def test_an_empty_range_says_so_and_gives_no_ratio(viewer: Client) -> None:
    answer = viewer.get("/pnl/?range=today")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "No executions in this range" in page
    assert answer.context["figures"].win_rate is None


@pytest.mark.parametrize("query", ["range=forever", "month=2026-13", "month=1999-01", "month=%00", "range=<b>", "month=2026-1"])
def test_a_bad_address_is_refused_in_words(viewer: Client, query: str) -> None:
    for path in ("/pnl/", "/pnl/equity.json", "/pnl/export.csv"):
        answer = viewer.get(f"{path}?{query}")
        assert answer.status_code == 400
        assert b"<b>" not in answer.content


def test_the_calendar_shows_its_month_whole_whatever_the_range(viewer: Client) -> None:
    make_position(Trip())  # March 2026
    calendar = viewer.get("/pnl/?range=today&month=2026-03").context["calendar"]
    assert (calendar["first"], calendar["last"], calendar["count"]) == (date(2026, 3, 1), date(2026, 3, 31), 1)
    assert calendar["net"] == PositionRecord.objects.get().realized_pnl
    assert calendar["previous"] == "2026-02"


def test_a_calendar_day_opens_that_days_closed_positions(viewer: Client) -> None:
    make_position(Trip())
    page = viewer.get("/pnl/?month=2026-03").content.decode()
    assert "/positions/?first=2026-03-04&amp;last=2026-03-04#closed" in page


def test_the_current_month_has_no_arrow_into_the_future(viewer: Client) -> None:
    assert viewer.get("/pnl/").context["calendar"]["next"] == ""


def test_the_curve_has_columns_of_equal_length_and_the_drawdown_of_those_points(viewer: Client) -> None:
    make_equity(["100.00", "120.00", "90.00", "125.50"], start=NOON - timedelta(minutes=10))
    answer = viewer.get("/pnl/equity.json?range=max").json()
    assert answer["equity"] == [100.0, 120.0, 90.0, 125.5]
    assert len(answer["at"]) == 4
    percent, money = answer["drawdown"]["percent"], answer["drawdown"]["money"]
    assert (percent["size"], money["size"]) == (-0.25, -30.0)
    assert percent["peak_at"] == money["peak_at"] == answer["at"][1]
    assert (answer["flows"], answer["return"]) == ([], pytest.approx(0.255))


def test_a_withdrawal_is_told_beside_the_curve_and_is_no_fall_of_it(viewer: Client) -> None:
    make_equity(["255000.00", "250000.00", "200000.00", "202000.00"], start=NOON - timedelta(minutes=10))
    taken = NOON - timedelta(minutes=9, seconds=30)
    CashFlow.objects.create(account=ACCOUNT, at=taken, amount=-50_000, kind="withdrawal", source="broker", equity_before=250_000)
    CashFlow.objects.create(account=ACCOUNT, at=taken, amount=1_000, kind="dividend", source="person", equity_before=250_000)
    CashFlow.objects.create(account="U999", at=taken, amount=9, kind="deposit", source="broker", equity_before=1)
    EquityPoint.objects.filter(equity=250_000).update(at=taken - timedelta(seconds=1))
    answer = viewer.get("/pnl/equity.json?range=max").json()
    assert answer["flows"] == [[int(taken.timestamp()), -50_000]]
    assert answer["drawdown"]["percent"]["size"] == pytest.approx(250 / 255 - 1)
    assert answer["drawdown"]["money"]["size"] == -5_000
    assert answer["return"] == pytest.approx(250 / 255 * 202 / 200 - 1)


def test_a_long_curve_stays_within_two_thousand_points_and_sixty_kilobytes(viewer: Client) -> None:
    make_equity([f"{1_000_000 + n * 1.37:.2f}" for n in range(6000)], start=NOON - timedelta(days=5))
    answer = viewer.get("/pnl/equity.json?range=max")
    assert 1500 < len(answer.json()["at"]) <= 2000
    assert len(answer.content) <= 60_000


def test_without_points_the_curve_is_empty_and_not_an_error(viewer: Client) -> None:
    assert viewer.get("/pnl/equity.json").json() == {
        "account": ACCOUNT,
        "at": [],
        "equity": [],
        "drawdown": None,
        "flows": [],
        "return": None,
    }


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\tx", "\rx", "\nx", '=HYPERLINK("http://x")'])
def test_a_text_cell_never_begins_like_a_formula(text: str) -> None:
    assert text_cell(text) == f"'{text}"


def test_the_export_guards_texts_and_leaves_negative_money_a_number(viewer: Client) -> None:
    make_position(Trip(exit=140.0, closed=NOON, reason='=cmd|"/c calc"!A1'))
    [line] = export(viewer, "max")
    assert tuple(line) == COLUMNS
    assert line["reason"] == '\'=cmd|"/c calc"!A1'
    assert Decimal(line["realized_pnl_net"]) == Decimal("-1002")
    assert line["exchange_date"] == "2026-03-04"


def test_posting_to_the_page_is_refused(viewer: Client) -> None:
    for path in ("/pnl/", "/pnl/equity.json", "/pnl/export.csv"):
        assert viewer.post(path).status_code == 405
