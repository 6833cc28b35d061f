"""Cash that moves without an execution: when it was first seen, and its row once two comparisons of the books agree.

Until a person says what it was, a movement counts as paid in or out, so that nobody is locked out for taking money home. What
one comparison alone has found (`pending`) is taken out of the drawdown too, and while a picture of the account has not been
compared yet (`compared_at`) nothing is judged by it. A movement that an execution explains after all is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from events.commands import AcknowledgeDifference
from positions.domain.broker_check import RowState
from positions.domain.flow_adjusted import Flow
from positions.domain.pricing import decimal
from positions.models import CashFlow, EquityPoint
from tradingsite.worker.database import Database

Fence = Callable[[], None]
CENT = Decimal("0.01")


class CashWatch:
    """The worker's one; `books.py` hands it each comparison of cash."""

    def __init__(self, database: Database, fence: Fence, epoch: int) -> None:
        self.compared_at: datetime | None = None
        self.pending: Flow | None = None
        self._database = database
        self._fence = fence
        self._epoch = epoch
        self._unnamed = Decimal(0)  # rows that nobody has named yet: the cash of the comparison still differs by them
        self._new = Decimal(0)  # … and by this, which has no row
        self._since: datetime | None = None

    async def load(self, account: str) -> None:
        self._unnamed = await self._database.run(unnamed, account)

    async def compared(self, account: str, row: dict[str, Any] | None, taken_at: datetime) -> None:
        """The comparison of cash in the picture of that moment; `row` None while the broker has not said how much there is."""
        gap = decimal(round(row["difference"] or 0.0, 4)) if row is not None else Decimal(0)
        new = gap - self._unnamed
        if self._since is None or abs(new - self._new) >= CENT:
            self._since, self._new = taken_at, new
        if row is not None and row["state"] == RowState.MATCH and self._unnamed:
            await self._database.run(forget, self._fence, account)
            self._unnamed = self._new = Decimal(0)
        elif row is not None and row["state"] == RowState.DIFFERS and abs(new) >= CENT:
            await self._database.run(record, self._fence, account, self._since, new, self._epoch)
            self._unnamed, self._new = gap, Decimal(0)
        self.pending = Flow(at=self._since, amount=float(self._new), before=0.0) if abs(self._new) >= CENT else None
        self.compared_at = taken_at

    async def named(self, account: str, command: AcknowledgeDifference, by: str) -> None:
        """A person has said what the difference of cash was; "" leaves it paid in or out."""
        at, new = self._since, self._new
        if at is not None and abs(new) >= CENT:
            await self._database.run(record, self._fence, account, at, new, self._epoch)
        await self._database.run(name, self._fence, account, command.kind, command.reason, by)
        self._unnamed, self._new, self.pending = Decimal(0), Decimal(0), None


def unnamed(account: str) -> Decimal:
    """The sum of the movements that nobody has named."""
    return sum(CashFlow.objects.filter(account=account, by="").values_list("amount", flat=True), Decimal(0))


def record(fence: Fence, account: str, at: datetime, amount: Decimal, epoch: int) -> None:
    points = EquityPoint.objects.filter(account=account, at__lt=at).order_by("-at")
    with transaction.atomic():
        fence()
        CashFlow.objects.create(
            account=account,
            at=at,
            amount=amount,
            kind=_kind(amount),
            source=CashFlow.Source.BROKER,
            equity_before=points.values_list("equity", flat=True).first() or Decimal(0),
            epoch=epoch,
        )


def name(fence: Fence, account: str, kind: str, reason: str, by: str) -> None:
    with transaction.atomic():
        fence()
        for flow in CashFlow.objects.filter(account=account, by=""):
            flow.kind = kind or _kind(flow.amount)
            flow.source, flow.reason, flow.by = CashFlow.Source.PERSON, reason[:300], by[:150]
            flow.save(update_fields=["kind", "source", "reason", "by"])


def forget(fence: Fence, account: str) -> None:
    with transaction.atomic():
        fence()
        CashFlow.objects.filter(account=account, by="").delete()


def _kind(amount: Decimal) -> str:
    return CashFlow.Kind.DEPOSIT if amount > 0 else CashFlow.Kind.WITHDRAWAL
