"""The rows behind the comparison of the books. Runs in the worker's database thread; every write is fenced."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from events.clock import utc_now
from events.commands import AcknowledgeDifference
from events.exchange_time import exchange_date
from positions.domain.broker_check import CashBasis
from positions.models import BrokerAcknowledgement, BrokerCheck, BrokerHolding, CashAnchor

KEPT = 1000  # comparisons that differed from the one before; the oldest go
Fence = Callable[[], None]


def load(account: str) -> tuple[dict[str, str], dict[str, tuple[float, float]], CashBasis | None, date | None]:
    """Who knows which holding, what was acknowledged, where cash is counted from, and the day of the last full comparison."""
    known = dict(
        BrokerHolding.objects.filter(account=account)
        .exclude(quantity=0)
        .exclude(acknowledged_by="")
        .values_list("symbol", "acknowledged_by")
    )
    accepted = {a.row: (a.ours, a.theirs) for a in BrokerAcknowledgement.objects.filter(account=account).order_by("at")}
    anchor = CashAnchor.objects.filter(account=account).first()
    basis = CashBasis(since=anchor.since, opening=anchor.opening) if anchor else None
    full = BrokerCheck.objects.filter(account=account, kind="full").order_by("-at").values_list("at", flat=True).first()
    return known, accepted, basis, exchange_date(full) if full else None


def save_check(fence: Fence, row: dict[str, Any], signature: str, epoch: int) -> None:
    """A new row when something changed since the last one (or a full comparison was made), else the last one's time moves."""
    at = datetime.fromisoformat(row["at"])
    changed = {
        "at": at,
        "account": row["account"],
        "kind": row["kind"],
        "reason": row["reason"],
        "blocked": row["blocked"],
        "differences": row["differences"],
        "external": row["external"],
        "signature": signature,
        "data": row,
        "epoch": epoch,
    }
    with transaction.atomic():
        fence()
        last = BrokerCheck.objects.filter(account=row["account"]).order_by("-at", "-pk").first()
        if last is not None and last.signature == signature and "full" not in (last.kind, row["kind"]):
            BrokerCheck.objects.filter(pk=last.pk).update(times=F("times") + 1, **changed)
            return
        made = BrokerCheck.objects.create(first_at=at, **changed)
        BrokerCheck.objects.filter(pk__lte=made.pk - KEPT).delete()  # of all accounts


def save_basis(fence: Fence, account: str, basis: CashBasis) -> None:
    with transaction.atomic():
        fence()
        CashAnchor.objects.update_or_create(
            account=account, defaults={"since": basis.since, "opening": basis.opening, "updated_at": utc_now()}
        )


def save_acknowledgement(fence: Fence, account: str, command: AcknowledgeDifference, by: str) -> None:
    with transaction.atomic():
        fence()
        BrokerAcknowledgement.objects.create(
            account=account,
            row=command.row,
            ours=command.ours,
            theirs=command.theirs,
            reason=command.reason,
            by=by[:150],
            at=utc_now(),
        )
