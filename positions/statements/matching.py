"""A day's statement beside a day's fills: execution by execution, to the cent. Pure.

A day is IB's trade date. Rows that this day's statement says of an earlier day (a late booking, a cancellation, a correction)
are compared with our fill of that day, and say which day that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from positions.domain.ledger import split_exec_id
from positions.statements.pairing import Pair, by_exec_id, by_likeness
from positions.statements.realized import OurFill, by_order, comparable, with_realized
from positions.statements.row_cells import cell, not_compared
from positions.statements.row_list import places
from positions.statements.statement import ZERO, Statement, StatementTrade

__all__ = ["Comparison", "OurFill", "by_order", "compare", "with_realized"]

_LOST = "IB has it and we do not: its report was lost, or it was made before we listened."
_BOOKED = (
    "IB booked it without an execution ({how}), so no report of it comes from the API. "
    "Take the shares over on the Broker page if you want them managed."
)
_MISSING_THERE = "We booked it and IB's statement does not have it: busted later, or another day's."


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`lines` are the rows of the file that took part."""

    rows: list[dict[str, Any]]
    totals: list[dict[str, Any]]
    lines: frozenset[int] = field(default_factory=frozenset)

    def count(self, state: str) -> int:
        return sum(row["state"] == state for row in self.rows)

    @property
    def ok(self) -> bool:
        return all(row["state"] == "match" for row in self.rows)


def compare(
    statement: Statement,
    day: date,
    fills: Sequence[OurFill],
    *,
    elsewhere: Sequence[OurFill] = (),
    held_elsewhere: frozenset[str] = frozenset(),
) -> Comparison:
    """`fills` are ours of the day, with their realized results; `elsewhere` those of other days, and the busted ones.

    Of the symbols in `held_elsewhere` IB holds other shares than our fills add up to: their results are unknown here.
    """
    trades = [t for t in statement.trades if day in (t.day, statement.reported_on(t))]
    taken_back = [t for t in (*statement.cancelled, *statement.cancels) if day in (t.day, statement.reported_on(t))]
    pairs = _pairs(statement, day, trades, fills, elsewhere)
    pairs, cancels = _taken_back(pairs, taken_back, elsewhere, day)
    rows, results = _rows(pairs, day, held_elsewhere)
    rows += cancels
    rows.sort(key=lambda row: (row["at"], row["key"]))
    lines = frozenset(line for trade in (*trades, *taken_back) for line in trade.lines)
    return Comparison(rows=rows, totals=_totals(pairs, results, taken_back), lines=lines)


def _pairs(
    statement: Statement, day: date, trades: list[StatementTrade], fills: Sequence[OurFill], elsewhere: Sequence[OurFill]
) -> list[Pair]:
    """The day's rows with our fills, and those of an earlier day with what we have of it."""
    todays = [trade for trade in trades if trade.day == day]
    late = [trade for trade in trades if trade.day != day]
    standing = [fill for fill in elsewhere if not fill.busted]
    if statement.source == "flex" and all(trade.exec_id for trade in trades):
        others = {split_exec_id(fill.exec_id)[0]: fill for fill in standing}
        return by_exec_id(todays, fills, others) + by_exec_id(late, (), others)
    of_late_days = {trade.day for trade in late}
    found = by_likeness(late, [fill for fill in standing if fill.day in of_late_days])
    return by_likeness(todays, fills) + [(ours, theirs) for ours, theirs in found if theirs is not None]


def _taken_back(
    pairs: list[Pair], taken_back: list[StatementTrade], elsewhere: Sequence[OurFill], day: date
) -> tuple[list[Pair], list[dict[str, Any]]]:
    """A row for each trade that IB took back, with our fill if we have it; that fill is nobody else's then."""
    alone = [ours for ours, theirs in pairs if ours is not None and theirs is None]
    rows, used = [], set[int]()
    search = _Reverse([*alone, *elsewhere]) if taken_back else None
    for trade in taken_back:
        ours = search.take(trade) if search else None
        used.add(id(ours))
        if ours is not None or trade.is_cancel or trade.commission:
            rows.append(_cancel_row(ours, trade, day))
    return [pair for pair in pairs if pair[1] is not None or id(pair[0]) not in used], rows


def _cancel_row(ours: OurFill | None, theirs: StatementTrade, day: date) -> dict[str, Any]:
    known = not theirs.is_cancel  # a cancellation alone says the shares it takes back, not what is left of the fee
    fee = theirs.commission if known else None
    held = ours is not None and not ours.busted
    our_fee = ours.commission if ours is not None and held else ZERO  # a busted fill counts for nothing, its fee neither
    cells = [
        cell("Quantity", ours.quantity if ours is not None and held else ZERO, ZERO, exact=True),
        cell("Price", None, None),
        cell("Commission", our_fee if fee is not None else None, fee),
        cell("Realized", None, None),
    ]
    state, cause = "match", "IB took this trade back, and our books do not count it."
    if ours is None:
        cause = "IB took this trade back, and our books never had it."
    if held:
        state, cause = "differs", "IB took this trade back and our books still count it. The statement outranks our books."
    elif cells[2]["differs"]:
        state, cause = "differs", "IB took this trade back and kept a fee that our books do not have. The statement outranks our books."
    key = theirs.exec_id or (ours.exec_id if ours else "") or theirs.original_trade_id or theirs.symbol
    row = {"key": key, "symbol": theirs.symbol, "state": state, "cause": cause, "pairs": cells}
    return _with_day(row, theirs.at, theirs.day, day, theirs)


