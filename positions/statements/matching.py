"""A day's statement beside a day's fills: execution by execution, to the cent. Pure.

Realized results are compared net of commissions, first in first out, as IB reckons them; ours are reckoned from our own
fills since the first one, and are unknown where shares were held before that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from positions.domain.ledger import split_exec_id
from positions.statements.statement import Statement, StatementTrade

CENT = Decimal("0.01")
ZERO = Decimal(0)
NEAR_SECONDS = 120  # an activity statement's time of an order and our last fill of it


@dataclass(frozen=True, slots=True, kw_only=True)
class OurFill:
    """One fill of ours at its highest revision; signed quantity, commission None when IB never told it."""

    exec_id: str
    order_id: str
    symbol: str
    at: datetime
    day: date
    quantity: Decimal
    price: Decimal
    commission: Decimal | None
    realized: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    rows: list[dict[str, Any]]
    totals: list[dict[str, Any]]

    def count(self, state: str) -> int:
        return sum(row["state"] == state for row in self.rows)

    @property
    def ok(self) -> bool:
        return all(row["state"] == "match" for row in self.rows)


def with_realized(fills: Sequence[OurFill]) -> list[OurFill]:
    """The same fills, oldest first, each with what it realized net of the commissions in and out."""
    lots: dict[str, deque[list[Decimal]]] = {}  # symbol → open lots of [signed shares, price, commission per share]
    done = []
    for fill in sorted(fills, key=lambda f: (f.at, f.exec_id)):
        queue = lots.setdefault(fill.symbol, deque())
        each = (fill.commission or ZERO) / abs(fill.quantity) if fill.quantity else ZERO
        left, realized = fill.quantity, ZERO
        while left and queue and queue[0][0] * left < 0:
            lot = queue[0]
            shares = min(abs(left), abs(lot[0]))
            direction = 1 if lot[0] > 0 else -1
            realized += (fill.price - lot[1]) * shares * direction - shares * (lot[2] + each)
            lot[0] -= shares * direction
            left += shares * direction
            if not lot[0]:
                queue.popleft()
        if left:
            queue.append([left, fill.price, each])
        done.append(OurFill(**{**_fields(fill), "realized": realized}))
    return done


def by_order(fills: Iterable[OurFill]) -> list[OurFill]:
    """One line for each order, as activity statements list them: shares added up, the average price, the last time."""
    orders: dict[str, list[OurFill]] = {}
    for fill in fills:
        orders.setdefault(fill.order_id or fill.exec_id, []).append(fill)
    return [_together(key, parts) for key, parts in orders.items()]


def compare(statement: Statement, day: date, fills: Sequence[OurFill]) -> Comparison:
    """`fills` are those of the day, with their realized results."""
    trades = [trade for trade in statement.trades if trade.day == day]
    by_id = all(trade.exec_id for trade in trades) and statement.source == "flex"
    pairs = _by_exec_id(trades, fills) if by_id else _by_likeness(trades, fills)
    rows = [_row(ours, theirs) for ours, theirs in pairs]
    rows.sort(key=lambda row: (row["at"], row["key"]))
    return Comparison(rows=rows, totals=_totals([o for o, _ in pairs if o], [t for _, t in pairs if t]))


Pair = tuple[OurFill | None, StatementTrade | None]


def _by_exec_id(trades: list[StatementTrade], fills: Sequence[OurFill]) -> list[Pair]:
    ours = {split_exec_id(fill.exec_id)[0]: fill for fill in fills}
    theirs = {split_exec_id(trade.exec_id)[0]: trade for trade in trades}
    return [(ours.get(base), theirs.get(base)) for base in ours.keys() | theirs.keys()]


def _by_likeness(trades: list[StatementTrade], fills: Sequence[OurFill]) -> list[Pair]:
    """Without ids: an exact line for line match first (orders, then executions), then the same symbol, side and time."""
    for candidates in (by_order(fills), list(fills)):
        pairs, rest = _pair_off(trades, candidates)
        if all(ours is not None for ours, _ in pairs) and not rest:
            return pairs
    pairs, rest = _pair_off(trades, by_order(fills))
    return pairs + [(fill, None) for fill in rest]


def _pair_off(trades: list[StatementTrade], fills: Sequence[OurFill]) -> tuple[list[Pair], list[OurFill]]:
    rest, pairs = list(fills), list[Pair]()
    for trade in sorted(trades, key=lambda t: t.at):
        near = [f for f in rest if f.symbol == trade.symbol and f.quantity * trade.quantity > 0]
        near = [f for f in near if abs((f.at - trade.at).total_seconds()) <= NEAR_SECONDS]
        best = min(near, key=lambda f: _unlikeness(f, trade), default=None)
        if best is not None:
            rest.remove(best)
        pairs.append((best, trade))
    return pairs, rest


def _unlikeness(fill: OurFill, trade: StatementTrade) -> tuple[bool, Decimal, float]:
    return fill.quantity != trade.quantity, abs(fill.price - trade.price), abs((fill.at - trade.at).total_seconds())


def _row(ours: OurFill | None, theirs: StatementTrade | None) -> dict[str, Any]:
    one = ours or theirs
    if one is None:
        raise ValueError("a row has at least one side")

    def amounts(name: str) -> tuple[Decimal | None, Decimal | None]:
        return getattr(ours, name, None), getattr(theirs, name, None)

    cells = [
        _cell("Quantity", *amounts("quantity"), exact=True),
        _cell("Price", *amounts("price"), places=4),
        _cell("Commission", *amounts("commission"), optional=theirs is not None and theirs.commission is None),
        _cell("Realized", *amounts("realized"), optional=True),
    ]
    state, cause = "match", ""
    wrong = [cell["name"].lower() for cell in cells if cell["differs"]]
    if ours is None:
        state, cause = "missing_here", "IB has it and we do not: its report was lost, or it was made before we listened."
    elif theirs is None:
        state, cause = "missing_there", "We booked it and IB's statement does not have it: busted later, or another day's."
    elif wrong:
        state, cause = "differs", f"The statement has another {' and '.join(wrong)}. The statement outranks our books."
    key = one.exec_id or (ours.order_id if ours else "") or one.symbol
    return {"key": key, "symbol": one.symbol, "at": one.at.isoformat(), "state": state, "cause": cause, "pairs": cells}


def _cell(
    name: str, ours: Decimal | None, theirs: Decimal | None, *, exact: bool = False, optional: bool = False, places: int = 2
) -> dict[str, Any]:
    unit = Decimal(1).scaleb(-places)
    if ours is None or theirs is None:
        differs = (ours is None) != (theirs is None) and not optional
    else:
        differs = ours != theirs if exact else abs(ours - theirs) >= unit / 2 and ours.quantize(unit) != theirs.quantize(unit)
    return {"name": name, "ours": _text(ours, places, exact), "theirs": _text(theirs, places, exact), "differs": differs}


def _text(value: Decimal | None, places: int, exact: bool) -> str:
    if value is None:
        return ""
    return f"{value.normalize():,f}" if exact else f"{value:,.{places}f}"


def _totals(ours: list[OurFill], theirs: list[StatementTrade]) -> list[dict[str, Any]]:
    sums = [
        ("Proceeds", sum((-f.quantity * f.price for f in ours), ZERO), sum((-t.quantity * t.price for t in theirs), ZERO)),
        ("Commissions", sum((f.commission or ZERO for f in ours), ZERO), sum((t.commission or ZERO for t in theirs), ZERO)),
        ("Realized, net", sum((f.realized or ZERO for f in ours), ZERO), sum((t.realized or ZERO for t in theirs), ZERO)),
    ]
    return [
        {"name": name, "ours": float(round(a, 2)), "theirs": float(round(b, 2)), "difference": float(round(b, 2) - round(a, 2))}
        for name, a, b in sums
    ]


def _together(key: str, parts: list[OurFill]) -> OurFill:
    shares = sum((part.quantity for part in parts), ZERO)
    price = sum((part.quantity * part.price for part in parts), ZERO) / shares if shares else parts[0].price
    fees = [part.commission for part in parts if part.commission is not None]
    realized = [part.realized for part in parts if part.realized is not None]
    return OurFill(
        exec_id=parts[0].exec_id if len(parts) == 1 else "",
        order_id=key,
        symbol=parts[0].symbol,
        at=max(part.at for part in parts),
        day=parts[0].day,
        quantity=shares,
        price=price,
        commission=sum(fees, ZERO) if len(fees) == len(parts) else None,
        realized=sum(realized, ZERO) if realized else None,
    )


def _fields(fill: OurFill) -> dict[str, Any]:
    return {name: getattr(fill, name) for name in OurFill.__dataclass_fields__}
