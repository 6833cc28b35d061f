"""Deposits and withdrawals, taken out of what the account made. Dividends, interest, fees and tax are results and stay in it."""

from __future__ import annotations

from datetime import datetime

from positions.domain.flow_adjusted import Flow, FlowAdjusted
from positions.models import EquityPoint
from positions.models_cash import PAID, CashFlow


def flow_adjusted(account: str) -> FlowAdjusted:
    """The account's curve without what was paid in and out."""
    found = CashFlow.objects.filter(account=account, kind__in=PAID).values_list("at", "amount", "equity_before")
    return FlowAdjusted(Flow(at=at, amount=float(amount), before=float(before)) for at, amount, before in found)


def highest(account: str, since: datetime, now: datetime, adjusted: FlowAdjusted) -> tuple[float, datetime] | None:
    """The highest equity since then, and when: in the money of `now`, as if what was paid in or out since had been so all along."""
    times = [flow.at for flow in adjusted.flows if since < flow.at <= now]
    factor = adjusted.index(now, 1.0)
    found = []
    for start, end in zip([since, *times], [*times, now], strict=True):
        within = EquityPoint.objects.filter(account=account, at__gte=start, at__lt=end)
        best = within.order_by("-equity").values_list("equity", "at").first()
        if best is not None:
            found.append((adjusted.index(best[1], float(best[0])) / factor, best[1]))
    return max(found, default=None)
