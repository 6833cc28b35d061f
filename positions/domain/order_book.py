"""Every order we know, found by our id, by reference, by permId, by (client, order id), by intent and by position.

The broker is correlated in that order: `orderRef` first because it is ours and unique for ever, then permId, then the
client's order id, which IB may hand out again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from events.order import OrderRole
from positions.domain.errors import UnknownOrder
from positions.domain.ledger import split_exec_id
from positions.domain.order import Order


class BrokerIds(Protocol):
    """What a report says of whose it is."""

    @property
    def order_ref(self) -> str: ...
    @property
    def perm_id(self) -> int: ...
    @property
    def client_id(self) -> int: ...
    @property
    def ib_order_id(self) -> int: ...


class OrderBook:
    """`orders` is order_id → order, in the order they were made."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self._by_ref: dict[str, Order] = {}
        self._by_perm: dict[int, Order] = {}
        self._by_client_id: dict[tuple[int, int], Order] = {}
        self._by_position: dict[str, list[Order]] = {}
        self._by_intent: dict[str, list[Order]] = {}
        self._by_execution: dict[str, Order] = {}  # execution's base id → its order

    def __iter__(self) -> Iterator[Order]:
        return iter(self.orders.values())

    def working(self) -> list[Order]:
        """Ours, and not over."""
        return [order for order in self if order.is_live and not order.external]

    def __contains__(self, order_id: str) -> bool:
        return order_id in self.orders

    def add(self, order: Order) -> None:
        self.orders[order.order_id] = order
        if order.order_ref:
            self._by_ref[order.order_ref] = order
        if order.position_id:
            self._by_position.setdefault(order.position_id, []).append(order)
        if order.intent_id:
            self._by_intent.setdefault(order.intent_id, []).append(order)
        self.index(order)

    def index(self, order: Order) -> None:
        """Note ids that came after the order was made."""
        if order.perm_id:
            self._by_perm[order.perm_id] = order
        if order.ib_order_id:
            self._by_client_id[order.client_id, order.ib_order_id] = order
        for execution in order.ledger.executions:
            self._by_execution[execution.base] = order

    def of_execution(self, exec_id: str) -> Order | None:
        return self._by_execution.get(split_exec_id(exec_id)[0])

    def get(self, order_id: str) -> Order:
        """Raises UnknownOrder."""
        try:
            return self.orders[order_id]
        except KeyError:
            raise UnknownOrder(f"no order has the id {order_id!r}") from None

    def find(self, report: BrokerIds) -> Order | None:
        """The order a report is about. A reference that is not the order's own is never overruled by a number."""
        if report.order_ref:
            found = self._by_ref.get(report.order_ref)
            if found is not None:
                return found
        by_number = self._by_perm.get(report.perm_id) if report.perm_id else None
        if by_number is None and report.ib_order_id:
            by_number = self._by_client_id.get((report.client_id, report.ib_order_id))
        if by_number is None or by_number.external:
            return by_number
        return None if report.order_ref and report.order_ref != by_number.order_ref else by_number

    def named(self, order_ref: str) -> Order | None:
        return self._by_ref.get(order_ref)

    def by_client_id(self, client_id: int, ib_order_id: int) -> Order | None:
        return self._by_client_id.get((client_id, ib_order_id))

    def of_position(self, position_id: str) -> list[Order]:
        return list(self._by_position.get(position_id, ()))

    def of_intent(self, intent_id: str) -> list[Order]:
        return list(self._by_intent.get(intent_id, ()))

    def live(self, position_id: str, *roles: OrderRole) -> list[Order]:
        """Orders of the position in these roles that may be at the broker."""
        return [order for order in self._by_position.get(position_id, ()) if order.is_live and order.role in roles]

    def highest_id(self, client_id: int) -> int:
        """The largest order id this client ever used."""
        return max((ib_id for client, ib_id in self._by_client_id if client == client_id), default=0)
