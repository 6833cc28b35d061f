"""The ledger of executions: each counted once, at its highest revision, in Decimal.

An execution is known by its base id (the broker's id without the last segment) and a revision (that segment). A higher
revision supersedes the lower one, whatever order they arrive in; a bust takes the execution back. Quantities and prices
are Decimal here, because this is what realized P&L and the books are summed from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from positions.domain.pricing import decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution of one order. `quantity` is absolute shares; `commission` is None until the broker says.

    `realized` is the gross P&L it was booked with, so that a later revision of it books what it changed.
    """

    exec_id: str
    quantity: Decimal
    price: Decimal
    time: datetime
    busted: bool = False
    commission: Decimal | None = None
    currency: str = "USD"
    realized: Decimal = ZERO

    @property
    def base(self) -> str:
        return split_exec_id(self.exec_id)[0]

    @property
    def revision(self) -> int:
        return split_exec_id(self.exec_id)[1]

    def to_dict(self) -> dict[str, Any]:
        return {
            "exec_id": self.exec_id,
            "quantity": str(self.quantity),
            "price": str(self.price),
            "time": self.time.isoformat(),
            "busted": self.busted,
            "commission": None if self.commission is None else str(self.commission),
            "currency": self.currency,
            "realized": str(self.realized),
        }

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Execution:
        return cls(
            exec_id=row["exec_id"],
            quantity=Decimal(row["quantity"]),
            price=Decimal(row["price"]),
            time=datetime.fromisoformat(row["time"]),
            busted=row["busted"],
            commission=None if row["commission"] is None else Decimal(row["commission"]),
            currency=row["currency"],
            realized=Decimal(row.get("realized", 0)),  # rows of earlier versions have none
        )


class Entry(StrEnum):
    """What an execution did to the ledger."""

    NEW = "new"
    KNOWN = "known"  # the same again, or older than what we have: nothing changed
    CORRECTED = "corrected"  # a higher revision replaced what we had
    BUSTED = "busted"  # taken back


def split_exec_id(exec_id: str) -> tuple[str, int]:
    """(base, revision): "0001.65a.01.02" → ("0001.65a.01", 2). An id without a numeric last segment is revision 1 of itself."""
    base, dot, last = exec_id.rpartition(".")
    if dot and base and last.isdigit():
        return base, int(last)
    return exec_id, 1


class FillLedger:
    """The executions of one order, by base id."""

    __slots__ = ("_executions",)

    def __init__(self, executions: Iterable[Execution] = ()) -> None:
        # base id → the execution at its highest revision so far
        self._executions: dict[str, Execution] = {e.base: e for e in executions}

    def add(self, execution: Execution) -> tuple[Entry, Execution | None]:
        """What it did, and the execution it replaced."""
        before = self._executions.get(execution.base)
        if before is None:
            self._executions[execution.base] = execution
            # A bust of something never seen still has to be remembered: the execution itself may arrive later.
            return (Entry.BUSTED if execution.busted else Entry.NEW), None
        if execution.revision < before.revision or (execution.revision == before.revision and (before.busted or not execution.busted)):
            return Entry.KNOWN, before
        commission = execution.commission if execution.commission is not None else before.commission
        kept = replace(execution, commission=commission, time=before.time)  # it happened when it happened, whenever it is corrected
        self._executions[execution.base] = kept
        return (Entry.BUSTED if kept.busted else Entry.CORRECTED), before

    def set_commission(self, exec_id: str, commission: Decimal, currency: str) -> bool:
        """True if it told us something new. The fee of a revision that was replaced is no news where one is known."""
        base, revision = split_exec_id(exec_id)
        known = self._executions.get(base)
        if known is None or known.commission == commission or (revision < known.revision and known.commission is not None):
            return False
        self._executions[base] = replace(known, commission=commission, currency=currency)
        return True

    def book_realized(self, exec_id: str, realized: Decimal) -> None:
        """Note what the execution realized, gross."""
        base, _ = split_exec_id(exec_id)
        self._executions[base] = replace(self._executions[base], realized=realized)

    def current(self, exec_id: str) -> Execution:
        """The execution at its highest revision, whichever revision is named. Raises KeyError."""
        return self._executions[split_exec_id(exec_id)[0]]

    @property
    def revised(self) -> bool:
        """The broker corrected or busted some of it: what it once said was filled may be more than what remains."""
        return any(e.busted or e.revision > 1 for e in self._executions.values())

    def knows(self, exec_id: str) -> bool:
        return split_exec_id(exec_id)[0] in self._executions

    @property
    def executions(self) -> tuple[Execution, ...]:
        return tuple(self._executions.values())

    @property
    def quantity(self) -> Decimal:
        """Shares filled and not busted."""
        return sum((e.quantity for e in self._executions.values() if not e.busted), ZERO)

    @property
    def average_price(self) -> Decimal | None:
        filled = self.quantity
        if not filled:
            return None
        return sum((e.quantity * e.price for e in self._executions.values() if not e.busted), ZERO) / filled

    @property
    def commission(self) -> Decimal:
        """Known commissions; a busted execution's is not paid."""
        return sum((e.commission for e in self._executions.values() if e.commission is not None and not e.busted), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Signed shares at an average price, and the gross P&L realized on the way here."""

    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    realized: Decimal = ZERO


def fold(holding: Holding, quantity: Decimal, price: Decimal) -> Holding:
    """`holding` after a fill of `quantity` (signed) at `price`. Crossing zero opens the remainder at `price`."""
    held = holding.quantity
    after = held + quantity
    if held == 0 or (held > 0) == (quantity > 0):
        entry = (held * holding.entry_price + quantity * price) / after if after else ZERO
        return replace(holding, quantity=after, entry_price=entry)
    closed = min(abs(held), abs(quantity)) * (1 if held > 0 else -1)
    realized = holding.realized + (price - holding.entry_price) * closed
    if after == 0:
        return Holding(realized=realized)
    crossed = (after > 0) != (held > 0)
    return Holding(quantity=after, entry_price=price if crossed else holding.entry_price, realized=realized)


def fold_all(fills: Iterable[tuple[float, float]]) -> Holding:
    """The holding after (signed quantity, price) fills, in order."""
    holding = Holding()
    for quantity, price in fills:
        holding = fold(holding, decimal(quantity), decimal(price))
    return holding
