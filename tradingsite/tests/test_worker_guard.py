"""The guard's rows: locks survive, one cause locks once, a released loss lock allows one more step; margin is bound."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from events.accounts import SIMULATED_ACCOUNT
from events.bus import EventBus
from events.clock import utc_now
from events.exchange_time import EXCHANGE_ZONE
from events.journal import Fenced
from positions.domain.locks import due_locks
from positions.domain.risk import Lock, RiskLimits, Scope
from positions.locks import read_locks
from positions.models import EquityPoint, FillRecord, RiskLock, TradingState
from tradingsite.worker.database import Database
from tradingsite.worker.equity import start_of_day
from tradingsite.worker.guard import Guard, read_standing, write_locks
from tradingsite.worker.trading import TradingSwitch

pytestmark = pytest.mark.django_db(transaction=True)


def free() -> None:
    """A fence that lets pass."""


def loss(step: int = 1) -> Lock:
    now = utc_now()
    day = now.astimezone(EXCHANGE_ZONE).date().isoformat()
    return Lock(cause=f"daily_loss {day} {step}", code="daily_loss", scope=Scope.BOOK, reason="Lost.", since=now,
                until=now + timedelta(hours=1), values={"step": step})  # fmt: skip


def test_a_lock_is_kept_once_and_read_again():
    assert len(write_locks(free, SIMULATED_ACCOUNT, [loss()])) == 1
    assert write_locks(free, SIMULATED_ACCOUNT, [loss()]) == []
    locks, _, released = read_locks(SIMULATED_ACCOUNT, utc_now())
    assert [(lock.code, lock.scope) for lock in locks] == [("daily_loss", Scope.BOOK)]
    assert released == 0
    assert read_locks(SIMULATED_ACCOUNT, utc_now() + timedelta(hours=2))[0] == []


def test_a_released_loss_lock_stays_released_and_is_counted():
    write_locks(free, SIMULATED_ACCOUNT, [loss()])
    RiskLock.objects.update(cleared_at=utc_now(), cleared_by="chief", clear_reason="a deposit")
    assert write_locks(free, SIMULATED_ACCOUNT, [loss()]) == []
    locks, _, released = read_locks(SIMULATED_ACCOUNT, utc_now())
    assert (locks, released) == ([], 1)


def test_a_worker_that_was_taken_over_makes_no_lock():
    def fence() -> None:
        raise Fenced("a newer worker has taken over")

    with pytest.raises(Fenced):
        write_locks(fence, SIMULATED_ACCOUNT, [loss()])
    assert not RiskLock.objects.exists()


def test_a_weeks_loss_counts_fees_and_what_is_open_and_a_restarted_worker_reads_the_same():
    now = utc_now()
    monday = start_of_day(now - timedelta(days=start_of_day(now).weekday()))
    fill = {"account": "DU1", "symbol": "AAPL", "side": "sell", "quantity": 100, "price": 90, "position_id": "p1", "received_at": now}
    FillRecord.objects.create(exec_id="a.1", exec_base="a", realized_pnl=-500, commission=7, fill_time=now, **fill)
    FillRecord.objects.create(exec_id="b.1", exec_base="b", realized_pnl=-900, commission=1, fill_time=monday - timedelta(hours=1), **fill)
    EquityPoint.objects.create(account="DU1", at=monday - timedelta(minutes=1), equity=1, cash=1, unrealized_pnl=-40)
    row = {"day_pnl": -507.0, "unrealized_pnl": -100.0, "equity": 1000.0}
    standing = read_standing("DU1", row)
    assert standing.week_pnl == -500 - 7 - (100 - 40)
    [lock] = [each for each in due_locks(standing, RiskLimits(weekly_loss_limit=567.0)) if each.code == "weekly_loss"]
    assert write_locks(free, SIMULATED_ACCOUNT, [lock])
    again = due_locks(read_standing("DU1", row), RiskLimits(weekly_loss_limit=567.0))
    assert write_locks(free, SIMULATED_ACCOUNT, [each for each in again if each.code == "weekly_loss"]) == [], (
        "the lock of before the restart stands"
    )
    assert [each.code for each in read_locks(SIMULATED_ACCOUNT, now)[0]] == ["weekly_loss"]
    assert due_locks(standing, RiskLimits(weekly_loss_limit=567.01)) == []


async def test_a_book_beyond_its_limits_makes_trading_reduce_only():
    database = Database()
    await database.run(lambda: TradingState.objects.update_or_create(pk=1, defaults={"state": "active"}))
    switch = TradingSwitch(EventBus(), database, on_limits=lambda row: None, on_state=lambda s, r: None, fence=free)
    await switch.refresh()
    position = SimpleNamespace(symbol="AAPL", held=100.0, open_risk=500.0, current_price=100.0, entry_price=100.0)
    equity = SimpleNamespace(account="DU1", row={"equity": 1000.0, "day_pnl": 0.0, "unrealized_pnl": 0.0})
    guard = Guard(
        bus=EventBus(), database=database,
        manager=SimpleNamespace(core=SimpleNamespace(account="DU1")),
        tracker=SimpleNamespace(active=lambda: [position]), session=None, equity=equity,
        switch=switch, limits=lambda: RiskLimits(max_open_risk=400.0), session_closes=lambda: None, fence=free,
    )  # fmt: skip
    await guard.look()
    await database.close()
    assert switch.state == "reduce_only"
    assert "open risk" in switch.reason
