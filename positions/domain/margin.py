"""What IB's what-if said an order would do to margin, and whether that still holds when the order is about to leave.

The answer is bound to the order it was asked for: more shares, another price or position, another day, newer limits or
simply age make it void, and then it has to be asked again. It is no reservation (IB may still reject).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from events.order import OrderSide
from events.wording import age_words, money_text, price_text, quantity_text, shares_words
from positions.domain.intent import Denied, OrderIntent
from positions.domain.risk_context import RiskContext, RiskLimits, denied

PRICE_MOVED_PCT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """One answer. Money in account currency; `held` is signed shares of the symbol when it was asked; `limits_version` whatever
    changes whenever a person edits the limits."""

    symbol: str
    side: str
    quantity: float
    limit_price: float | None
    held: float
    initial_change: float
    maintenance_change: float
    commission: float | None = None
    equity_after: float | None = None
    excess_liquidity: float | None = None
    limits_version: str = ""
    day: str = ""  # the exchange's date
    asked_at: datetime

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"asked_at": self.asked_at.isoformat()}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Margin:
        return cls(**{**row, "asked_at": datetime.fromisoformat(row["asked_at"])})

    @property
    def share_pct(self) -> float | None:
        """Of the excess liquidity, percent."""
        return self.initial_change / self.excess_liquidity * 100 if self.excess_liquidity and self.excess_liquidity > 0 else None


class Moved(NamedTuple):
    """What changed since the answer (order, size, price, position, session, limits, age), and that in words."""

    what: str
    words: str


def what_moved(
    margin: Margin,
    *,
    symbol: str,
    side: OrderSide | str,
    quantity: float,
    limit_price: float | None,
    held: float,
    now: datetime,
    max_age: float,
    limits_version: str = "",
    day: str = "",
) -> Moved | None:
    """Why the answer no longer holds for this order; None when it does."""
    if (margin.symbol, margin.side) != (symbol, str(side)):
        return Moved("order", "it was asked for another order")
    if quantity > margin.quantity:
        return Moved("size", f"it was asked for {shares_words(margin.quantity)}")
    if (limit_price is None) != (margin.limit_price is None):
        return Moved("price", "the order type changed")
    if limit_price and margin.limit_price and abs(limit_price / margin.limit_price - 1) * 100 > PRICE_MOVED_PCT:
        return Moved("price", f"the price moved from {price_text(margin.limit_price)} to {price_text(limit_price)}")
    if held != margin.held:
        return Moved("position", f"the position was {shares_words(margin.held)} and is {quantity_text(held)}")
    if day and margin.day and day != margin.day:
        return Moved("session", "it was asked in another session")
    if limits_version and margin.limits_version and limits_version != margin.limits_version:
        return Moved("limits", "the limits were changed")
    age = (now - margin.asked_at).total_seconds()
    return Moved("age", f"it is {age_words(age)} old") if age > max_age else None


def margin_is_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """Initial margin of this entry, and of those that work, against a set share of what is free."""
    if intent.margin is None:
        if not limits.require_margin:
            return None
        return denied(
            "no_what_if", "The broker has not said what margin this order takes.", "Try again; check the broker link if it stays."
        )
    margin = Margin.from_dict(intent.margin)
    moved = what_moved(
        margin,
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        limit_price=intent.limit_price,
        held=sum(position.held for position in context.held(intent.symbol)),
        now=context.now,
        max_age=limits.margin_max_age_seconds,
        limits_version=context.limits_version,
        day=context.day_began.date().isoformat() if context.day_began is not None else "",
    )
    if moved is not None and limits.require_margin:
        message = f"The margin has to be asked for again: {moved.words}."
        return denied(f"margin_moved_{moved.what}", message, "Approve again with the new numbers.", moved=moved.words)
    if margin.excess_liquidity is None:
        unknown = denied("no_excess", "The account's excess liquidity is not known.", "Wait for the account's values.")
        return unknown if limits.require_margin else None
    working = sum(float((o.intent.get("margin") or {}).get("initial_change") or 0.0) for o in context.working_entries())
    takes, free = margin.initial_change + working, margin.excess_liquidity * limits.max_margin_pct / 100
    if takes <= free or margin.initial_change <= 0:
        return None
    return denied(
        "margin",
        f"It takes ${money_text(takes)} of margin with what works already; "
        f"${money_text(free)} may be used ({quantity_text(limits.max_margin_pct)}% of the excess).",
        "Make it smaller, or close something.",
        initial_margin=margin.initial_change,
        working=working,
        excess_liquidity=margin.excess_liquidity,
        limit=free,
    )
