"""Our book beside the broker's, row by row, with the cause of every difference in words a person can act on. Pure.

A row is {"id", "kind", "symbol", "what", "state", "cause", "blocks", "ours", "theirs", "difference", "detail", "order_id",
"position_id"}; `ours` and `theirs` are numbers (shares, money) or None where there is nothing. States:

match, pending (on its way, not judged yet), external (made elsewhere), differs, missing_here, missing_there, in_doubt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from events.order import OrderState, PendingRequest
from events.wording import money_text, quantity_text, shares_words
from positions.domain.ledger import Execution, split_exec_id
from positions.domain.order import Order
from positions.domain.order_book import OrderBook
from positions.domain.order_doubt import was_seen
from positions.domain.ports import BrokerSnapshot, ExecutionReport, OrderReport
from positions.domain.position import Position
from positions.domain.pricing import decimal

CENT = 0.01
CHANGING = timedelta(seconds=2)  # an order that ended this shortly before a reading may still be on one of its lists
SETTLING = timedelta(seconds=30)  # a fee or a cash value may lag its execution by so much
MOST_EXECUTIONS = 200  # rows shown; every one is compared

Row = dict[str, Any]


class RowState(StrEnum):
    MATCH = "match"
    PENDING = "pending"
    EXTERNAL = "external"
    DIFFERS = "differs"
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True, slots=True, kw_only=True)
class OurBook:
    """What the comparison needs of us. `elsewhere` is symbol → shares known to be not ours, `known_by` who acknowledged them."""

    orders: OrderBook
    positions: list[Position]
    elsewhere: dict[str, float]
    ref_prefix: str
    known_by: dict[str, str] = field(default_factory=dict)


def compare(book: OurBook, snapshot: BrokerSnapshot) -> list[Row]:
    """Positions, orders and executions; cash is compared by `cash_row`."""
    return [*position_rows(book, snapshot), *order_rows(book, snapshot), *execution_rows(book, snapshot)]


def _row(kind: str, key: str, symbol: str, what: str, state: RowState, cause: str = "", **more: Any) -> Row:
    empty = {"blocks": False, "ours": None, "theirs": None, "difference": None, "detail": "", "order_id": "", "position_id": ""}
    return {"id": f"{kind}:{key}"[:80], "kind": kind, "symbol": symbol, "what": what, "state": state.value, "cause": cause, **empty, **more}


# ---- positions ------------------------------------------------------------------------------------------------------


def position_rows(book: OurBook, snapshot: BrokerSnapshot) -> list[Row]:
    ours: dict[str, list[Position]] = {}
    for position in book.positions:
        if position.held:
            ours.setdefault(position.symbol, []).append(position)
    theirs: dict[str, float] = {}
    costs = {report.symbol: report.average_cost for report in snapshot.positions}
    for report in snapshot.positions:
        theirs[report.symbol] = theirs.get(report.symbol, 0.0) + report.quantity
    there = {symbol for symbol, quantity in theirs.items() if quantity}
    symbols = sorted(ours.keys() | there | {s for s, q in book.elsewhere.items() if q})
    return [_position_row(symbol, ours.get(symbol, []), theirs.get(symbol, 0.0), costs.get(symbol), book) for symbol in symbols]


def _position_row(symbol: str, held: list[Position], there: float, cost: float | None, book: OurBook) -> Row:
    ours, beyond = sum(position.held for position in held), book.elsewhere.get(symbol, 0.0)
    gap = there - ours - beyond
    state, cause = RowState.MATCH, ""
    if abs(gap) > 1e-6:
        state = RowState.DIFFERS
        gap_words = f"{shares_words(gap, signed=True)} that no execution explains."
        cause = f"{gap_words} Somebody may have traded outside today's list, or a report was lost."
    elif beyond and not ours:
        state, cause = RowState.EXTERNAL, "Made elsewhere: bought or sold by other hands at this account. Not managed here."
    elif beyond:
        state, cause = RowState.EXTERNAL, f"{shares_words(beyond, signed=True)} of it made elsewhere and not managed here."
    if state is RowState.EXTERNAL and book.known_by.get(symbol):
        cause += f" Known to {book.known_by[symbol]}."
    entry = held[0].entry_price if len(held) == 1 else None
    prices = [f"our entry {money_text(entry)}" if entry else "", f"IB's average cost {money_text(cost)}" if cost and there else ""]
    return _row(
        "position", symbol, symbol, "shares", state, cause,
        blocks=state is RowState.DIFFERS, ours=ours, theirs=there, difference=gap or 0.0,
        detail=" · ".join(filter(None, prices)), elsewhere=beyond, average_cost=cost,
        position_id=held[0].position_id if len(held) == 1 else "",
    )  # fmt: skip


# ---- orders ---------------------------------------------------------------------------------------------------------


def order_rows(book: OurBook, snapshot: BrokerSnapshot) -> list[Row]:
    """Every order that lives on either side."""
    listed: dict[str, OrderReport] = {}
    strangers = []
    for report in snapshot.open_orders:
        order = book.orders.find(report)
        if order is None:
            strangers.append(report)
        else:
            listed[order.order_id] = report
    live = [order for order in book.orders if (order.is_live and order.state is not OrderState.PLANNED) or order.order_id in listed]
    rows = [_order_row(order, listed.get(order.order_id), snapshot.taken_at, book.ref_prefix) for order in live]
    return rows + [_stranger(report) for report in strangers]


def _order_row(order: Order, report: OrderReport | None, at: datetime, prefix: str) -> Row:
    state, cause, blocks = _judge_order(order, report, at, prefix)
    verdict = "" if state is not RowState.IN_DOUBT or report is not None else "over" if was_seen(order) else "never_sent"
    return _row(
        "order", order.order_ref, order.symbol, _order_words(order), state, cause, blocks=blocks,
        ours=None if order.external else order.remaining_quantity, theirs=None if report is None else _remaining(report),
        difference=None, order_id=order.order_id, position_id=order.position_id, verdict=verdict, client_id=order.client_id,
        detail=f"here {order.state.value.replace('_', ' ')} · IB {report.status if report else 'does not list it'}",
    )  # fmt: skip


def _judge_order(order: Order, report: OrderReport | None, at: datetime, prefix: str) -> tuple[RowState, str, bool]:
    if order.external:
        if order.message.startswith(f"reference {prefix}"):
            return RowState.MISSING_HERE, "It carries our reference and is not on our books: they may have been restored from a copy.", True
        return RowState.EXTERNAL, f"Made by {_maker(order)}. IB lets only that hand cancel it: cancel it where it was made.", False
    if order.state is OrderState.IN_DOUBT:
        return RowState.IN_DOUBT, "The link broke before IB answered. It is neither trusted nor sent again until its fate is proven.", False
    if report is None:
        if at - order.updated_at < timedelta(seconds=10):
            return RowState.PENDING, "On its way.", False
        return RowState.MISSING_THERE, "IB does not list it any more and no execution ended it.", False
    if order.is_terminal and at - order.updated_at < CHANGING:
        return RowState.PENDING, "It ended while IB's lists were read.", False
    if order.is_terminal:
        return RowState.MISSING_HERE, f"IB lists it as working, here it is {order.state.value.replace('_', ' ')}.", True
    if order.pending is not PendingRequest.NONE or order.state is OrderState.SENDING:
        return (
            RowState.PENDING,
            f"{order.pending.value} asked, not confirmed yet." if order.pending is not PendingRequest.NONE else "",
            False,
        )
    wrong = [words for words, ours, theirs in _terms(order, report) if theirs is not None and _unequal(ours, theirs)]
    if wrong:
        return RowState.DIFFERS, f"{', '.join(wrong)} not as we know it; the broker's word counts.", False
    return RowState.MATCH, "", False


def _maker(order: Order) -> str:
    return f"API client {order.client_id}" if order.client_id else "hand in TWS or a client that IB does not name"


def _terms(order: Order, report: OrderReport) -> list[tuple[str, float | None, float | None]]:
    return [
        ("quantity", order.quantity, report.quantity),
        ("limit price", order.limit_price, report.limit_price if order.limit_price is not None else None),
        ("stop price", order.stop_price, report.stop_price if order.stop_price is not None else None),
    ]


def _unequal(ours: float | None, theirs: float) -> bool:
    return ours is None or abs(ours - theirs) > 1e-6


def _order_words(order: Order) -> str:
    level = order.stop_price if order.stop_price is not None else order.limit_price
    return f"{order.side.value} {quantity_text(order.quantity)} {order.order_type.value.replace('_', ' ')}" + (
        f" {money_text(level)}" if level else ""
    )


def _remaining(report: OrderReport) -> float | None:
    return report.remaining if report.remaining is not None else report.quantity


def _stranger(report: OrderReport) -> Row:
    what = f"{report.side.value if report.side else '?'} {quantity_text(report.quantity or 0)} {report.order_type}"
    cause = "IB lists an order that says too little to be shown in full."
    return _row("order", str(report.perm_id), report.symbol, what, RowState.EXTERNAL, cause, theirs=report.quantity, detail=report.status)


# ---- executions -----------------------------------------------------------------------------------------------------


def execution_rows(book: OurBook, snapshot: BrokerSnapshot) -> list[Row]:
    """Today's executions of both sides, the newest first. IB's list begins at the gateway's midnight."""
    theirs: dict[str, ExecutionReport] = {}
    for report in snapshot.executions:
        base, revision = split_exec_id(report.exec_id)
        if base not in theirs or revision >= split_exec_id(theirs[base].exec_id)[1]:
            theirs[base] = report
    fees = {split_exec_id(report.exec_id)[0]: report.commission for report in snapshot.commissions}
    day = snapshot.taken_at.date()
    ours = {e.base: (order, e) for order in book.orders for e in order.ledger.executions if e.time.date() == day or e.base in theirs}
    rows = [
        _execution_row(base, ours.get(base), theirs.get(base), fees.get(base), snapshot.taken_at, book)
        for base in ours.keys() | theirs.keys()
    ]
    rows.sort(key=lambda row: str(row["at"]), reverse=True)
    kept = [row for row in rows if row["state"] != RowState.MATCH]
    return kept + [row for row in rows if row["state"] == RowState.MATCH][:MOST_EXECUTIONS]


