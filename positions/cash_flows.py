"""Deposits and withdrawals, taken out of what the account made. Dividends, interest, fees and tax are results and stay in it."""

from __future__ import annotations

from positions.domain.flow_adjusted import Flow, FlowAdjusted
from positions.models_cash import PAID, CashFlow


def flow_adjusted(account: str) -> FlowAdjusted:
    """The account's curve without what was paid in and out."""
    found = CashFlow.objects.filter(account=account, kind__in=PAID).values_list("at", "amount", "equity_before")
    return FlowAdjusted(Flow(at=at, amount=float(amount), before=float(before)) for at, amount, before in found)
