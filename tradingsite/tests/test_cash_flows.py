"""Money that is paid in or out: found by the comparison of cash, named by a person, and no loss that locks."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from events.bus import EventBus
from events.clock import utc_now
from events.commands import AcknowledgeDifference
from positions.cash_flows import flow_adjusted
from positions.domain.flow_adjusted import Flow
from positions.domain.locks import due_locks
from positions.domain.risk import RiskLimits
from positions.models import CashFlow, EquityPoint, RiskLock, TradingState
from tradingsite.worker.cash_watch import CashWatch
from tradingsite.worker.database import Database
from tradingsite.worker.guard import Guard, read_standing
from tradingsite.worker.trading import TradingSwitch

pytestmark = pytest.mark.django_db(transaction=True)
ACCOUNT = "DU1"


def free() -> None:
    """A fence that lets pass."""


def points(*values: float, until: timedelta = timedelta(minutes=5)) -> None:
    """One a minute, the last one so long ago."""
    end = utc_now() - until
    for number, value in enumerate(reversed(values)):
        EquityPoint.objects.create(account=ACCOUNT, at=end - timedelta(minutes=number), equity=Decimal(value), cash=Decimal(value))


def drawdown(equity: float, pending: Flow | None = None) -> list[str]:
    standing = read_standing(ACCOUNT, {"equity": equity, "day_pnl": 0.0}, pending)
    return [lock.reason for lock in due_locks(standing, RiskLimits(max_drawdown_pct=15.0)) if lock.code == "drawdown"]


def paid(amount: float, before: float, *, kind: str = "withdrawal", ago: timedelta = timedelta(minutes=2)) -> None:
    CashFlow.objects.create(
        account=ACCOUNT, at=utc_now() - ago, amount=Decimal(amount), kind=kind, source="broker", equity_before=Decimal(before)
    )


def test_a_withdrawal_while_flat_locks_nothing_and_a_fall_after_it_does() -> None:
    points(255_000, 250_000)
    assert drawdown(200_000)  # as long as nobody knows what it is, it is a fall of 21.6 %
    paid(-50_000, 250_000)
    assert drawdown(200_000) == []
    [reason] = drawdown(170_000)
    assert reason == (
        "Equity of $170,000.00 is 16.7% below its highest of $204,000.00 in the last 30 days, deposits and withdrawals taken out."
    )


def test_a_deposit_hides_no_fall() -> None:
    points(100_000, 84_000)
    paid(100_000, 84_000, kind="deposit")
    [reason] = drawdown(184_000)
    assert "16.0% below" in reason


def test_a_fee_is_a_loss_and_a_dividend_a_gain() -> None:
    points(100_000)
    paid(-20_000, 100_000, kind="fee")
    assert len(drawdown(80_000)) == 1


def test_what_only_one_comparison_has_found_is_taken_out_too() -> None:
    points(255_000, 250_000)
    assert drawdown(200_000, Flow(at=utc_now() - timedelta(seconds=1), amount=-50_000, before=0.0)) == []


def test_money_of_other_accounts_is_not_ours() -> None:
    paid(-50_000, 250_000)
    assert flow_adjusted("U999").flows == []


# --- found by the comparison ------------------------------------------------------------------------------------------


def cash(difference: float, state: str) -> dict[str, Any]:
    return {"difference": difference, "state": state}


async def compared(watch: CashWatch, difference: float, state: str, at: datetime) -> None:
    await watch.compared(ACCOUNT, cash(difference, state), at)


async def rows(database: Database) -> list[tuple[float, str, str, str, float]]:
    def read() -> list[tuple[float, str, str, str, float]]:
        found = CashFlow.objects.order_by("at")
        return [(float(f.amount), f.kind, f.source, f.by, float(f.equity_before)) for f in found]

    return await database.run(read)


async def test_a_movement_that_two_comparisons_find_becomes_a_row_of_when_it_was_first_seen() -> None:
    database, first = Database(), utc_now()
    await database.run(points, 250_000)
    watch = CashWatch(database, free, 1)
    await compared(watch, 0.0, "match", first - timedelta(seconds=30))
    await compared(watch, -50_000.0, "pending", first)
    assert watch.pending is not None
    assert (watch.pending.at, watch.pending.amount, await rows(database)) == (first, -50_000, [])
    await compared(watch, -50_000.0, "differs", first + timedelta(seconds=30))
    assert (watch.pending, await rows(database)) == (None, [(-50_000, "withdrawal", "broker", "", 250_000)])
    assert await database.run(lambda: CashFlow.objects.get().at) == first
    again = CashWatch(database, free, 2)  # the next worker does not count it twice
    await again.load(ACCOUNT)
    await compared(again, -50_000.0, "differs", first + timedelta(seconds=60))
    await compared(again, -49_000.0, "differs", first + timedelta(seconds=90))
    assert [row[:2] for row in await rows(database)] == [(-50_000, "withdrawal"), (1_000, "deposit")]
    await database.close()


async def test_a_movement_that_an_execution_explains_after_all_is_forgotten() -> None:
    database, now = Database(), utc_now()
    watch = CashWatch(database, free, 1)
    for state in ("pending", "differs"):
        await compared(watch, -500.0, state, now)
    assert len(await rows(database)) == 1
    await compared(watch, 0.0, "match", now)
    assert (watch.pending, await rows(database)) == (None, [])
    await database.close()


@pytest.mark.parametrize(("kind", "kept"), [("", "deposit"), ("dividend", "dividend"), ("deposit", "deposit")])
async def test_a_person_says_what_it_was(kind: str, kept: str) -> None:
    database, now = Database(), utc_now()
    watch = CashWatch(database, free, 1)
    for state in ("pending", "differs"):
        await compared(watch, 500.0, state, now)
    command = AcknowledgeDifference(row="cash:USD", ours=0.0, theirs=500.0, reason="as told", kind=kind)
    await watch.named(ACCOUNT, command, "ann")
    assert [row[:4] for row in await rows(database)] == [(500.0, kept, "person", "ann")]
    await compared(watch, 0.0, "match", now)  # the basis was moved by it
    assert len(await rows(database)) == 1
    paid_in = await database.run(lambda: len(flow_adjusted(ACCOUNT).flows))
    assert paid_in == (0 if kept == "dividend" else 1)
    await database.close()


async def test_nothing_is_judged_by_a_picture_that_was_not_compared_yet() -> None:
    database = Database()
    await database.run(lambda: TradingState.objects.update_or_create(pk=1, defaults={"state": "active"}))
    await database.run(points, 255_000, 250_000)
    switch = TradingSwitch(EventBus(), database, on_limits=lambda row: None, on_state=lambda s, r: None, fence=free)
    equity = SimpleNamespace(account=ACCOUNT, row={"equity": 200_000.0, "day_pnl": 0.0, "unrealized_pnl": 0.0}, picture_at=utc_now())
    watch = CashWatch(database, free, 1)
    guard = Guard(
        bus=EventBus(), database=database,
        manager=SimpleNamespace(core=SimpleNamespace(account=ACCOUNT)),  # type: ignore[arg-type]
        tracker=SimpleNamespace(active=list), session=None, equity=equity,  # type: ignore[arg-type]
        switch=switch, limits=RiskLimits, session_closes=lambda: None, fence=free, cash=watch,
    )  # fmt: skip
    await guard.look()
    assert not await database.run(RiskLock.objects.exists)  # the picture is newer than the comparison
    await compared(watch, -50_000.0, "pending", equity.picture_at)
    await guard.look()
    await compared(watch, -50_000.0, "differs", equity.picture_at)
    await guard.look()
    assert not await database.run(RiskLock.objects.exists)
    equity.row["equity"] = 160_000.0
    await guard.look()
    assert await database.run(lambda: RiskLock.objects.get().code) == "drawdown"
    await database.close()