def _execution_row(
    base: str, mine: tuple[Order, Execution] | None, report: ExecutionReport | None, fee: float | None, at: datetime, book: OurBook
) -> Row:
    if mine is None:
        return _unknown_execution(base, report)
    order, execution = mine
    state, cause, blocks = _judge_execution(order, execution, report, fee, at, book.ref_prefix)
    what = f"{order.side.value} {quantity_text(float(execution.quantity))} at {money_text(execution.price, 4)}"
    counted = 0.0 if execution.busted else float(execution.quantity)
    there = None if report is None else 0.0 if report.liquidation == 1 else report.quantity
    fee_words = "commission not reported" if execution.commission is None else f"commission {money_text(execution.commission)}"
    return _row(
        "execution", base, order.symbol, what, state, cause, blocks=blocks, ours=counted, theirs=there,
        difference=None if there is None else there - counted, order_id=order.order_id, position_id=order.position_id,
        detail=fee_words, at=execution.time.isoformat(),
    )  # fmt: skip


def _unknown_execution(base: str, report: ExecutionReport | None) -> Row:
    if report is None:
        return _row("execution", base, "", "", RowState.PENDING, at="")
    what, cause = (
        f"{report.side.value} {quantity_text(report.quantity)} at {money_text(report.price, 4)}",
        "IB lists it and we have not booked it.",
    )
    more = {"blocks": True, "theirs": report.quantity, "at": report.time.isoformat()}
    return _row("execution", base, report.symbol, what, RowState.MISSING_HERE, cause, **more)


