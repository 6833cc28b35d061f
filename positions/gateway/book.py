"""The book: which orders there are, which work on a symbol, and who belongs to which family.

It holds and answers; `exchange.py` alone decides what happens to an order.
"""

from __future__ import annotations

from collections.abc import Iterable

from positions.gateway.orders import BookOrder

Key = tuple[int, int]  # (client id, order id)


class Book:
    """`orders` maps key → order, live and done, until `forget`; `last_ids` client id → highest order id it ever used."""

    def __init__(self) -> None:
        self.orders: dict[Key, BookOrder] = {}
        self.last_ids: dict[int, int] = {}
        self._working: dict[str, dict[Key, BookOrder]] = {}  # symbol → live orders, oldest first
        self._children: dict[Key, list[BookOrder]] = {}  # parent's key → its children

    def add(self, order: BookOrder) -> None:
        self.orders[order.key] = order
        if order.live:
            self._working.setdefault(order.spec.symbol, {})[order.key] = order
        if order.spec.parent_id:
            self._children.setdefault(_parent_key(order), []).append(order)

    def retire(self, order: BookOrder) -> None:
        """The order is done: it works no longer, and stays known."""
        self._working.get(order.spec.symbol, {}).pop(order.key, None)

    def forget(self, order: BookOrder) -> None:
        """Drops a done order from memory; its id stays used."""
        self.orders.pop(order.key, None)
        self._children.pop(order.key, None)

    def erase(self, order: BookOrder) -> None:
        """Takes an untransmitted order away without a word, as a gateway that stops does."""
        self.retire(order)
        self.orders.pop(order.key, None)
        siblings = self._children.get(_parent_key(order), [])
        if order in siblings:
            siblings.remove(order)

    def restore(self, orders: Iterable[BookOrder], last_ids: dict[int, int]) -> None:
        """Puts stored orders back, oldest first."""
        self.last_ids.update(last_ids)
        for order in orders:
            self.add(order)

    def live_orders(self) -> list[BookOrder]:
        return [order for group in self._working.values() for order in group.values()]

    def working(self, symbol: str) -> list[BookOrder]:
        """Live orders of a symbol, oldest first."""
        return list(self._working.get(symbol, {}).values())

    def has_work(self, symbol: str) -> bool:
        return bool(self._working.get(symbol))

    def symbols(self) -> list[str]:
        """Symbols that have live orders."""
        return [symbol for symbol, group in self._working.items() if group]

    def children(self, order: BookOrder) -> list[BookOrder]:
        return list(self._children.get(order.key, ()))

    def parent(self, order: BookOrder) -> BookOrder | None:
        """The order's parent while it is known; an order without one has none."""
        return self.orders.get(_parent_key(order)) if order.spec.parent_id else None

    def parent_done(self, order: BookOrder) -> bool:
        """Whether the order had a parent that works no longer."""
        if not order.spec.parent_id:
            return False
        parent = self.parent(order)
        return parent is None or not parent.live

    def waits_for_parent(self, order: BookOrder) -> bool:
        """Whether the children have traded as much as their parent's fills allow so far."""
        parent = self.parent(order)
        return parent is not None and parent.live and self.left_to_exit(parent) <= 0

    def left_to_exit(self, parent: BookOrder) -> float:
        """What the parent has filled and none of its children has traded back yet."""
        return max(0.0, round(parent.filled - sum(child.filled for child in self._children.get(parent.key, ())), 6))

    def family(self, order: BookOrder) -> list[BookOrder]:
        """The order with its parent and siblings, parent first."""
        root = self.parent(order) or order
        return [root, *self.children(root)]


def _parent_key(order: BookOrder) -> Key:
    return (order.spec.client_id, order.spec.parent_id)
