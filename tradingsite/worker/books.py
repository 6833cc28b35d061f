"""The worker's comparison of the books: made after every reconcile, stored, shown, and a reason to hold entries back.

`blocked` says why entries wait, in words; it clears by itself with the first comparison that finds nothing. What a person
acknowledges is kept with their name and reason and blocks nothing while its numbers stay the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

from django.db import DatabaseError

from events.bus import EventBus
from events.clock import utc_now
from events.commands import AcknowledgeDifference
from events.exchange_time import exchange_date
from events.feed import Feed
from events.inbox import Outcome
from events.journal import JournalFailed
from events.system import HoldingEvent
from events.wording import shares_words
from positions.domain.broker_check import CashBasis, OurBook, Row, RowState, cash_row, compare
from positions.domain.intent import Denied
from positions.domain.order_manager import OrderManager
from positions.domain.ports import BrokerSnapshot
from positions.domain.pricing import decimal
from positions.domain.reconcile import ReconcileReport
from positions.models import CashFlow
from tradingsite.worker import book_rows
from tradingsite.worker.cash_watch import CashWatch
from tradingsite.worker.database import Database

log = logging.getLogger(__name__)

CASH_TAG = "TotalCashValue"
FULL, LIGHT = "full", "light"


class Books:
    """`row` is the last comparison as pages show it."""

    def __init__(
        self,
        *,
        bus: EventBus,
        manager: OrderManager,
        database: Database,
        feed: Feed,
        commit: Callable[[], Awaitable[None]],
        fence: Callable[[], None],
        epoch: int,
        ref_prefix: str,
    ) -> None:
        self.blocked = ""
        self.row: dict[str, Any] = {}
        self._bus = bus
        self._manager = manager
        self._database = database
        self._feed = feed
        self._commit = commit
        self._fence = fence
        self._epoch = epoch
        self._ref_prefix = ref_prefix
        self.cash = CashWatch(database, fence, epoch)
        self._known_by: dict[str, str] = {}  # symbol → who acknowledged the holding
        self._accepted: dict[str, tuple[float, float]] = {}  # row id → (ours, theirs) as acknowledged
        self._basis: CashBasis | None = None
        self._cash_gap: float | None = None  # the difference of the comparison before, which one more must confirm
        self._full_day: date | None = None

    async def load(self, account: str) -> None:
        """What earlier sessions knew of the account; call once, before the first comparison."""
        self._known_by, self._accepted, self._basis, self._full_day = await self._database.run(book_rows.load, account)
        await self.cash.load(account)
        await self._bus.subscribe(HoldingEvent, self._on_holding, core=False)

    def full_due(self) -> bool:
        """The whole comparison, two readings apart, once each exchange day."""
        return self._full_day != exchange_date(utc_now())

    async def compared(self, picture: BrokerSnapshot, report: ReconcileReport, *, kind: str, reason: str) -> str:
        """Make, store and show the comparison after a reconcile. Returns why entries must wait, or ""."""
        account, core = self._manager.core.account, self._manager.core
        book = OurBook(
            orders=core.book,
            positions=core.tracker.active(),
            elsewhere=dict(self._manager.holdings_elsewhere),
            ref_prefix=self._ref_prefix,
            known_by=self._known_by,
        )
        rows = compare(book, picture)
        cash, self._basis = cash_row(book, picture, self._basis, CASH_TAG)
        if cash is not None:
            rows.append(self._confirmed(cash))
        await self.cash.compared(account, cash, picture.taken_at)
        for row in rows:
            self._accept(row)
        reasons = [f"{row['symbol'] or 'Cash'}: {row['cause']}" for row in rows if row["blocks"]]
        if not report.ok and not reasons:
            reasons = [report.reason]
        self.blocked = " ".join(reasons)[:500]
        self.row = self._shown(rows, picture, kind=kind, reason=reason, account=account)
        await self._store(self.row)
        self._feed.put("broker", "check", self.row)
        if kind == FULL:
            self._full_day = exchange_date(picture.taken_at)
        return self.blocked

    async def acknowledge(self, command: AcknowledgeDifference, by: str) -> Outcome:
        """Take the broker's word, as the person saw it."""
        kind, _, key = command.row.partition(":")
        if command.kind and (kind != "cash" or command.kind not in CashFlow.Kind.values):
            return Outcome.refused("bad_command", f"{command.kind!r} is no kind of cash flow.")
        if kind == "position":
            denied = await self._manager.accept_difference(key, command.ours, command.theirs, reason=command.reason, by=by)
            if isinstance(denied, Denied):
                return Outcome.refused(denied.code, str(denied))
            return Outcome.done(f"{key}: the broker's {shares_words(command.theirs)} taken as IB has it")
        row = next((row for row in self.row.get("rows", ()) if row["id"] == command.row), None)
        if row is None:
            return Outcome.refused("gone", "That difference is not there any more. Nothing to acknowledge.")
        gap = (row["theirs"] or 0.0) - (row["ours"] or 0.0)
        if abs(gap - (command.theirs - command.ours)) >= 0.005:
            return Outcome.refused("changed", "The numbers have changed since you saw them. Look again.")
        if kind == "cash" and self._basis is not None:
            self._basis = CashBasis(since=self._basis.since, opening=self._basis.opening + decimal(round(gap, 4)))
            self._cash_gap = None
            await self._database.run(book_rows.save_basis, self._fence, self._manager.core.account, self._basis)
            await self.cash.named(self._manager.core.account, command, by)
        self._accepted[command.row] = (row["ours"] or 0.0, row["theirs"] or 0.0)
        await self._database.run(book_rows.save_acknowledgement, self._fence, self._manager.core.account, command, by)
        self._manager.core.ask_reconcile(f"{command.row} was acknowledged")
        return Outcome.done("acknowledged; it blocks nothing while its numbers stay the same")

    # --- inside ---

    def _on_holding(self, event: HoldingEvent) -> None:
        if event.acknowledged_by:
            self._known_by[event.symbol] = event.acknowledged_by
        elif not event.quantity:
            self._known_by.pop(event.symbol, None)

    def _confirmed(self, cash: Row) -> Row:
        """Cash may lag its executions: a difference counts when two comparisons in a row find the same one."""
        gap, before = cash["difference"], self._cash_gap
        self._cash_gap = gap if cash["state"] != RowState.MATCH else None
        if cash["state"] == RowState.DIFFERS:
            cash["blocks"] = before is not None and abs(gap - before) < 0.005
            if not cash["blocks"]:
                cash["state"], cash["cause"] = RowState.PENDING.value, f"{cash['cause']} The next comparison decides."
        return cash

    def _accept(self, row: Row) -> None:
        accepted = self._accepted.get(row["id"])
        same = accepted is not None and accepted == (row["ours"] or 0.0, row["theirs"] or 0.0)
        if same and row["state"] not in (RowState.MATCH, RowState.PENDING):
            row["blocks"], row["accepted"] = False, True

    def _shown(self, rows: list[Row], picture: BrokerSnapshot, *, kind: str, reason: str, account: str) -> dict[str, Any]:
        states = Counter(row["state"] for row in rows)
        wrong = [
            row for row in rows if row["state"] in (RowState.DIFFERS, RowState.MISSING_HERE, RowState.MISSING_THERE, RowState.IN_DOUBT)
        ]
        return {
            "id": "check",
            "v": 0,
            "at": picture.taken_at.isoformat(),
            "kind": kind,
            "reason": reason[:200],
            "account": account,
            "blocked": self.blocked,
            "differences": len([row for row in wrong if not row.get("accepted")]),
            "external": states[RowState.EXTERNAL],
            "states": dict(states),
            "rows": rows,
        }

    async def _store(self, row: dict[str, Any]) -> None:
        said = [[r["id"], r["state"], r["ours"], r["theirs"], r["blocks"], r["cause"]] for r in row["rows"]]
        signature = hashlib.sha256(json.dumps([row["blocked"], said], default=str).encode()).hexdigest()
        try:
            await self._commit()  # the rows it speaks of come first: who reads the comparison finds them
            await self._database.run(book_rows.save_check, self._fence, row, signature, self._epoch)
            if self._basis is not None:
                await self._database.run(book_rows.save_basis, self._fence, row["account"], self._basis)
        except (DatabaseError, JournalFailed):
            log.exception("the comparison of the books could not be stored")