def _judge_execution(
    order: Order, execution: Execution, report: ExecutionReport | None, fee: float | None, at: datetime, prefix: str
) -> tuple[RowState, str, bool]:
    if report is None:
        if at - execution.time < SETTLING:
            return RowState.PENDING, "Heard a moment ago; the next list has it.", False
        return RowState.MISSING_THERE, "Not on IB's list, which begins at the gateway's midnight and may have been cut.", False
    if split_exec_id(report.exec_id)[1] < execution.revision:
        return RowState.PENDING, "We know a later correction than IB's list.", False
    if not execution.busted and (float(execution.quantity) != report.quantity or abs(float(execution.price) - report.price) > 1e-6):
        return RowState.DIFFERS, f"IB says {quantity_text(report.quantity)} at {money_text(report.price, 4)}.", True
    if execution.busted:
        return RowState.MATCH, "Busted: it counts for nothing.", False
    if order.external:
        ours_by_name = order.message.startswith(f"reference {prefix}")
        why = "It carries our reference, but its order is not on our books." if ours_by_name else "Made elsewhere."
        return (RowState.MISSING_HERE if ours_by_name else RowState.EXTERNAL), why, ours_by_name
    if fee is not None and execution.commission is not None and abs(float(execution.commission) - fee) >= CENT / 2:
        return RowState.DIFFERS, f"IB charged {money_text(fee)}.", False
    if execution.commission is None:
        return RowState.PENDING, "Its commission has not been reported yet.", False
    return RowState.MATCH, "Corrected by the broker." if execution.revision > 1 else "", False


