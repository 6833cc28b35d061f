"""One-cancels-all: what a fill does to the other members of its group.

Type 1 cancels the others at the first fill, types 2 and 3 shrink them by what was filled (3 without blocking, which
makes no difference in a book that fills one order at a time). The children of one parent that name no group of their
own form one that shrinks, as IB's attached orders do.
"""

from __future__ import annotations

from typing import Protocol

from positions.gateway.orders import BookOrder


class Book(Protocol):
    """What this rule needs of the exchange."""

    def live_orders(self) -> list[BookOrder]: ...
    def withdraw(self, order: BookOrder, at: float, *, status: str) -> None: ...
    def reduce(self, order: BookOrder, quantity: float, at: float) -> None: ...


def after_fill(exchange: Book, order: BookOrder, quantity: float, at: float) -> None:
    """Cancels or shrinks the rest of the filled order's group."""
    for other in _others(exchange, order):
        if not other.live:
            continue
        if order.spec.oca_group and order.spec.oca_type <= 1:
            exchange.withdraw(other, at, status="Cancelled by OCA")
        else:
            exchange.reduce(other, quantity, at)


def _others(exchange: Book, order: BookOrder) -> list[BookOrder]:
    spec = order.spec
    if spec.oca_group:
        return [other for other in exchange.live_orders() if other is not order and other.spec.oca_group == spec.oca_group]
    if spec.parent_id:
        return [
            other
            for other in exchange.live_orders()
            if other is not order
            and other.spec.client_id == spec.client_id
            and other.spec.parent_id == spec.parent_id
            and not other.spec.oca_group
        ]
    return []
