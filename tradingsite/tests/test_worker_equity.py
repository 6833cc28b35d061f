"""The live equity row: as fresh as the marks, without asking the database each time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from events.bus import EventBus
from events.clock import utc_now
from events.order import OrderSide
from positions.domain.ports import BrokerSnapshot, CommissionReport, ExecutionReport, PositionReport
from tradingsite.worker.equity import Equity, Past


class CountingDatabase:
    """Answers every reading with the same past."""

    def __init__(self) -> None:
        self.reads = 0
        self.past = Past(realized=100.0, realized_today=10.0, unrealized_before=4.0, until=utc_now() + timedelta(hours=1))

    async def run(self, function: Callable[..., Any], *args: Any) -> Past:
        self.reads += 1
        return self.past


class KeepingFeed:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def put(self, topic: str, key: str, row: dict[str, Any]) -> None:
        self.rows.append(row)


def held(unrealized: float) -> SimpleNamespace:
    return SimpleNamespace(symbol="SPY", held=10.0, current_price=600.0, entry_price=590.0, unrealized_pnl=unrealized, open_risk=20.0)


def desk(*positions: SimpleNamespace) -> tuple[Equity, KeepingFeed, CountingDatabase]:
    feed, database = KeepingFeed(), CountingDatabase()
    tracker = SimpleNamespace(active=lambda: list(positions))
    equity = Equity(EventBus(), tracker, SimpleNamespace(quotes={}), feed, database)  # type: ignore[arg-type]
    equity.account = "DU1"
    equity.on_snapshot(BrokerSnapshot(account_values={"TotalCashValue": 1000.0}, taken_at=utc_now()))
    return equity, feed, database


async def test_the_row_follows_every_mark_and_reads_the_database_once() -> None:
    position = held(100.0)
    equity, feed, database = desk(position)
    await equity.point()
    for profit in (101.0, 102.0, 103.0):
        position.unrealized_pnl = profit
        equity.show()
    assert [row["unrealized_pnl"] for row in feed.rows] == [100.0, 101.0, 102.0, 103.0]
    assert feed.rows[-1]["day_pnl"] == 10.0 + 103.0 - 4.0
    assert database.reads == 1


async def test_a_row_that_says_the_same_is_not_sent_again_at_once() -> None:
    equity, feed, _ = desk(held(1.0))
    await equity.point()
    equity.show()
    assert len(feed.rows) == 1


async def test_the_row_rests_after_a_fill_until_the_past_was_read_again() -> None:
    position = held(100.0)
    equity, feed, database = desk(position)
    await equity.point()
    position.unrealized_pnl = 0.0  # closed: the profit is realized, and the reading does not know it yet
    equity.on_commission(CommissionReport(exec_id="e1", commission=1.0, currency="USD", received_at=utc_now()))
    equity.show()
    assert len(feed.rows) == 1
    database.past = Past(realized=200.0, realized_today=110.0, unrealized_before=4.0, until=database.past.until)
    await equity.point()
    assert feed.rows[-1]["day_pnl"] == 106.0


async def test_a_day_that_has_ended_is_not_shown_on() -> None:
    position = held(100.0)
    equity, feed, database = desk(position)
    database.past = Past(realized=0.0, realized_today=0.0, unrealized_before=0.0, until=utc_now() - timedelta(seconds=1))
    await equity.point()
    position.unrealized_pnl = 50.0
    equity.show()
    assert len(feed.rows) == 1


def execution(exec_id: str, side: OrderSide, quantity: float, price: float, *, symbol: str = "MSFT", **more: Any) -> ExecutionReport:
    return ExecutionReport(
        exec_id=exec_id, ib_order_id=-1, client_id=99, perm_id=5, order_ref="by hand", symbol=symbol, side=side, quantity=quantity,
        price=price, cumulative_quantity=quantity, average_price=price, account="DU1", time=utc_now(), received_at=utc_now(), **more,
    )  # fmt: skip


def test_a_trade_made_elsewhere_is_no_loss_before_the_next_picture_either() -> None:
    equity, _, _ = desk()
    assert equity.worth == 1_000.0
    equity.on_execution(execution("0001.01.01", OrderSide.BUY, 9, 100.0))
    assert equity.worth == 1_000.0
    equity.on_execution(execution("0001.01.02", OrderSide.BUY, 8, 100.0))  # corrected: one share less
    assert equity.worth == 1_000.0
    equity.on_execution(execution("0002.01.01", OrderSide.SELL, 3, 110.0))
    assert equity.worth == 1_000.0 - 8 * 100.0 + 3 * 110.0 + 5 * 100.0
    equity.on_execution(execution("0002.01.02", OrderSide.SELL, 3, 110.0, liquidation=1))  # and taken back
    assert equity.worth == 1_000.0


def test_our_own_fill_is_worth_its_shares_before_the_position_has_heard_of_it() -> None:
    position = held(0.0)
    equity, _, _ = desk(position)
    shares = PositionReport(symbol="SPY", con_id=1, quantity=10.0, average_cost=590.0, account="DU1")
    equity.on_snapshot(BrokerSnapshot(account_values={"TotalCashValue": 1_000.0}, positions=(shares,), taken_at=utc_now()))
    assert equity.worth == 7_000.0
    equity.on_execution(execution("0003.01.01", OrderSide.SELL, 10, 600.0, symbol="SPY"))  # position.held is still 10
    assert equity.worth == 7_000.0


async def test_cash_that_moves_without_an_execution_rests_the_row_until_a_new_picture() -> None:
    """Another program bought for half the account: IB tells its cash at once, and its shares only when asked."""
    equity, feed, _ = desk()
    asked: list[str] = []
    equity.ask_picture = asked.append
    await equity.point()
    equity.on_account("TotalCashValue", 999.5)  # interest, a fee
    equity.show()
    assert (asked, feed.rows[-1]["equity"]) == ([], 999.5)
    equity.on_account("TotalCashValue", 499.5)
    equity.show()
    await equity.point()
    assert asked == ["cash moved by -500.00 without an execution"]
    assert (equity.row["equity"], feed.rows[-1]["equity"]) == (999.5, 999.5)
    bought = PositionReport(symbol="SPY", con_id=1, quantity=5.0, average_cost=100.0, account="DU1")
    equity.on_snapshot(BrokerSnapshot(account_values={"TotalCashValue": 499.5}, positions=(bought,), taken_at=utc_now()))
    equity.show()
    assert feed.rows[-1]["equity"] == 999.5
    assert feed.rows[-1]["cash"] == 499.5