# ---- cash -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CashBasis:
    """What cash was before the executions of day `since` (UTC), in account currency."""

    since: date
    opening: Decimal


def cash_moved(executions: Iterable[tuple[Order, Execution]], first: date, before: date | None = None) -> Decimal:
    """What the executions from day `first` to the day before `before` did to cash: proceeds less commissions."""
    moved = Decimal(0)
    for order, execution in executions:
        if execution.busted or execution.time.date() < first or (before is not None and execution.time.date() >= before):
            continue
        value = execution.quantity * execution.price
        moved += (-value if order.side.value == "buy" else value) - (execution.commission or 0)
    return moved


def cash_row(book: OurBook, snapshot: BrokerSnapshot, basis: CashBasis | None, tag: str) -> tuple[Row | None, CashBasis | None]:
    """The comparison of cash, and the basis of the next one. No row while the broker has not said how much there is."""
    theirs = snapshot.account_values.get(tag)
    if theirs is None:
        return None, basis
    day, executions = snapshot.taken_at.date(), [(order, e) for order in book.orders for e in order.ledger.executions]
    if basis is None:
        opening = decimal(theirs) - cash_moved(executions, day)
        first = _row(
            "cash", "USD", "", "Cash, USD", RowState.MATCH, "First comparison: taken as it is.", ours=theirs, theirs=theirs, difference=0.0
        )
        return first, CashBasis(since=day, opening=opening)
    if basis.since < day:
        basis = CashBasis(since=day, opening=basis.opening + cash_moved(executions, basis.since, day))
    ours = basis.opening + cash_moved(executions, day)
    gap = float(decimal(theirs) - ours)
    state, cause = RowState.MATCH, ""
    if abs(gap) >= CENT:
        lately = any(snapshot.taken_at - order.updated_at < SETTLING for order, _ in executions)
        state = RowState.PENDING if lately else RowState.DIFFERS
        cause = (
            "An execution is a moment old; IB's cash may lag."
            if lately
            else "No execution explains it: a deposit, dividend, fee or a lost report."
        )
    return _row("cash", "USD", "", "Cash, USD", state, cause, ours=float(ours), theirs=theirs, difference=gap), basis
