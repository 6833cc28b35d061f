"""Two hundred open positions and five hundred pending signals on the real pages: what goes over the wire."""

from __future__ import annotations

import gzip
import http.client
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from events.clock import utc_now
from positions.models import PositionRecord
from positions.tests.rows import Trip, make_position
from tradingsite.testing.patience import PATIENCE
from tradingsite.tests.page_data import pending_signal

if TYPE_CHECKING:
    from tradingsite.testing.live import LiveWeb

pytestmark = pytest.mark.browser

HELD = 200
PENDING = 500
WIRE = 150_000  # bytes


@pytest.fixture
def book(transactional_db: None) -> list[dict[str, Any]]:
    """The rows of 200 open positions, the newest first, beside 500 pending signals."""
    opened = utc_now() - timedelta(hours=1)
    for n in range(HELD):
        trip = Trip(symbol=f"S{n:03}", exit=None, stop=145.0, target=160.0, last=151.0, opened=opened + timedelta(seconds=n))
        make_position(trip, f"pos-{n:03}")
    for n in range(PENDING):
        pending_signal(f"P{n:03}", expires_in=900)
    return [record.as_row() for record in PositionRecord.objects.order_by("-open_time")]


def on_the_wire(page: Page, live_web: LiveWeb, path: str) -> tuple[int, str]:
    """(bytes of the body as sent, the text) of a page for a browser that takes gzip."""
    at = urlsplit(live_web.url)
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in page.context.cookies())
    link = http.client.HTTPConnection(at.hostname or "", at.port, timeout=PATIENCE)
    link.request("GET", path, headers={"Cookie": cookies, "Accept": "text/html", "Accept-Encoding": "gzip, br"})
    answer = link.getresponse()
    body = answer.read()
    link.close()
    assert answer.status == 200
    return len(body), (gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body).decode()


@pytest.mark.parametrize("path", ["/", "/positions/", "/orders/"])
def test_a_page_of_200_positions_and_500_signals_is_small_on_the_wire(
    trader_page: Page, live_web: LiveWeb, book: list[dict[str, Any]], path: str
) -> None:
    size, text = on_the_wire(trader_page, live_web, path)
    assert size <= WIRE
    assert len(text) <= 6 * WIRE
