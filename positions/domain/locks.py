"""When entries shut by themselves: loss of the day or week, losing streaks, drawdown. Pure: standing in, locks due out.

Each lock carries its cause ("daily_loss 2026-03-02 1"), and a cause locks once: what a person cleared stays cleared, and only
the next step of the loss, the next losing trade or a new peak can lock again. The worker keeps the locks as rows, so they
survive restarts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from events.wording import money_text
from positions.domain.intent import Denied, OrderIntent
from positions.domain.risk_context import Lock, RiskLimits, Scope, name_in
from positions.domain.risk_pace import REPEAT_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """A finished position; `pnl` after fees."""

    trade_id: str
    symbol: str
    pnl: float
    closed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The account as of `now`. P&L is realized plus open after fees; `peak` the highest equity of the last thirty days.

    `trades` are the lately closed ones, newest last; `next_session` and `next_week` when a loss lock ends by itself.
    """

    now: datetime
    day: str  # the exchange's date
    week: str  # the date of its Monday
    day_pnl: float | None = None
    week_pnl: float | None = None
    equity: float | None = None
    peak: float | None = None
    peak_at: datetime | None = None
    flows: bool = False  # money was paid in or out since the peak may have been: it is taken out of it
    trades: Sequence[ClosedTrade] = ()
    next_session: datetime
    next_week: datetime


def due_locks(standing: Standing, limits: RiskLimits) -> list[Lock]:
    """Every lock the standing calls for, also those that stand already or were cleared: `cause` tells them apart."""
    return [*_losses(standing, limits), *_streaks(standing, limits), *_drawdown(standing, limits)]


def lock_after(refusal: Denied, intent: OrderIntent, now: datetime) -> Lock | None:
    """The lock a refusal calls for: too many repeats shut their symbol or source until a person has looked."""
    if refusal.code != REPEAT_LIMIT:
        return None
    scope = Scope(refusal.values["scope"])
    name = name_in(scope, intent)
    cause = f"{REPEAT_LIMIT} {scope.value} {name} {now:%Y%m%dT%H%M%S}"
    return Lock(cause=cause, code=REPEAT_LIMIT, scope=scope, name=name, reason=refusal.message, since=now, values=refusal.values)


def _losses(standing: Standing, limits: RiskLimits) -> Iterator[Lock]:
    for code, words, period, pnl, limit, until in (
        ("daily_loss", "Today's", standing.day, standing.day_pnl, limits.daily_loss_limit, standing.next_session),
        ("weekly_loss", "This week's", standing.week, standing.week_pnl, limits.weekly_loss_limit, standing.next_week),
    ):
        if pnl is None or limit <= 0 or pnl > -limit:
            continue
        step = int(-pnl // limit)
        lost, most = money_text(-pnl), money_text(limit * step)
        reason = f"{words} loss of ${lost}, open positions and fees counted, has reached the limit of ${most}."
        values = {"pnl": round(pnl, 2), "limit": limit, "step": step}
        yield Lock(
            cause=f"{code} {period} {step}", code=code, scope=Scope.BOOK, reason=reason, since=standing.now, until=until, values=values
        )


def _streaks(standing: Standing, limits: RiskLimits) -> Iterator[Lock]:
    names = dict.fromkeys(trade.symbol for trade in standing.trades)
    for scope, name, most in (
        (Scope.BOOK, "", limits.losing_streak),
        *((Scope.SYMBOL, symbol, limits.symbol_losing_streak) for symbol in names),
    ):
        streak = _streak([t for t in standing.trades if not name or t.symbol == name])
        if most <= 0 or len(streak) < most:
            continue
        last = streak[-1]
        until = last.closed_at + timedelta(minutes=limits.streak_lock_minutes)
        if until <= standing.now:
            continue
        reason = f"{len(streak)} losing trades in a row{' in ' + name if name else ''}."
        values = {"losses": len(streak), "limit": most, "lost": round(sum(t.pnl for t in streak), 2)}
        cause = f"losing_streak {name or 'book'} {last.trade_id}"
        yield Lock(cause=cause, code="losing_streak", scope=scope, name=name, reason=reason, since=standing.now, until=until, values=values)


def _streak(trades: Sequence[ClosedTrade]) -> list[ClosedTrade]:
    """The losing trades at the end."""
    streak: list[ClosedTrade] = []
    for trade in reversed(trades):
        if trade.pnl >= 0:
            break
        streak.append(trade)
    return streak[::-1]


def _drawdown(standing: Standing, limits: RiskLimits) -> Iterator[Lock]:
    equity, peak = standing.equity, standing.peak
    if equity is None or peak is None or peak <= 0 or limits.max_drawdown_pct <= 0 or standing.peak_at is None:
        return
    fallen = (1 - equity / peak) * 100
    if fallen < limits.max_drawdown_pct:
        return
    out = ", deposits and withdrawals taken out" if standing.flows else ""
    yield Lock(
        cause=f"drawdown {standing.peak_at:%Y-%m-%d} {int(fallen // limits.max_drawdown_pct)}",
        code="drawdown",
        scope=Scope.BOOK,
        reason=f"Equity of ${money_text(equity)} is {fallen:.1f}% below its highest of ${money_text(peak)} in the last 30 days{out}.",
        since=standing.now,
        values={"equity": round(equity, 2), "peak": round(peak, 2), "drawdown_pct": round(fallen, 2), "limit": limits.max_drawdown_pct},
    )
