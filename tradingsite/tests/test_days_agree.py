"""One P&L by day everywhere: overview, P&L page, calendar, daily bars, limits and closed trades, against the fills themselves."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from events.bus import EventBus
from events.clock import utc_now
from events.exchange_time import exchange_date
from positions.analytics import closed_positions, count_and_net
from positions.domain.ports import BrokerSnapshot
from positions.models import FillRecord
from positions.realized import realized_by_day
from positions.tests.people import logged_in
from positions.tests.rows import ACCOUNT, make_trade
from tradingsite.worker.database import Database
from tradingsite.worker.equity import Equity
from tradingsite.worker.guard import read_standing

pytestmark = pytest.mark.django_db(transaction=True)
FEE = Decimal("1.25")
TODAY = date(2026, 3, 5)  # a Thursday


def at(day: int, hour: int = 17, month: int = 3) -> datetime:
    """A UTC hour: 17 is noon at the exchange; 3 is 22:00 of the day before."""
    return datetime(2026, month, day, hour, tzinfo=UTC)


# (signed shares, price, time); the exit rows say what they realize gross, by hand
SOLD_IN_PARTS = [(300, 100.0, at(2)), (-100, 110.0, at(3)), (-100, 95.0, at(5, 3)), (-100, 104.0, at(5))]
SHORT = [(-50, 200.0, at(4)), (50, 190.0, at(5, 15))]
OF_LAST_MONTH = [(10, 50.0, at(27, month=2)), (-10, 40.0, at(2, 15))]
STILL_HELD = [(200, 20.0, at(4)), (-80, 19.0, at(5, 18))]
STORY = [*SOLD_IN_PARTS, *SHORT, *OF_LAST_MONTH, *STILL_HELD]
GROSS = {  # by exchange day
    date(2026, 3, 2): Decimal(-100),
    date(2026, 3, 3): Decimal(1000),
    date(2026, 3, 4): Decimal(-500),  # sold at ten in the evening, which is the 5th in UTC
    date(2026, 3, 5): Decimal(400 + 500 - 80),
}


def net_by_day() -> dict[date, Decimal]:
    days: dict[date, Decimal] = defaultdict(Decimal, GROSS)
    for _, _, moment in STORY:
        days[exchange_date(moment)] -= FEE
    return dict(days)


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> None:
    for fills, symbol in ((SOLD_IN_PARTS, "AAPL"), (SHORT, "NVDA"), (OF_LAST_MONTH, "TSLA"), (STILL_HELD, "F")):
        make_trade(*fills, symbol=symbol, fee=float(FEE))
    make_trade((10, 10.0, at(5)), (-10, 1.0, at(5)), account="U999")  # another account's
    row: dict[str, Any] = {"account": ACCOUNT, "symbol": "F", "side": "sell", "quantity": 5, "price": 5, "commission": 9}
    FillRecord.objects.create(exec_id="e.1", exec_base="e", fill_time=at(5), received_at=at(5), **row)  # made elsewhere
    FillRecord.objects.create(
        exec_id="b.1", exec_base="b", position_id="p", realized_pnl=-77, superseded=True, fill_time=at(5), received_at=at(5), **row
    )
    now = at(5, 20)
    for module in ("positions.views_pnl", "tradingsite.worker.equity", "tradingsite.worker.guard", "tradingsite.overview"):
        monkeypatch.setattr(f"{module}.utc_now", lambda: now)


@pytest.fixture
def viewer(db: None) -> Client:
    return logged_in("viewer")


def live_row() -> dict[str, Any]:
    """The row that the overview shows and the daily loss limit reads; nothing is open but at its entry price."""

    async def point() -> dict[str, Any]:
        database = Database()
        equity = Equity(
            EventBus(), SimpleNamespace(active=list), SimpleNamespace(quotes={}), SimpleNamespace(put=lambda *a: None), database
        )  # type: ignore[arg-type]
        equity.account = ACCOUNT
        equity.on_snapshot(BrokerSnapshot(account_values={"TotalCashValue": 1000.0}, taken_at=utc_now()))
        await equity.point()
        await database.close()
        return equity.row

    return asyncio.run(point())


def test_every_place_that_speaks_of_a_day_agrees_with_the_fills_of_that_day(story: None, viewer: Client) -> None:
    expected = net_by_day()
    assert {day: found.net for day, found in realized_by_day(ACCOUNT).items()} == expected
    week, month = (sum(net for day, net in expected.items() if day >= first) for first in (date(2026, 3, 2), date(2026, 3, 1)))
    for period, net in (
        ("today", expected[TODAY]),
        ("wtd", week),
        ("mtd", month),
        ("ytd", sum(expected.values())),
        ("max", sum(expected.values())),
    ):
        page = viewer.get(f"/pnl/?range={period}").context
        assert page["realized"] == net
        assert sum(total.net for total in page["days"]) == net
        assert sum(Decimal(str(value)) for _, value, _ in page["daily_data"]["bars"]) == net
    calendar = viewer.get("/pnl/?range=today&month=2026-03").context["calendar"]
    assert calendar["net"] == month
    assert {day.day: day.net for week_row in calendar["weeks"] for day in week_row.days if day.day and day.fills} == {
        day: net for day, net in expected.items() if day.month == 3
    }
    assert [row.net for row in calendar["weeks"] if row.fills] == [week]
    row = live_row()
    assert row["day_pnl"] == float(expected[TODAY])
    standing = read_standing(ACCOUNT, row)
    assert (standing.day_pnl, standing.week_pnl) == (float(expected[TODAY]), float(week))


def test_a_closed_trade_belongs_to_the_day_it_closed_with_all_it_made(story: None, viewer: Client) -> None:
    today = viewer.get("/pnl/?range=today").context
    sold_in_parts, short = Decimal(1000 - 500 + 400) - 4 * FEE, Decimal(500) - 2 * FEE
    assert (today["figures"].count, today["figures"].net, today["figures"].wins) == (2, sold_in_parts + short, 2)
    assert count_and_net(closed_positions(ACCOUNT, first=TODAY, last=TODAY)) == (2, sold_in_parts + short)
    days = {total.day: (total.count, total.wins) for total in viewer.get("/pnl/?range=max").context["days"]}
    assert days == {
        date(2026, 2, 27): (0, 0),
        date(2026, 3, 2): (1, 0),
        date(2026, 3, 3): (0, 0),
        date(2026, 3, 4): (0, 0),
        TODAY: (2, 2),
    }


def test_what_was_realized_on_all_days_is_what_closed_trades_made_and_open_ones_have_realized(story: None) -> None:
    _, closed = count_and_net(closed_positions(ACCOUNT))
    still_held = Decimal(-80) - 2 * FEE
    assert sum(found.net for found in realized_by_day(ACCOUNT).values()) == closed + still_held


def test_the_page_says_which_figure_counts_what(story: None, viewer: Client) -> None:
    page = viewer.get("/pnl/?range=mtd").content.decode()
    assert "This calendar month, Mar 1, 2026 to Mar 5, 2026" in page
    assert "count each execution on its day, after fees" in page
    assert "count a trade on the day it closed" in page
    assert "The last 365 days" in viewer.get("/pnl/?range=1y").content.decode()


def test_a_fee_that_comes_later_is_a_cost_of_the_day_of_its_execution(story: None) -> None:
    before = realized_by_day(ACCOUNT)
    FillRecord.objects.filter(fill_time=at(3)).update(commission=FEE + 2)
    after = realized_by_day(ACCOUNT)
    assert {day: before[day].net - after[day].net for day in before if before[day] != after[day]} == {date(2026, 3, 3): Decimal(2)}


def test_a_day_of_entries_alone_costs_its_fees(story: None) -> None:
    assert realized_by_day(ACCOUNT, first=date(2026, 2, 27), last=date(2026, 2, 27))[date(2026, 2, 27)].net == -FEE
    assert realized_by_day(ACCOUNT, first=TODAY + timedelta(days=1)) == {}
