"""Locks: what shuts entries, until when, and that one cause shuts them once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from events.order import OrderSide
from positions.domain.intent import Denied, OrderIntent
from positions.domain.locks import ClosedTrade, Standing, due_locks, lock_after
from positions.domain.risk import Lock, RiskLimits, Scope

NOW = datetime(2026, 3, 4, 15, tzinfo=UTC)
LIMITS = RiskLimits(losing_streak=3, symbol_losing_streak=2, streak_lock_minutes=60)


def standing(**changes: Any) -> Standing:
    fixed: dict[str, Any] = {"now": NOW, "day": "2026-03-04", "week": "2026-03-02"}
    fixed |= {"next_session": NOW + timedelta(hours=22), "next_week": NOW + timedelta(days=5)}
    return Standing(**(fixed | changes))


def trades(*results: tuple[str, float]) -> list[ClosedTrade]:
    """(symbol, pnl), the last of them closed ten minutes ago."""
    began = NOW - timedelta(minutes=10 + len(results))
    return [
        ClosedTrade(trade_id=f"t{i}", symbol=symbol, pnl=pnl, closed_at=began + timedelta(minutes=i + 1))
        for i, (symbol, pnl) in enumerate(results)
    ]


def due(**changes: Any) -> list[Lock]:
    return due_locks(standing(**changes), LIMITS)


def test_nothing_known_and_nothing_lost_locks_nothing() -> None:
    assert due() == []
    assert due(day_pnl=-9_999.99, week_pnl=-24_999.0, equity=90_000.0, peak=100_000.0, peak_at=NOW) == []


def test_a_days_loss_locks_until_the_next_session_and_each_further_step_anew() -> None:
    [first] = due(day_pnl=-10_000.0)
    assert (first.code, first.scope, first.until) == ("daily_loss", Scope.BOOK, NOW + timedelta(hours=22))
    [same] = due(day_pnl=-12_000.0)
    [further] = due(day_pnl=-20_000.0)
    assert same.cause == first.cause != further.cause


def test_a_weeks_loss_locks_until_the_next_week() -> None:
    [lock] = due(week_pnl=-25_000.0)
    assert (lock.code, lock.until) == ("weekly_loss", NOW + timedelta(days=5))


def test_a_losing_streak_locks_its_symbol_first_and_then_the_book() -> None:
    locks = due(trades=trades(("AAPL", 5.0), ("AAPL", -1.0), ("AAPL", -2.0)))
    assert [(lock.scope, lock.name) for lock in locks] == [(Scope.SYMBOL, "AAPL")]
    assert locks[0].until == NOW + timedelta(minutes=50)
    locks = due(trades=trades(("AAPL", -1.0), ("MSFT", -1.0), ("IBM", -1.0)))
    assert [(lock.scope, lock.name) for lock in locks] == [(Scope.BOOK, "")]


def test_a_winner_ends_the_streak_and_an_old_streak_no_longer_locks() -> None:
    assert due(trades=trades(("AAPL", -1.0), ("AAPL", -2.0), ("AAPL", 0.5))) == []
    old = ClosedTrade(trade_id="a", symbol="AAPL", pnl=-1.0, closed_at=NOW - timedelta(minutes=61))
    assert due(trades=[old, old]) == []


def test_a_drawdown_locks_until_a_person_clears_it() -> None:
    [lock] = due(equity=85_000.0, peak=100_000.0, peak_at=NOW - timedelta(days=3))
    assert (lock.code, lock.until) == ("drawdown", None)


def test_too_many_repeats_lock_their_symbol_until_cleared() -> None:
    intent = OrderIntent(intent_id="i", symbol="AAPL", side=OrderSide.BUY, quantity=1, source="flow")
    refusal = Denied(code="repeat_limit", message="20 entries.", values={"scope": "symbol", "name": "AAPL"})
    lock = lock_after(refusal, intent, NOW)
    assert lock is not None
    assert (lock.scope, lock.name, lock.until) == (Scope.SYMBOL, "AAPL", None)
    assert lock.shuts(intent, NOW + timedelta(days=9))
    assert lock_after(Denied(code="halted", message="Halted."), intent, NOW) is None
