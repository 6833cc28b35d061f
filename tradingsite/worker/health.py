"""What the worker says of itself every two seconds: the heartbeat frame, and the row that pages read when Redis is away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError

from events.accounts import masked
from events.clock import clock_trouble, utc_now
from events.feed import Feed
from events.wording import age_words
from positions.broker.ib import IbBroker
from positions.domain.ports import LinkState
from signals.source_health import flow_part
from tradingsite.worker.alarms import Alarms
from tradingsite.worker.books import Books
from tradingsite.worker.database import Database
from tradingsite.worker.equity import Equity
from tradingsite.worker.marks import Marks
from tradingsite.worker.protection import Protection
from tradingsite.worker.session import Session, State
from tradingsite.worker.subscriptions import Subscriptions
from tradingsite.worker.trading import TradingSwitch

QUIET_SECONDS = 15.0  # no tick of any symbol for so long, while subscribed, is worth showing


@dataclass(slots=True, kw_only=True)
class Health:
    """Collects the frame from the worker's parts."""

    mode: str
    epoch: int
    session: Session
    broker: IbBroker
    switch: TradingSwitch
    marks: Marks
    equity: Equity
    subscriptions: Subscriptions
    books: Books
    protection: Protection
    alarms: Alarms
    database: Database
    feed: Feed
    started_at: str
    counters: Callable[[], dict[str, Any]]

    def frame(self, flow: dict[str, Any], redis_ok: bool, database_ok: bool) -> dict[str, Any]:
        now = utc_now().isoformat()
        account = masked(self.broker.account)
        return {
            "at": now,
            "mode": self.mode,
            "account": account,
            "account_masked": account,
            "epoch": self.epoch,
            "trading": {"state": self.switch.state, "reason": self.switch.reason},
            "worker": self._worker(now),
            "gateway": self._gateway(),
            "books": self._books(),
            "protection": self.protection.row(),
            "alarms": self.alarms.rows,
            "flow": flow,
            "redis": {"state": "ok" if redis_ok else "down"},
            "database": self._database(database_ok),
            "counters": self.counters(),
        }

    def row(self, frame: dict[str, Any]) -> dict[str, Any]:
        """The frame plus what only readers of the row need."""
        return frame | {"quotes": self.marks.quote_rows(), "equity": self.equity.row}

    def _worker(self, now: str) -> dict[str, Any]:
        ready = self.session.ready
        detail = "" if ready else self.session.detail or self.session.state.value
        compared = self.session.reconciled_at
        return {
            "state": "ok" if ready else "degraded",
            "detail": detail,
            "heartbeat_at": now,
            "started_at": self.started_at,
            "reconciled_at": compared.isoformat() if compared else None,
            "unknown_symbols": self.subscriptions.unknown,
            "without_quote": self.subscriptions.without_quote(),
            "lines": self.subscriptions.report(),
        }

    def _books(self) -> dict[str, Any]:
        """How our book stands beside the broker's, by the last comparison."""
        last = self.books.row
        differs = last.get("differences", 0)
        state = "unknown" if not last else "down" if self.books.blocked else "degraded" if differs else "ok"
        counts = {"differences": differs, "external": last.get("external", 0)}
        return {"state": state, "at": last.get("at"), "blocked": self.books.blocked, **counts}

    def _database(self, answers: bool) -> dict[str, Any]:
        trouble = clock_trouble(self.database.skew, "database's")
        state, detail = ("down", "") if not answers else ("degraded", f"{trouble}; entries wait") if trouble else ("ok", "")
        return {"state": state, "detail": detail, "clock_skew": round(self.database.skew, 1)}

    def _gateway(self) -> dict[str, Any]:
        link, age = self.broker.link, self.marks.newest_age()
        state, detail = "down", self.session.detail or link.value
        if self.session.state is State.REFUSED:
            state = "down"
        elif link is LinkState.CONNECTED:
            state, detail = "ok", "connected"
            if self.subscriptions.symbols and (age is None or age > QUIET_SECONDS):
                state, detail = "degraded", "no market data" if age is None else f"no market data for {age_words(age)}"
            if trouble := clock_trouble(self.broker.clock_skew):
                state, detail = "degraded", f"{trouble}; entries wait"
        elif link is LinkState.UPSTREAM_LOST:
            state, detail = "degraded", "the gateway has lost IB"
        return {
            "state": state,
            "link": link.value,
            "detail": detail,
            "since": self.session.since.isoformat(),
            "clock_skew": round(self.broker.clock_skew, 1),
            "data_age": None if age is None else round(age, 1),
        }


def read_flow() -> dict[str, Any]:
    """The options-flow source and how the watch list is covered, as pages see them."""
    try:
        return flow_part()
    except DatabaseError:
        return {"state": "unknown", "last_success": None, "detail": "The database does not answer."}
