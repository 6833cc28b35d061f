"""What a person was shown when approving an entry, held against the moment before its order is written.

The other checks ask whether an order may leave now; this one asks whether it is still the order that was decided. An
approval may wait for the link for up to two minutes, and in that time the price, what is held, the session or the limits
can move. Each refusal names what moved, from what to what. Orders that nobody approved on a card carry nothing to compare.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from events.wording import money_text, percent_text, price_text, quantity_text, shares_words
from positions.domain.intent import Denied, OrderIntent
from positions.domain.pricing import increment_at, is_price
from positions.domain.risk_context import RiskContext, RiskLimits, denied

AGAIN = "Nothing was sent. If you still want it, decide again by the new numbers."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Prices per share; `allowed_drift` a fraction; `held` signed shares of the symbol; `session` the exchange's date; risk in
    dollars, at the limit. What is None or empty was not known and is not compared."""

    last: float | None = None
    quote_at: str = ""
    price_then: float | None = None  # of the prediction, which the drift is measured from
    allowed_drift: float | None = None
    held: float | None = None
    session: str = ""
    limits_version: str = ""
    risk_dollars: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Shown:
        """What an older approval kept lacks some of it."""
        return cls(**{f.name: row[f.name] for f in fields(cls) if row.get(f.name) is not None})


def is_still_as_shown(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """The first thing that has moved since the approval."""
    if intent.shown is None:
        return None
    shown = Shown.from_dict(intent.shown)
    comparisons = (_session_moved, _limits_moved, _position_moved, _price_moved, _risk_moved)
    return next((moved for compare in comparisons if (moved := compare(shown, intent, context)) is not None), None)


def _session_moved(shown: Shown, intent: OrderIntent, context: RiskContext) -> Denied | None:
    day = context.day_began.date().isoformat() if context.day_began is not None else ""
    if not shown.session or not day or shown.session == day:
        return None
    message = f"The session moved from {shown.session}, when it was approved, to {day}."
    return denied("moved_session", message, AGAIN, was=shown.session, now=day)


def _limits_moved(shown: Shown, intent: OrderIntent, context: RiskContext) -> Denied | None:
    was, now = shown.limits_version, context.limits_version
    if not was or not now or was == now:
        return None
    message = f"The limits moved from those of {_version(was)}, by which it was approved, to those of {_version(now)}."
    return denied("moved_limits", message, AGAIN, was=was, now=now)


def _position_moved(shown: Shown, intent: OrderIntent, context: RiskContext) -> Denied | None:
    held = sum(position.held for position in context.held(intent.symbol))
    if shown.held is None or shown.held == held:
        return None
    message = f"The {intent.symbol} position moved from {shares_words(shown.held)}, when it was approved, to {quantity_text(held)}."
    return denied("moved_position", message, AGAIN, was=shown.held, now=held)


def _price_moved(shown: Shown, intent: OrderIntent, context: RiskContext) -> Denied | None:
    """By more than the drift that the card allowed: from the price on the card, or from the prediction's."""
    now, allowed = _last(context), shown.allowed_drift
    if shown.last is None or allowed is None or now is None:
        return None
    for name, reference in (("the card", shown.last), ("the prediction", shown.price_then)):
        if not is_price(reference) or abs(now / reference - 1) <= allowed:
            continue
        away = now / reference - 1
        return denied(
            "moved_price",
            f"The price moved from {price_text(shown.last)} to {price_text(now)}: {percent_text(away, signed=True)} from {name}'s "
            f"{price_text(reference)}; {percent_text(allowed)} is allowed.",
            AGAIN,
            was=shown.last,
            now=now,
            moved_pct=away * 100,
            limit_pct=allowed * 100,
        )
    return None


def _risk_moved(shown: Shown, intent: OrderIntent, context: RiskContext) -> Denied | None:
    """More than snapping to the venue's increments explains: one tick at the entry and one at the stop."""
    if shown.risk_dollars is None or intent.stop_loss is None or intent.limit_price is None:
        return None
    distance = abs(intent.limit_price - intent.stop_loss)
    risk = intent.quantity * distance
    if abs(risk - shown.risk_dollars) <= 2 * _tick(intent.limit_price, context) * intent.quantity + 0.01:
        return None
    was, is_now = money_text(shown.risk_dollars), money_text(risk)
    message = f"The risk moved from ${was}, when it was approved, to ${is_now}: the stop is {price_text(distance)} away."
    return denied("moved_risk", message, AGAIN, was=shown.risk_dollars, now=risk, stop_distance=distance)


def _last(context: RiskContext) -> float | None:
    """As the card takes it: the last trade, else the middle."""
    quote = context.quote
    return quote.last if quote is not None and is_price(quote.last) else context.market


def _tick(price: float, context: RiskContext) -> float:
    return float(increment_at(price, context.contract.increments)) if context.contract is not None else 0.01


def _version(version: str) -> str:
    """The limits' version as a person reads it: when the newest edit was, and how many single names have limits of their own."""
    edited, _, names = version.rpartition(" ")
    return f"{edited[:19]} UTC ({names} for single names)" if edited else version
