"""Orders from intents, and the tickets that go to the wire. Pure: nothing here is sent or remembered.

A bracket is an entry with a stop and a target as its children. The children rest at the broker good till cancelled, in
one OCA group of type 2 (reduce with block): a partial fill of one shrinks the other by as much, at the broker itself,
so that the two together never close more than is held. Type 1 would cancel the stop at the target's first partial fill
and leave the rest unprotected; type 3 may overfill. The group's name is the intent's, unique for ever.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from events.order import OrderRole, OrderSide, OrderType, TimeInForce
from positions.domain.intent import IntentKind, OrderIntent
from positions.domain.order import Order
from positions.domain.ports import Contract, OrderTicket
from positions.domain.pricing import opposite, snap_limit, snap_stop
from positions.domain.references import family_name, order_ref

OCA_REDUCE_WITH_BLOCK = 2


def snapped(intent: OrderIntent, contract: Contract) -> OrderIntent:
    """The intent with its prices on the contract's grid, each toward its passive side."""
    exit_side, grid = opposite(intent.side), contract.increments
    return replace(
        intent,
        limit_price=None if intent.limit_price is None else snap_limit(intent.limit_price, intent.side, grid),
        stop_loss=None if intent.stop_loss is None else snap_stop(intent.stop_loss, exit_side, grid),
        take_profit=None if intent.take_profit is None else snap_limit(intent.take_profit, exit_side, grid),
    )


def entry_family(intent: OrderIntent, *, position_id: str, prefix: str, account: str, now: Callable[[], datetime]) -> list[Order]:
    """The entry, then its stop and target where the intent has them."""
    entry = _order(intent, OrderRole.ENTRY, intent.side, intent.entry_type, position_id, prefix, account, now)
    entry.limit_price = intent.limit_price
    entry.life_seconds = intent.entry_life_seconds
    entry.intent = intent.to_dict()
    if intent.kind == IntentKind.SINGLE:
        return [entry]
    return [entry, *exit_pair(intent, position_id=position_id, prefix=prefix, account=account, now=now, parent=entry)]


def exit_pair(
    intent: OrderIntent,
    *,
    position_id: str,
    prefix: str,
    account: str,
    now: Callable[[], datetime],
    parent: Order | None = None,
    group: str = "",
) -> list[Order]:
    """Stop, then target, in one OCA group; `intent.side` is the side of the entry they protect."""
    orders = []
    side = opposite(intent.side)
    if intent.stop_loss is not None:
        stop = _order(intent, OrderRole.STOP, side, OrderType.STOP, position_id, prefix, account, now)
        stop.stop_price = intent.stop_loss
        orders.append(stop)
    if intent.take_profit is not None:
        target = _order(intent, OrderRole.TARGET, side, OrderType.LIMIT, position_id, prefix, account, now)
        target.limit_price = intent.take_profit
        orders.append(target)
    for order in orders:
        order.tif = TimeInForce.GTC
        order.parent_id = parent.order_id if parent else ""
        order.oca_group = group or family_name(prefix, intent.intent_id)
        order.oca_type = OCA_REDUCE_WITH_BLOCK
    return orders


def exit_order(intent: OrderIntent, *, prefix: str, account: str, now: Callable[[], datetime], group: str = "", reason: str = "") -> Order:
    """An order that closes all or part of a position; `intent.side` is its own side."""
    order = _order(intent, OrderRole.EXIT, intent.side, intent.entry_type, intent.position_id, prefix, account, now)
    order.limit_price = intent.limit_price
    order.oca_group, order.oca_type, order.reason = group, OCA_REDUCE_WITH_BLOCK, reason
    order.intent = intent.to_dict()
    return order


def ticket(order: Order, contract: Contract, *, parent: Order | None = None, transmit: bool = True) -> OrderTicket:
    """The whole order as it goes to the wire, new or modified, with everything asked for so far.

    A child names its parent only while the parent lives: afterwards IB answers 135 to a modify that still does.
    """
    return OrderTicket(
        order_ref=order.order_ref,
        ib_order_id=order.ib_order_id,
        contract=contract,
        side=order.side,
        order_type=order.order_type,
        quantity=order.wanted("quantity") or order.quantity,
        limit_price=order.wanted("limit_price"),
        stop_price=order.wanted("stop_price"),
        time_in_force=order.tif,
        parent_ib_order_id=parent.ib_order_id if parent is not None and not parent.is_terminal else 0,
        oca_group=order.oca_group,
        oca_type=order.oca_type,
        transmit=transmit,
        account=order.account,
    )


def tickets(orders: Sequence[Order], contract: Contract) -> list[OrderTicket]:
    """A family in one go: parent first, and only the last one transmits, so that all arrive or none."""
    by_id = {order.order_id: order for order in orders}
    last = len(orders) - 1
    linked = any(order.parent_id for order in orders)
    return [
        ticket(order, contract, parent=by_id.get(order.parent_id), transmit=not linked or number == last)
        for number, order in enumerate(orders)
    ]


def _order(
    intent: OrderIntent,
    role: OrderRole,
    side: OrderSide,
    order_type: OrderType,
    position_id: str,
    prefix: str,
    account: str,
    now: Callable[[], datetime],
) -> Order:
    return Order(
        order_id=str(uuid.uuid4()),
        order_ref=order_ref(prefix, intent.intent_id, role),
        symbol=intent.symbol,
        side=side,
        order_type=order_type,
        quantity=intent.quantity,
        role=role,
        intent_id=intent.intent_id,
        signal_id=intent.signal_id,
        position_id=position_id,
        account=account,
        now=now,
    )
