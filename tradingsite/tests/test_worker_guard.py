"""The guard's rows: locks survive, one cause locks once, a released loss lock allows one more step; margin is bound."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from events.bus import EventBus
from events.clock import utc_now
from events.journal import Fenced
from positions.domain.risk import Lock, RiskLimits, Scope
from positions.models import RiskLock, TradingState
from tradingsite.worker.database import Database
from tradingsite.worker.equity import EXCHANGE_ZONE
from tradingsite.worker.guard import Guard, read_locks, write_locks
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
    assert len(write_locks(free, [loss()])) == 1
    assert write_locks(free, [loss()]) == []
    locks, _, released = read_locks(utc_now())
    assert [(lock.code, lock.scope) for lock in locks] == [("daily_loss", Scope.BOOK)]
    assert released == 0
    assert read_locks(utc_now() + timedelta(hours=2))[0] == []


def test_a_released_loss_lock_stays_released_and_is_counted():
    write_locks(free, [loss()])
    RiskLock.objects.update(cleared_at=utc_now(), cleared_by="chief", clear_reason="a deposit")
    assert write_locks(free, [loss()]) == []
    locks, _, released = read_locks(utc_now())
    assert (locks, released) == ([], 1)


def test_a_worker_that_was_taken_over_makes_no_lock():
    def fence() -> None:
        raise Fenced("a newer worker has taken over")

    with pytest.raises(Fenced):
        write_locks(fence, [loss()])
    assert not RiskLock.objects.exists()


async def test_a_book_beyond_its_limits_makes_trading_reduce_only():
    database = Database()
    await database.run(lambda: TradingState.objects.update_or_create(pk=1, defaults={"state": "active"}))
    switch = TradingSwitch(EventBus(), database, on_limits=lambda row: None, on_state=lambda s, r: None, fence=free)
    await switch.refresh()
    position = SimpleNamespace(symbol="AAPL", held=100.0, open_risk=500.0, current_price=100.0, entry_price=100.0)
    equity = SimpleNamespace(account="DU1", row={"equity": 1000.0, "day_pnl": 0.0, "unrealized_pnl": 0.0})
    guard = Guard(
        bus=EventBus(), database=database, manager=None, tracker=SimpleNamespace(active=lambda: [position]), session=None, equity=equity,
        switch=switch, limits=lambda: RiskLimits(max_open_risk=400.0), session_closes=lambda: None, fence=free,
    )  # fmt: skip
    await guard.look()
    await database.close()
    assert switch.state == "reduce_only"
    assert "open risk" in switch.reason
