"""What a position holds, folded from its ledger: fills, plain opens and closes, and size corrections, in plain floats.

The fold is repeated from the first entry when the broker corrects or busts an execution, so that a position after a
correction equals one that never saw the wrong number. `positions.domain.ledger` does the same in Decimal for the books.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from events.exchange_time import exchange_date


class EntryKind(StrEnum):
    FILL = "fill"  # the broker executed, or somebody called open() or close()
    SIZE = "size"  # a size correction at unchanged entry price, without a fill


@dataclass(slots=True, kw_only=True)
class LedgerEntry:
    """Signed shares at a price. `fill_id` is the broker's execution id without its revision; "" for what was no execution.

    `stop` is the level of the stop that rested for these shares when they came; `low` and `high` are the market prices seen
    from this entry to the next one, None while it is the last, or where none was seen.
    """

    kind: EntryKind = EntryKind.FILL
    quantity: float
    price: float
    fill_id: str = ""
    revision: int = 1
    busted: bool = False
    commission: float = 0.0
    order_id: str = ""
    at: datetime
    stop: float | None = None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "kind": self.kind.value, "at": self.at.isoformat()}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> LedgerEntry:
        return cls(**{**row, "kind": EntryKind(row["kind"]), "at": datetime.fromisoformat(row["at"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Signed shares that a correction makes another position's, and their price."""

    quantity: float = 0
    price: float = 0.0


@dataclass(slots=True, kw_only=True)
class Fold:
    """The result: signed quantity, average entry, gross realized P&L, and what it took to get there."""

    quantity: float = 0
    entry_price: float | None = None
    realized: float = 0.0
    exit_shares: float = 0.0
    exit_value: float = 0.0
    largest: float = 0.0  # the largest absolute quantity held
    leftover: float = 0  # signed shares beyond zero: they belong to the next position
    over: bool = False  # back at zero after the first entry
    leftover_value: float = 0.0  # … times the prices they were executed at
    risk: float | None = 0.0  # Σ |fill − stop resting then| × shares of what was entered; None: of some of it nobody can say
    entered: float = 0.0  # shares that `risk` is of

    @property
    def exit_price(self) -> float | None:
        return self.exit_value / self.exit_shares if self.exit_shares else None

    def take(self, quantity: float, price: float, stop: float | None = None) -> float:
        """Apply one fill; returns the gross P&L it realized. Shares beyond zero are left over, not applied."""
        held = self.quantity
        if not held or (held > 0) == (quantity > 0):
            total = held + quantity
            self._risk_more(quantity, price, stop)
            self.entry_price = price if not held or self.entry_price is None else (held * self.entry_price + quantity * price) / total
            self.quantity = total
            self.largest = max(self.largest, abs(total))
            return 0.0
        sign = 1 if held > 0 else -1
        closed = min(abs(held), abs(quantity))
        realized = (price - (self.entry_price or 0.0)) * closed * sign
        self.realized += realized
        self.exit_shares += closed
        self.exit_value += closed * price
        self.quantity = held - closed * sign
        self._leave(quantity + closed * sign, price)
        return realized

    def resize(self, quantity: float, price: float = 0.0, stop: float | None = None) -> None:
        """A size correction at `price`: shares that are added bring their own risk, those that never were take theirs along."""
        more = abs(quantity) - abs(self.quantity)
        if more > 0:
            self._risk_more(math.copysign(more, quantity or self.quantity), price, stop)
        elif more < 0 and self.risk and self.entered:
            kept = max(0.0, self.entered + more) / self.entered
            self.risk, self.entered = self.risk * kept, self.entered * kept
        self.quantity = quantity
        self.largest = max(self.largest, abs(quantity))

    def put(self, entry: LedgerEntry) -> float:
        """Any entry that counts; returns the gross P&L it realized. Once back at zero all that follows is left over."""
        if entry.kind is EntryKind.SIZE:
            self.resize(entry.quantity, entry.price, entry.stop)
            return 0.0
        if self.over:
            self._leave(entry.quantity, entry.price)
            return 0.0
        realized = self.take(entry.quantity, entry.price, entry.stop)
        self.over = self.quantity == 0
        return realized

    def _risk_more(self, quantity: float, price: float, stop: float | None) -> None:
        risk = risk_taken(quantity, price, stop)
        self.risk = None if self.risk is None or risk is None else self.risk + risk
        self.entered += abs(quantity)

    def _leave(self, quantity: float, price: float) -> None:
        self.leftover += quantity
        self.leftover_value += quantity * price


def risk_taken(quantity: float, price: float, stop: float | None) -> float | None:
    """What `quantity` (signed) shares entered at `price` lose at `stop`; None without a stop, or with one already in profit."""
    if stop is None or (price - stop) * quantity <= 0:
        return None
    return (price - stop) * quantity


def in_r(amount: float, risk: float | None) -> float | None:
    """An amount in units of the risk taken; None where no risk is known: that is not zero R."""
    return amount / risk if risk else None


def excursions(entries: Sequence[LedgerEntry], seen: tuple[float | None, float | None]) -> tuple[float, float]:
    """(MFE >= 0, MAE <= 0): the best and the worst of realized and unrealized together, fees taken off, from the first entry to the
    last exit. `seen` is the (low, high) of the market since the last entry."""
    held, fees, best, worst = Fold(), 0.0, 0.0, 0.0
    for number, entry in enumerate(entries):
        at_fill = entry.price if entry.kind is EntryKind.FILL and not entry.busted else None  # a fill is a market price too
        values = [best, worst] if at_fill is None else [best, worst, _worth(held, at_fill, fees)]
        if not entry.busted:
            held.put(entry)
            fees += entry.commission
        low, high = seen if number == len(entries) - 1 else (entry.low, entry.high)
        values += [_worth(held, price, fees) for price in (at_fill, low, high) if price is not None]
        best, worst = max(values), min(values)
    return best, worst


def _worth(held: Fold, price: float, fees: float) -> float:
    return held.realized - fees + (price - (held.entry_price or 0.0)) * held.quantity


def fold(entries: Iterable[LedgerEntry]) -> Fold:
    """Everything from the first entry on. Once back at zero the position is over and the rest is left over."""
    result = Fold()
    for entry in entries:
        if not entry.busted:
            result.put(entry)
    return result


def realized_on(entries: Iterable[LedgerEntry], day: date) -> float:
    """Net P&L that the fills of the exchange day `day` realized, their commissions taken off."""
    result, realized = Fold(), 0.0
    for entry in entries:
        if entry.busted:
            continue
        gain = result.put(entry)
        if exchange_date(entry.at) == day and entry.kind is EntryKind.FILL:
            realized += gain - entry.commission
    return realized


def gains(entries: Iterable[LedgerEntry]) -> dict[str, float]:
    """Execution's base id → the gross P&L it realized, of all that counts, whichever positions took it, in order.

    A sale with nothing bought before it opens a short at its price and realizes nothing.
    """
    result, realized = Fold(), {}
    for entry in entries:
        if entry.busted:
            continue
        if entry.kind is EntryKind.SIZE:
            result.resize(entry.quantity)
            continue
        realized[entry.fill_id] = result.take(entry.quantity, entry.price)
        beyond, result.leftover = result.leftover, 0
        if beyond:
            result.take(beyond, entry.price)
    realized.pop("", None)
    return realized
