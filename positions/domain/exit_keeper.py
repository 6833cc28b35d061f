"""What the exits of a position should look like, and what to do about it when they do not. Pure decisions; nothing is sent here.

The rules, in order of importance:
1. Stop and target together never close more than is held; what a separate exit order will close counts against them.
2. Every share held has a stop at the broker.
3. Nothing is left at the broker for a position that is over.

The broker keeps most of this by itself: children wait for their parent and never exceed what it filled, and an OCA group
of type 2 shrinks and cancels its members. So a mismatch has `GRACE_SECONDS` to heal before we send anything: a modify
that crosses the broker's own reduction on the wire could enlarge a stop beyond the position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from events.order import OrderRole, PendingRequest
from events.position import PositionStatus
from positions.domain.order import Order
from positions.domain.position import Position

GRACE_SECONDS = 2.0
PROTECT_ATTEMPTS = 3  # so many in PROTECT_WINDOW that did not stay: the stop is reported missing and a person decides
PROTECT_WINDOW = timedelta(minutes=10)
_PAIR = (OrderRole.STOP, OrderRole.TARGET)


class Repair(StrEnum):
    CANCEL = "cancel"
    RESIZE = "resize"
    PROTECT = "protect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One repair. `order` for cancel and resize; `quantity` in shares for resize (the order's total) and protect."""

    repair: Repair
    order: Order | None = None
    quantity: float = 0
    reason: str


class ExitKeeper:
    """Remembers since when something was wrong, so that the broker gets its chance to put it right first."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}  # what is wrong (order or position id) → since when
        self._attempts: dict[str, list[datetime]] = {}  # position_id → when stops were placed for it

    def due(self, position: Position, orders: Sequence[Order], now: datetime) -> list[Work]:
        """The repairs that have waited long enough."""
        wanted = repairs(position, orders)
        keys = {self._key(position, work): work for work in wanted}
        for key in [key for key in self._since if key.startswith(position.position_id) and key not in keys]:
            del self._since[key]
        return [work for key, work in keys.items() if self._waited(key, now) and self._may_try(position, work, now)]

    def placed(self, position: Position, now: datetime) -> None:
        """A protective stop was sent."""
        self._attempts.setdefault(position.position_id, []).append(now)

    def _waited(self, key: str, now: datetime) -> bool:
        return (now - self._since.setdefault(key, now)).total_seconds() >= GRACE_SECONDS

    def _may_try(self, position: Position, work: Work, now: datetime) -> bool:
        recent = [at for at in self._attempts.get(position.position_id, ()) if now - at < PROTECT_WINDOW]
        return work.repair is not Repair.PROTECT or len(recent) < PROTECT_ATTEMPTS

    @staticmethod
    def _key(position: Position, work: Work) -> str:
        return f"{position.position_id}:{work.repair}:{work.order.order_id if work.order else ''}"


def repairs(position: Position, orders: Sequence[Order]) -> list[Work]:
    """Everything that is not as it should be right now."""
    live = [order for order in orders if order.is_live and not order.external]
    exits = [order for order in live if order.role in _PAIR]
    if position.status is PositionStatus.CLOSED:
        leftovers = [order for order in live if order.is_exit]
        return [_cancel(order, "the position is closed") for order in leftovers if _may_cancel(order)]
    entry = next((order for order in live if order.role is OrderRole.ENTRY), None)
    if entry is not None:
        return _while_entering(entry, orders, exits)
    held = abs(position.held)
    room = held - leaving(orders)
    grouped = [order for order in live if order.role is OrderRole.EXIT and order.oca_group]
    work = [piece for order in (*exits, *grouped) if (piece := _fit(order, room)) is not None]
    separate = [order for order in live if order.role is OrderRole.EXIT and not order.oca_group and order.remaining_quantity > held]
    work += [piece for order in separate if (piece := _fit(order, held)) is not None]
    has_stop = any(order.role is OrderRole.STOP for order in exits)
    if room > 0 and not has_stop and position.stop_loss is not None and not _group_exit(orders):
        work.append(Work(repair=Repair.PROTECT, quantity=room, reason="no stop at the broker"))
    return work


def leaving(orders: Sequence[Order]) -> float:
    """Shares that exit orders outside any OCA group will close, the ones still waiting to be sent included."""
    separate = [o for o in orders if o.role is OrderRole.EXIT and not o.oca_group and not o.is_terminal]
    return sum(order.remaining_quantity for order in separate)


def stop_state(position: Position, orders: Sequence[Order]) -> str:
    """none, pending, resting or missing, for the row."""
    if not position.is_active:
        return "none"
    stops = [order for order in orders if order.role is OrderRole.STOP and order.is_live]
    if any(stop.is_acked and stop.pending is PendingRequest.NONE for stop in stops):
        return "resting"
    if stops:
        return "pending"
    return "missing" if position.held else "none"


def _while_entering(entry: Order, orders: Sequence[Order], exits: Sequence[Order]) -> list[Work]:
    """Children wait at the broker for their parent. An entry must not fill any further once its stop is gone or an exit began."""
    had_stop = any(order.role is OrderRole.STOP and order.parent_id == entry.order_id for order in orders)
    has_stop = any(order.role is OrderRole.STOP for order in exits)
    if had_stop and not has_stop and _may_cancel(entry):
        return [_cancel(entry, "its stop is not at the broker")]
    leaving_already = any(order.is_exit and order.filled_quantity for order in orders)
    return [_cancel(entry, "its exit has begun")] if leaving_already and _may_cancel(entry) else []


def _fit(order: Order, room: float) -> Work | None:
    """Make the order close exactly `room` shares."""
    if not order.is_acked or order.pending is PendingRequest.CANCEL:
        return None
    if room <= 0:
        return _cancel(order, "nothing is left for it to close")
    total = order.filled_quantity + room
    if abs((order.wanted("quantity") or 0) - total) < 1e-9:
        return None
    return Work(repair=Repair.RESIZE, order=order, quantity=total, reason="it must match what is held")


def _group_exit(orders: Sequence[Order]) -> bool:
    return any(order.role is OrderRole.EXIT and order.is_live for order in orders)


def _may_cancel(order: Order) -> bool:
    return order.is_live and order.pending is not PendingRequest.CANCEL


def _cancel(order: Order, reason: str) -> Work:
    return Work(repair=Repair.CANCEL, order=order, reason=reason)
