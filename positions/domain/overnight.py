"""What happened to a holding while nobody traded it: a split, a new symbol, an assignment. Guesses for a person, never acted on.

Called with the broker's positions after its executions are booked: what differs then, no trade of ours explains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from events.wording import price_text, quantity_text, shares_words

NEAR = 0.02  # two prices this close, as a fraction, are the same cost after a split
LARGEST_RATIO = 50
CONTRACT = 100  # shares delivered by one option


class ChangeKind(StrEnum):
    SPLIT = "split"
    SYMBOL = "symbol_change"
    ASSIGNMENT = "assignment"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Signed shares at an average cost per share."""

    quantity: float
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OvernightChange:
    """`detail` says what differs, in words and numbers."""

    kind: ChangeKind
    symbol: str
    ours: float
    theirs: float
    detail: str


def changes(ours: Mapping[str, Holding], theirs: Mapping[str, Holding], elsewhere: Mapping[str, float]) -> list[OvernightChange]:
    """One change per symbol of ours that differs; `elsewhere` are shares at the broker known not to be ours."""
    found = []
    strangers = {symbol: holding for symbol, holding in theirs.items() if symbol not in ours and holding.quantity}
    for symbol, held in sorted(ours.items()):
        there = theirs.get(symbol, Holding(quantity=0, cost=0))
        quantity = there.quantity - elsewhere.get(symbol, 0.0)
        if abs(quantity - held.quantity) > 1e-6:
            found.append(_change(symbol, held, quantity, there.cost, strangers))
    return found


def _change(symbol: str, held: Holding, quantity: float, cost: float, strangers: Mapping[str, Holding]) -> OvernightChange:
    def change(kind: ChangeKind, words: str) -> OvernightChange:
        return OvernightChange(kind=kind, symbol=symbol, ours=held.quantity, theirs=quantity, detail=words)

    ours = f"our book holds {quantity_text(held.quantity)} at {price_text(held.cost)}"
    numbers = f"{ours}, the broker {quantity_text(quantity)} at {price_text(cost)}"
    ratio = _split(held, quantity, cost)
    if ratio is not None:
        return change(ChangeKind.SPLIT, f"It looks like a {ratio.numerator}-for-{ratio.denominator} split: {numbers}.")
    if not quantity:
        renamed = [name for name, other in strangers.items() if abs(other.quantity - held.quantity) < 1e-6]
        if renamed:
            return change(ChangeKind.SYMBOL, f"It looks like a new symbol, {renamed[0]}, with the same shares: {numbers}.")
    added = quantity - held.quantity
    if added and added % CONTRACT == 0:
        return change(
            ChangeKind.ASSIGNMENT, f"{shares_words(added, signed=True)} without an order, as an option assignment delivers: {numbers}."
        )
    return change(ChangeKind.UNEXPLAINED, f"No execution explains it: {numbers}.")


def _split(held: Holding, quantity: float, cost: float) -> Fraction | None:
    """The ratio, when quantity and cost have moved inversely by the same simple one."""
    if not held.quantity or not quantity or quantity * held.quantity < 0 or held.cost <= 0 or cost <= 0:
        return None
    ratio = Fraction(quantity / held.quantity).limit_denominator(LARGEST_RATIO)
    if ratio <= 0 or ratio == 1 or ratio.numerator > LARGEST_RATIO or abs(float(ratio) * held.quantity - quantity) > 0.5:
        return None
    same_value = abs(cost * float(ratio) / held.cost - 1) <= NEAR
    return ratio if same_value else None


def of_positions(rows: Sequence[tuple[str, float, float]]) -> dict[str, Holding]:
    """(symbol, signed shares, cost) rows as holdings; several of a symbol are one, at their average cost."""
    total: dict[str, tuple[float, float]] = {}
    for symbol, quantity, cost in rows:
        shares, value = total.get(symbol, (0.0, 0.0))
        total[symbol] = (shares + quantity, value + quantity * cost)
    return {symbol: Holding(quantity=shares, cost=value / shares if shares else 0.0) for symbol, (shares, value) in total.items()}
