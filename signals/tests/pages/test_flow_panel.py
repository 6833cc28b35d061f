"""The option flow on a signal's page: shown from what is stored, asked for by looking, never waited for."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db.models import F

from events.clock import utc_now
from signals import flow_panel, flow_watch
from signals.models import FlowPoint, JobLease
from tradingsite.testing.patience import PATIENCE
from tradingsite.testing.starvation import Stopwatch

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db

Maker = Callable[..., Any]
TRADE = {"option_symbol": "AAPL260619C00200000", "price": 1.5, "bid": 1.4, "ask": 1.5, "size": 10, "trade_value": 1500.0}
POINT = {"stock_price": 200.5, "d_diff_short": 0.25, "d_diff_long": -0.1}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tickers whose flow was asked for; nothing leaves."""
    asked: list[str] = []

    def submit(send: Callable[[str], None], ticker: str) -> None:
        asked.append(ticker)
        flow_watch._waiting.release()

    monkeypatch.setattr(flow_watch._sender, "submit", submit)
    return asked


def keep(kind: str, data: dict[str, Any], key: int = 1, age: float = 60) -> None:
    FlowPoint.objects.create(kind=kind, ticker="AAPL", key=key, at=utc_now() - timedelta(seconds=age), data=data)


def test_prints_are_told_in_plain_words_and_the_series_is_oldest_first(make_signal: Maker, signed_in: Maker, sent: list[str]) -> None:
    make_signal()
    keep("trade", TRADE)
    keep("divergence", POINT, key=2, age=10)
    keep("divergence", POINT, key=1, age=70)
    client = signed_in()
    page = client.get("/signals/s1/").content.decode()
    for word in ("200.00</span> call", "19 Jun 2026", "1,500", "at ask"):
        assert word in page
    told = client.get("/signals/s1/flow").json()
    assert (told["state"], told["prints"][0]["strike"], told["prints"][0]["expiry"]) == ("ready", 200.0, "2026-06-19")
    assert [point[1:] for point in told["points"]] == [[200.5, 0.25, -0.1]] * 2
    assert told["points"][0][0] < told["points"][1][0]


def test_looking_asks_once_in_thirty_seconds_whoever_looks(make_signal: Maker, signed_in: Maker, sent: list[str]) -> None:
    make_signal()
    for name in ("ann", "bob"):
        for _ in range(3):
            assert signed_in(name).get("/signals/s1/flow").json()["state"] == "loading"
    assert sent == ["AAPL"]
    JobLease.objects.update(slot=F("slot") - flow_watch.ASK_EVERY)
    signed_in().get("/signals/s1/")
    assert sent == ["AAPL", "AAPL"]


def test_nobody_looking_means_nothing_is_asked(make_signal: Maker, signed_in: Maker, sent: list[str]) -> None:
    make_signal()
    signed_in().get("/signals/")
    signed_in().get("/live/signals")
    assert sent == []


def test_an_answer_that_does_not_come_is_said_and_old_rows_stay(
    make_signal: Maker, signed_in: Maker, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = utc_now()
    monkeypatch.setattr(flow_watch, "utc_now", lambda: asked)  # however slow the pages are, nobody asks a second time
    make_signal()
    client = signed_in()
    client.get("/signals/s1/flow")
    assert client.get("/signals/s1/flow").json()["state"] == "loading"
    now = asked + timedelta(seconds=flow_watch.ANSWER_WITHIN + 1)
    assert not flow_watch.look("AAPL").late(now - timedelta(seconds=2))
    assert flow_watch.look("AAPL").late(now)
    keep("trade", TRADE)
    assert "stored before" in flow_panel._note(flow_watch.look("AAPL"), now, found=True)


def test_a_fetch_without_rows_is_told_as_empty(make_signal: Maker, signed_in: Maker, sent: list[str]) -> None:
    make_signal()
    client = signed_in()
    client.get("/signals/s1/flow")
    flow_watch.finish("AAPL")
    told = client.get("/signals/s1/flow").json()
    assert (told["state"], told["prints"], told["points"]) == ("empty", [], [])
    assert "no rows" in told["note"]


@pytest.mark.parametrize(
    ("price", "bid", "ask", "words"),
    [
        (1.4, 1.4, 1.5, "at bid"),
        (1.5, 1.4, 1.5, "at ask"),
        (1.45, 1.4, 1.5, "middle"),
        (1.3, 1.4, 1.5, "below bid"),
        (1.6, 1.4, 1.5, "above ask"),
        (1.4, 1.4, 1.4, ""),
        (None, 1.4, 1.5, ""),
    ],
)
def test_where_in_the_market_it_traded(price: float | None, bid: float, ask: float, words: str) -> None:
    assert flow_panel.where_traded(price, bid, ask) == words


def test_a_page_is_as_fast_without_redis(make_signal: Maker, signed_in: Maker, live_redis: Any) -> None:
    make_signal()
    live_redis.kill()
    watch = Stopwatch()
    assert signed_in().get("/signals/s1/").status_code == 200
    assert watch.seconds < 2
    flow_watch._sender.submit(int).result(timeout=PATIENCE)  # the wish is given up, quietly, in its own thread
    assert signed_in().get("/signals/s1/flow").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_rows_that_come_appear_by_themselves(trader_page: "Page", live_web: Any, make_signal: Maker) -> None:
    make_signal(life=3600)
    trader_page.goto(f"{live_web.url}/signals/s1/")
    trader_page.get_by_text("Asking for recent option prints").wait_for()
    keep("trade", TRADE)
    for minute in range(30):
        keep("divergence", POINT, key=minute, age=60 * minute)
    flow_watch.finish("AAPL")
    trader_page.locator("#flow tbody tr").first.wait_for()
    assert "200.00 call" in trader_page.locator("#flow tbody tr").first.inner_text()
    trader_page.locator('[data-flow-chart][data-state="ready"] canvas').first.wait_for()
