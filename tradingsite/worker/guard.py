"""The worker's guard: makes and keeps the locks, enforces a halt on what already works, and looks last before the socket.

Locks are rows, so they survive restarts; what is due is decided in `positions/domain/locks.py`. The guard also looks at the
book after the fact: when fills have carried it clearly beyond its limits, trading becomes reduce-only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from events.bus import EventBus
from events.clock import utc_now
from events.order import OrderRole, PendingRequest
from events.position import PositionStatus
from events.system import RiskLockEvent
from events.wording import money_text
from positions.cash_flows import flow_adjusted, highest
from positions.domain.flow_adjusted import Flow, FlowAdjusted
from positions.domain.intent import Denied, OrderIntent
from positions.domain.locks import ClosedTrade, Standing, due_locks, lock_after
from positions.domain.order import Order
from positions.domain.order_manager import OrderManager
from positions.domain.risk import Lock, RiskContext, RiskLimits
from positions.domain.risk_market import nothing_is_locked
from positions.domain.tracker import PositionTracker
from positions.locks import read_locks
from positions.models import PositionRecord, RiskLock
from positions.realized import pnl_since
from signals.session import next_session
from tradingsite.worker.cash_watch import CashWatch
from tradingsite.worker.database import Database
from tradingsite.worker.equity import Equity, start_of_day
from tradingsite.worker.session import Session
from tradingsite.worker.trading import ACTIVE, HALTED, REDUCE_ONLY, TradingSwitch

log = logging.getLogger(__name__)

PEAK_DAYS = 30
TRADES = 30  # the latest closed ones are enough for any streak
BREACH = 1.1  # fills may carry the book a little beyond a limit that held when the order left


class Guard:
    """`limits` gives the limits of the moment; `fence` raises when another worker has taken over."""

    def __init__(
        self,
        *,
        bus: EventBus,
        database: Database,
        manager: OrderManager,
        tracker: PositionTracker,
        session: Session,
        equity: Equity,
        switch: TradingSwitch,
        limits: Callable[[], RiskLimits],
        session_closes: Callable[[], datetime | None],
        fence: Callable[[], None],
        limits_version: Callable[[], str] = lambda: "",
        clock_skew: Callable[[], float] = lambda: 0.0,
        cash: CashWatch | None = None,
    ) -> None:
        self.locks: list[Lock] = []
        self._cleared: dict[str, datetime] = {}
        self._released = 0
        self._bus = bus
        self._database = database
        self._manager = manager
        self._tracker = tracker
        self._session = session
        self._equity = equity
        self._switch = switch
        self._limits = limits
        self._session_closes = session_closes
        self._fence = fence
        self._limits_version = limits_version
        self._clock_skew = clock_skew
        self._cash = cash

    def surroundings(self) -> dict[str, Any]:
        """The fields of the RiskContext that the guard knows."""
        return {
            "clock_skew": self._clock_skew(),
            "database_skew": self._database.skew,
            "session_closes": self._session_closes(),
            "day_began": start_of_day(utc_now()),
            "locks": tuple(self.locks),
            "cleared": dict(self._cleared),
            "released_losses": self._released,
            "limits_version": self._limits_version(),
        }

    async def refresh(self) -> None:
        """The locks as the rows have them now."""
        self.locks, self._cleared, self._released = await self._database.run(read_locks, self._manager.core.account, utc_now())

    async def look(self) -> None:
        """Make the locks that are due, and check the book against its limits."""
        row = self._equity.row
        if row and self._equity.account:
            standing = await self._database.run(read_standing, self._equity.account, *self._judged(dict(row)))
            await self._keep(due_locks(standing, self._limits()))
            await self._check_exposure()
        await self.refresh()

    def _judged(self, row: dict[str, Any]) -> tuple[dict[str, Any], Flow | None]:
        """The row, and the cash flow in it that has no row of its own; without equity while the newest picture was not compared."""
        if self._cash is None:
            return row, None
        if self._cash.compared_at != self._equity.picture_at:
            row["equity"] = None
        return row, self._cash.pending

    async def after_refusal(self, refusal: Denied, intent: OrderIntent) -> None:
        """Some refusals shut their symbol or source until a person has looked."""
        lock = lock_after(refusal, intent, utc_now())
        if lock is not None:
            await self._keep([lock])
            await self.refresh()

    async def last_look(self, orders: Sequence[Order]) -> Denied | None:
        """State, limits and locks once more from the database, when the entry's rows are durable and nothing has left."""
        intent = OrderIntent.from_dict(orders[0].intent)
        try:
            await self._switch.refresh()
            await self.refresh()
        except Exception:
            log.exception("an entry was held back: the trading state could not be read")
            return Denied(code="state_unknown", message="The trading state could not be read.", what_to_do="Check the database.")
        context = RiskContext(now=utc_now(), locks=self.locks, account=self._manager.core.account)
        return nothing_is_locked(intent, context, self._limits())

    async def enforce_halt(self) -> None:
        """A halt also takes back the entries that already work, whoever halted and however; protection stays."""
        if self._switch.state != HALTED or not self._session.link_up:
            return
        working = [o for o in self._manager.orders.values() if o.role is OrderRole.ENTRY and o.is_live and not o.external]
        if any(order.pending is not PendingRequest.CANCEL for order in working):
            await self._manager.cancel_entries(f"trading halted: {self._switch.reason}"[:200])

    async def _check_exposure(self) -> None:
        if self._switch.state != ACTIVE:
            return
        limits, active = self._limits(), [p for p in self._tracker.active() if p.held]
        risk = sum(p.open_risk for p in active)
        if risk > limits.max_open_risk * BREACH:
            reason = f"open risk of ${money_text(risk)} is beyond the limit of ${money_text(limits.max_open_risk)}"
            await self._switch.change(REDUCE_ONLY, reason, "the desk")
            return
        for symbol in {p.symbol for p in active}:
            worth = abs(sum(p.held * (p.current_price or p.entry_price or 0.0) for p in active if p.symbol == symbol))
            if worth > limits.max_position_notional * BREACH:
                reason = f"{symbol} is worth ${money_text(worth)}, beyond the limit of ${money_text(limits.max_position_notional)}"
                await self._switch.change(REDUCE_ONLY, reason, "the desk")
                return

    async def _keep(self, due: Sequence[Lock]) -> None:
        if not due:
            return
        for lock in await self._database.run(write_locks, self._fence, self._manager.core.account, list(due)):
            log.warning("locked: %s %s %s", lock.code, lock.name or "all entries", lock.reason)
            until = lock.until.isoformat() if lock.until else ""
            await self._bus.emit(
                RiskLockEvent(
                    code=lock.code, scope=lock.scope.value, name=lock.name, state="locked", reason=lock.reason, until=until, by="the desk"
                )
            )