def _rows(pairs: list[Pair], day: date, held_elsewhere: frozenset[str]) -> tuple[list[dict[str, Any]], list[tuple[Decimal, Decimal]]]:
    """The rows, and the results that both sides know."""
    rows, results, unknown = list[dict[str, Any]](), list[tuple[Decimal, Decimal]](), set(held_elsewhere)
    for ours, theirs in sorted(pairs, key=_moment):
        if ours is not None and theirs is not None and theirs.realized is not None:
            if not comparable(ours, theirs):
                unknown.add(ours.symbol)  # and what follows of the day stands on the same unknown shares
            elif ours.symbol not in unknown:
                results.append((ours.realized or ZERO, theirs.realized))
        rows.append(_row(ours, theirs, day, unknown))
    return rows, results


def _moment(pair: Pair) -> datetime:
    one = pair[1] or pair[0]
    if one is None:
        raise ValueError("a row has at least one side")
    return one.at


def _row(ours: OurFill | None, theirs: StatementTrade | None, day: date, unknown: set[str]) -> dict[str, Any]:
    one = ours or theirs
    if one is None:
        raise ValueError("a row has at least one side")

    def amounts(name: str) -> tuple[Decimal | None, Decimal | None]:
        return getattr(ours, name, None), getattr(theirs, name, None)

    cells = [
        cell("Quantity", *amounts("quantity"), exact=True),
        cell("Price", *amounts("price"), places=4),
        cell("Commission", *amounts("commission")),
        cell("Realized", *amounts("realized")),
    ]
    if theirs is not None and theirs.commission is None:
        cells[2] = not_compared(cells[2])
    if theirs is None or ours is None or theirs.realized is None:
        cells[3] = not_compared(cells[3])
    elif one.symbol in unknown and (ours.closed or theirs.realized):
        cells[3] = not_compared(cells[3], ours="unknown", theirs=cells[3]["theirs"])
    state, cause = _state(ours, theirs, [c["name"].lower() for c in cells if c["differs"]])
    if state == "match" and cells[3]["ours"] == "unknown":
        cause = "The result is of shares that our own fills never bought: ours is unknown and was not compared."
    key = one.exec_id or (ours.order_id if ours else "") or one.symbol
    row = {"key": key, "symbol": one.symbol, "state": state, "cause": cause, "pairs": cells}
    return _with_day(row, one.at, theirs.day if theirs else one.day, day, theirs)


def _state(ours: OurFill | None, theirs: StatementTrade | None, wrong: list[str]) -> tuple[str, str]:
    if ours is None and theirs is not None:
        return "missing_here", _BOOKED.format(how=theirs.booked) if theirs.booked else _LOST
    if theirs is None:
        return "missing_there", _MISSING_THERE
    if wrong:
        return "differs", f"The statement has another {' and '.join(wrong)}. The statement outranks our books."
    return "match", ""


def _with_day(row: dict[str, Any], at: datetime, of: date, day: date, theirs: StatementTrade | None) -> dict[str, Any]:
    """The row with its moment, its place in the file, and the day it is about when that is another one."""
    more = {"at": at.isoformat(), "lines": places(theirs.lines) if theirs is not None else ""}
    return row | more | ({"day": of.isoformat()} if of != day else {})


class _Reverse:
    """Our fills by what a cancellation names them with; each is found once."""

    def __init__(self, fills: Sequence[OurFill]) -> None:
        self._by_id: dict[str, OurFill] = {}
        self._like: dict[tuple[Any, ...], list[OurFill]] = {}
        for fill in fills:
            self._by_id.setdefault(split_exec_id(fill.exec_id)[0], fill)
            self._like.setdefault((fill.symbol, fill.day, fill.quantity, round(fill.price, 4)), []).append(fill)

    def take(self, trade: StatementTrade) -> OurFill | None:
        """By execution id; a cancellation without one is about the fill that it reverses, the nearest in time."""
        if trade.exec_id and (found := self._by_id.get(split_exec_id(trade.exec_id)[0])) is not None:
            return found
        if not trade.is_cancel:
            return None
        like = self._like.get((trade.symbol, trade.day, -trade.quantity, round(trade.price, 4)), [])
        nearest = min(range(len(like)), key=lambda n: (abs((like[n].at - trade.at).total_seconds()), like[n].busted), default=None)
        return None if nearest is None else like.pop(nearest)


def _totals(pairs: list[Pair], results: list[tuple[Decimal, Decimal]], taken_back: list[StatementTrade]) -> list[dict[str, Any]]:
    ours, theirs = [o for o, _ in pairs if o], [t for _, t in pairs if t]
    kept_fees = sum((t.commission or ZERO for t in taken_back if not t.is_cancel), ZERO)
    sums = [
        ("Proceeds", sum((-f.quantity * f.price for f in ours), ZERO), sum((-t.quantity * t.price for t in theirs), ZERO)),
        ("Commissions", sum((f.commission or ZERO for f in ours), ZERO), sum((t.commission or ZERO for t in theirs), kept_fees)),
        ("Realized, net", sum((o for o, _ in results), ZERO), sum((t for _, t in results), ZERO)),
    ]
    return [
        {"name": name, "ours": float(round(a, 2)), "theirs": float(round(b, 2)), "difference": float(round(b, 2) - round(a, 2))}
        for name, a, b in sums
    ]
