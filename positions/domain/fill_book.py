"""Which position takes a fill, and what becomes of the shares that it cannot take.

A fill belongs to the position of its order. What goes beyond zero, or comes after the close, is another position for the same
signal that follows the first one: one holding, not one on each side with a stop of its own. Corrections and busts go to the
position that took the execution, and what they free or take away is handed on along the same line.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from events.order import FillEvent
from events.position import PositionEvent, PositionStatus
from positions.domain import position_events
from positions.domain.holding import LedgerEntry, Leftover, gains
from positions.domain.ledger import split_exec_id
from positions.domain.position import Position
from positions.domain.position_events import Before
from positions.domain.pricing import checked_price, signed

FOLLOWS = "follows"  # in the metadata: the position whose own fills gave it these shares


class Shelf(Protocol):
    """Where positions are found, made and filed: the tracker."""

    def find(self, position_id: str) -> Position | None: ...
    def position(self, position_id: str) -> Position: ...
    def of_symbol(self, symbol: str) -> list[Position]: ...
    def active(self) -> list[Position]: ...
    def closed(self) -> list[Position]: ...
    def plan(
        self, symbol: str, quantity: float = 0, *, stop_loss: float | None = None, take_profit: float | None = None,
        strategy: str = "", metadata: dict[str, Any] | None = None, signal_id: str = "",
    ) -> Position: ...  # fmt: skip
    def file(self, position: Position) -> None: ...


class FillBook:
    """The tracker's part that books executions. Each call changes positions, files them, and returns what the bus should hear."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._by_fill: dict[str, str] = {}  # broker's execution id → the position that took it

    def unmeant(self) -> list[Position]:
        """Open positions on the other side than the one whose fills made them: nobody asked for them."""
        found = []
        for position in self._shelf.active():
            first = self._shelf.find(str(position.metadata.get(FOLLOWS, "")))
            if position.held and FOLLOWS in position.metadata and (first is None or position.held * first.direction < 0):
                found.append(position)
        return found

    def apply(self, fill: FillEvent) -> list[PositionEvent]:
        """Put a fill, a correction or a bust into its position; returns what the bus should hear.

        What goes beyond zero, or comes after the close, opens another position for the same signal, or joins the one that was
        opened so: an entry that fills on while its stop already sells is one holding, not one on each side with a stop of its own.
        """
        if fill.side is None or not fill.position_id:
            return []
        if fill.corrects or fill.metadata.get("busted"):
            return self._correct(fill)
        base = _base(fill.fill_id)
        if base and base in self._by_fill and self._shelf.position(self._by_fill[base]).knows_fill(fill.fill_id):
            return []
        quantity = signed(fill.side, fill.fill_quantity)
        price = checked_price(fill.fill_price, "fill price")
        position = self._shelf.find(fill.position_id)
        events: list[PositionEvent] = []
        for taker in self._takers(fill.position_id, fill.symbol, quantity):
            if quantity:
                quantity, event = self._take(taker, fill, quantity, price)
                events.append(event)
        if quantity:
            entry = position.entry_price if position is not None else None
            another = self._another(fill, position, quantity=quantity, price=price, entry=entry)
            events.append(self._take(another, fill, quantity, price)[1])
        return events

    def add_commission(self, position_id: str, fill_id: str, commission: float) -> list[PositionEvent]:
        """Book a fee that came after its fill, also on a closed position; returns what the bus should hear."""
        base = _base(fill_id)
        position = self._shelf.find(self._by_fill.get(base, position_id))
        if position is None:
            return []
        before = Before.of(position)
        if not position.add_commission(fill_id, commission):
            return []
        return [position_events.updated(position, before, reason="commission")]

    def _take(self, position: Position, fill: FillEvent, quantity: float, price: float) -> tuple[float, PositionEvent]:
        before = Before.of(position)
        reason = str(fill.metadata.get("reason", ""))
        leftover = position.apply_fill(
            quantity,
            price,
            fill_id=fill.fill_id,
            order_id=fill.order_id,
            commission=fill.commission,
            at=fill.fill_time,
            reason=reason,
        )
        if fill.fill_id:
            self._by_fill.setdefault(_base(fill.fill_id), position.position_id)  # of two it is the first that hands on
        self._shelf.file(position)
        return leftover, position_events.after_fill(position, before, price=price, reason=reason, cause=fill.event_id)

    def would_realize(self, position_id: str, symbol: str, quantity: float, price: float) -> float:
        """The gross P&L of a fill (signed) that is meant for this position, wherever its shares go."""
        gain = 0.0
        for taker in self._takers(position_id, symbol, quantity):
            gain += taker.realizes(quantity, price)
            closed = min(abs(quantity), abs(taker.held)) if taker.held * quantity < 0 else abs(quantity)
            quantity -= math.copysign(closed, quantity)
            if not quantity:
                break
        return gain

    def gains_of(self, position: Position) -> dict[str, float]:
        """Base id of each fill that counts, in the position, what it follows and what follows it → the gross P&L it realized."""
        family = self._family(position)
        if len(family) == 1:
            return gains(position.fills)
        shared: dict[str, LedgerEntry] = {}
        plain = []
        for member in family:
            for entry in member.fills:
                if not entry.fill_id and FOLLOWS not in member.metadata:  # what a correction handed on is in the fills already
                    plain.append(entry)
                elif entry.fill_id and self._by_fill.get(entry.fill_id) == member.position_id:
                    shared[entry.fill_id] = entry
        arrived = {base: number for number, base in enumerate(self._by_fill)}
        fills = sorted(shared.values(), key=lambda entry: arrived[entry.fill_id])
        return gains(sorted([*plain, *fills], key=lambda entry: entry.at))

    def _family(self, position: Position) -> list[Position]:
        """The position, the first one it follows, and all that follow that one."""
        everything = [*self._shelf.closed(), *self._shelf.active()]
        first = position
        while (previous := self._shelf.find(str(first.metadata.get(FOLLOWS, "")))) is not None:
            first = previous
        found = [first]
        for member in found:
            found += [p for p in everything if p.metadata.get(FOLLOWS) == member.position_id]
        return found

    def holder_of(self, fill_id: str, position_id: str) -> Position | None:
        """The position that took the fill, else the one it was meant for."""
        return self._shelf.find(self._by_fill.get(_base(fill_id), position_id))

    def _correct(self, fill: FillEvent) -> list[PositionEvent]:
        position = self.holder_of(fill.fill_id, fill.position_id)
        if position is None or fill.side is None:
            return []
        before = Before.of(position)
        left = position.correct_fill(
            fill.fill_id,
            signed(fill.side, fill.fill_quantity),
            checked_price(fill.fill_price, "fill price"),
            busted=bool(fill.metadata.get("busted")),
            is_followed=self._follower(position.position_id, position.symbol) is not None,
        )
        self._shelf.file(position)
        reopened = before.status is PositionStatus.CLOSED is not position.status
        why = "reopened: the broker took back an execution that had closed it" if reopened else "execution corrected"
        over = position.status is PositionStatus.CLOSED is not before.status
        if over:
            first: PositionEvent = position_events.closed(position, before, exit_price=position.exit_price, reason=why, cause=fill.event_id)
        else:
            first = position_events.updated(position, before, reason=why, cause=fill.event_id)
        return [first, *self._hand_on(fill, position, left, entry=before.entry_price)]

    def _hand_on(self, fill: FillEvent, position: Position, left: Leftover, *, entry: float | None) -> list[PositionEvent]:
        """What a correction makes another position's shares: the one that already follows, else a new one."""
        events: list[PositionEvent] = []
        quantity, price = left.quantity, left.price
        follower = self._follower(position.position_id, position.symbol)
        while quantity:
            heir = follower or self._another(fill, position, quantity=quantity, price=price, entry=entry)
            old = Before.of(heir)
            quantity = heir.apply_fill(quantity, price, order_id=fill.order_id, at=fill.fill_time, reason="correction")
            self._shelf.file(heir)
            events.append(position_events.after_fill(heir, old, price=price, reason="correction", cause=fill.event_id))
            follower = None
        return events

    def _takers(self, position_id: str, symbol: str, quantity: float) -> list[Position]:
        """Who takes a fill, in turn: its own position while that is open, and the one that holds what it could not take.

        One that holds nothing takes no fill against its plan: sold without an entry, shares are not held under its stop and target.
        An entry that comes after such a sale gives back to the follower first.
        """
        own, follower = self._shelf.find(position_id), self._follower(position_id, symbol)
        takers = [own] if own is not None and own.status is not PositionStatus.CLOSED and not own.is_against(quantity) else []
        if follower is not None and follower.held * quantity < 0:
            return [follower, *takers]
        return takers + ([follower] if follower is not None else [])

    def note_holder(self, entry: LedgerEntry, position: Position) -> None:
        """Of two positions that share a fill the first one has all of it, and hands on what it could not take."""
        if not entry.fill_id:
            return
        known = self._shelf.find(self._by_fill.get(entry.fill_id, ""))
        shares = max((abs(e.quantity) for e in known.fills if e.fill_id == entry.fill_id), default=0.0) if known is not None else 0.0
        if known is None or abs(entry.quantity) > shares:
            self._by_fill[entry.fill_id] = position.position_id

    def _follower(self, position_id: str, symbol: str) -> Position | None:
        """The open position that holds what that one could not take."""
        return next((p for p in self._shelf.of_symbol(symbol) if p.metadata.get(FOLLOWS) == position_id and p.held), None)

    def _another(self, fill: FillEvent, previous: Position | None, *, quantity: float, price: float, entry: float | None) -> Position:
        """A position for shares that their own position, entered at `entry`, cannot take: protected as that one was."""
        stop_loss, take_profit = _levels_of(previous, quantity, price, entry) if previous is not None else (None, None)
        return self._shelf.plan(
            fill.symbol,
            quantity,
            strategy=previous.strategy if previous else "",
            signal_id=fill.signal_id,
            metadata={FOLLOWS: previous.position_id if previous else fill.position_id},
            stop_loss=stop_loss,
            take_profit=take_profit,
        )


def _levels_of(previous: Position, quantity: float, price: float, entry: float | None) -> tuple[float | None, float | None]:
    """(stop, target): the same where the shares go on in the same direction; turned around, a stop as far away as the first one was."""
    if quantity * previous.direction > 0:
        return previous.stop_loss, previous.take_profit
    if previous.initial_stop is None or entry is None:
        return None, None
    distance = abs(entry - previous.initial_stop)
    return (price + distance if quantity < 0 else max(price - distance, price / 2)), None


def _base(fill_id: str) -> str:
    return split_exec_id(fill_id)[0]
