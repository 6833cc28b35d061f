"""Comparing our book with the broker's: what is proven, what is in doubt, what differs. Pure; the manager acts on it.

Absence is proven only by two complete readings at least ten seconds apart on the day of the sending, with positions that
equal our ledger and an order id the gateway has not consumed. Of a family it is the id of the leg that transmits: the
gateway may have the legs before it, and they have gone nowhere. Anything less is doubt, and doubt waits for a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from events.order import OrderState, TimeInForce
from positions.domain.order import Order
from positions.domain.order_states import Trigger
from positions.domain.ports import BrokerSnapshot, ExecutionReport, OrderReport

APART = timedelta(seconds=10)
JUST_SENT = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """`ok` means safe to trade: the lists were complete and no difference is unexplained.

    `needs_second` asks for a second reading at least ten seconds after the first. `opened` counts our live orders found,
    `filled` executions learned, `external` orders and holdings that are not ours. `differences` are rows of symbol,
    ours, theirs, cause. `proving`: a second reading may still settle a doubt, and orders with higher ids would spoil its proof,
    so entries wait for it.
    """

    ok: bool
    reason: str = ""
    opened: int = 0
    filled: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)
    external: int = 0
    in_doubt: int = 0
    resent: int = 0
    needs_second: bool = False
    proving: bool = False


def mentions(snapshot: BrokerSnapshot, order: Order) -> bool:
    """Whether any list of the reading knows the order; by reference, permId, or this client's order id.

    An execution proves that the broker had the order, not that it has it still: it speaks only for one that was never acknowledged.
    """
    reports: list[OrderReport | ExecutionReport] = [*snapshot.open_orders, *snapshot.completed_orders]
    if not order.perm_id:
        reports += snapshot.executions
    for report in reports:
        if report.order_ref:
            if report.order_ref == order.order_ref:
                return True
            continue
        if report.perm_id and report.perm_id == order.perm_id:
            return True
        if report.ib_order_id and (report.client_id, report.ib_order_id) == (order.client_id, order.ib_order_id):
            return True
    return False


def far_enough_apart(first: BrokerSnapshot, second: BrokerSnapshot | None) -> bool:
    return second is not None and second.complete and second.taken_at - first.taken_at >= APART


def consumed(order: Order, reading: BrokerSnapshot) -> bool:
    """The gateway has seen an order with this id, or a higher one, from us."""
    return reading.next_order_id > order.ib_order_id


def unused_since(order: Order, reading: BrokerSnapshot) -> datetime | None:
    """Since when it is known that the gateway had not used the order's id: from the row, or from this reading; None when it has."""
    return order.unused_at or (None if consumed(order, reading) else reading.taken_at)


def never_acknowledged(order: Order) -> bool:
    """Sent, or perhaps sent, and the broker has never given it a number."""
    return not order.perm_id and order.state in (OrderState.SENDING, OrderState.IN_DOUBT)


def shows_unused(order: Order, reading: BrokerSnapshot) -> bool:
    """Whether the reading is old enough to say of an unanswered order that the gateway has not used its id."""
    arrived = order.sent_at is not None and reading.taken_at - order.sent_at >= JUST_SENT
    return never_acknowledged(order) and arrived and not consumed(order, reading)


def forgot_ids(reading: BrokerSnapshot, acknowledged: int) -> bool:
    """The gateway's sequence of ids went backwards, as after a reset or on a fresh installation. `acknowledged` is the highest id of
    ours that it had confirmed when the reading was taken."""
    return reading.next_order_id <= acknowledged


def fate_of_absent(
    order: Order,
    first: BrokerSnapshot,
    second: BrokerSnapshot | None,
    *,
    positions_agree: bool,
    transmitter: Order | None = None,
    harmless: bool = False,
    later: int = 0,
    forgot: bool = False,
) -> Trigger | None:
    """What to conclude of a live order that the readings do not mention; None = leave it be for now.

    `transmitter` is the leg that transmits the order's family: until the gateway has that one, none of them works anywhere.
    A `harmless` one only protects shares we hold and shares its group with what replaces it: a used id keeps no doubt alive.
    `later` is the highest id of ours that was sent after the transmitter's id was known to be unused: ids up to it were used by
    those orders, and an id below one that was used is taken by the gateway no more.
    `forgot`: by one of the readings the gateway has forgotten which ids were used, so they prove nothing.
    """
    last = second or first
    if order.sent_at is not None and last.taken_at - order.sent_at < JUST_SENT:
        return None  # it may be on its way
    if order.is_acked and last.taken_at - order.updated_at < JUST_SENT:
        return None  # … or between two places of the broker's, while it is modified
    proven = far_enough_apart(first, second) and positions_agree and not mentions(first, order)
    if never_acknowledged(order):
        same_day = order.sent_at is None or order.sent_at.date() == last.taken_at.date()
        decisive = transmitter or order
        taken = unused_since(decisive, first) is None or last.next_order_id > max(decisive.ib_order_id, later + 1)
        taken = (taken or forgot) and not harmless
        return Trigger.NEVER_SENT if proven and same_day and not taken else Trigger.SILENCE
    if not proven:
        return Trigger.SILENCE
    # The broker had it and has it no more, and no execution is missing: it ended without filling any further.
    overnight = order.sent_at is not None and order.sent_at.date() < last.taken_at.date()
    return Trigger.WIRE_EXPIRED if overnight and order.tif is TimeInForce.DAY else Trigger.WIRE_CANCELED


def position_differences(
    ours: dict[str, float], theirs: Iterable[tuple[str, float]], baseline: dict[str, float], known: set[str]
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """(differences, holdings made elsewhere). `baseline` is symbol → shares held there that are not ours.

    A holding in a symbol we never traded (`known`) was made elsewhere: shown, not ours, no reason to stop.
    """
    broker: dict[str, float] = {}
    for symbol, quantity in theirs:
        broker[symbol] = broker.get(symbol, 0.0) + quantity
    external = {symbol: baseline.get(symbol, 0.0) for symbol in known if baseline.get(symbol)}
    differences = []
    for symbol in sorted(broker.keys() | ours.keys()):
        held, there = ours.get(symbol, 0.0), broker.get(symbol, 0.0)
        if symbol not in known and not held:
            if there:
                external[symbol] = there
            continue
        if abs(there - held - baseline.get(symbol, 0.0)) > 1e-6:
            row = {"symbol": symbol, "ours": held, "theirs": there, "elsewhere": baseline.get(symbol, 0.0)}
            differences.append({**row, "cause": "no execution explains it"})
    return differences, external