def write_locks(fence: Callable[[], None], account: str, due: Sequence[Lock]) -> list[Lock]:
    """Store those whose cause is new; returns them."""
    with transaction.atomic():
        fence()
        known = set(RiskLock.objects.filter(account=account, cause__in=[lock.cause for lock in due]).values_list("cause", flat=True))
        new = [lock for lock in due if lock.cause not in known]
        for lock in new:
            RiskLock.objects.create(
                account=account,
                cause=lock.cause[:120],
                code=lock.code,
                scope=lock.scope.value,
                name=lock.name,
                reason=lock.reason[:300],
                values=dict(lock.values),
                since=lock.since,
                until=lock.until,
            )
    return new


def read_standing(account: str, row: dict[str, Any], pending: Flow | None = None) -> Standing:
    """Where the account stands: the live equity row, the week's P&L, the peak of the last thirty days, the latest closed trades.

    The peak is in today's money: deposits and withdrawals since then, and the `pending` one, are taken out of it.
    """
    now = utc_now()
    midnight = start_of_day(now)
    monday = start_of_day(now - timedelta(days=midnight.weekday()))
    equity = row.get("equity")
    adjusted = flow_adjusted(account)
    if pending is not None and equity is not None:
        adjusted = FlowAdjusted([*adjusted.flows, replace(pending, before=equity - pending.amount)])
    peak = highest(account, now - timedelta(days=PEAK_DAYS), now, adjusted)
    closed = PositionRecord.objects.filter(status=PositionStatus.CLOSED, account=account, close_time__isnull=False, opened_quantity__gt=0)
    trades = [
        ClosedTrade(trade_id=r.position_id, symbol=r.symbol, pnl=float(r.realized_pnl), closed_at=r.close_time)
        for r in closed.order_by("-close_time").only("position_id", "symbol", "realized_pnl", "close_time")[:TRADES]
        if r.close_time is not None
    ]
    return Standing(
        now=now,
        day=midnight.date().isoformat(),
        week=monday.date().isoformat(),
        day_pnl=row.get("day_pnl"),
        week_pnl=pnl_since(account, monday, float(row.get("unrealized_pnl") or 0.0)),
        equity=equity,
        peak=peak[0] if peak else None,
        peak_at=peak[1] if peak else None,
        flows=adjusted.number(now) > adjusted.number(now - timedelta(days=PEAK_DAYS)),
        trades=trades[::-1],
        next_session=next_session(midnight + timedelta(days=1)),
        next_week=next_session(monday + timedelta(days=7)),
    )
