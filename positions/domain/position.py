"""One position from plan to close: its state table, its P&L, its stop and target, and the history of every change.

A position never awaits inside a change, so on one event loop every change is whole or absent; that is its thread
safety, without a lock on the price path. It sends nothing and emits nothing: `tracker.py` turns its changes into
events and `order_manager.py` talks to the broker. Numbers in and out are plain ints and floats.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from events.clock import utc_now
from events.position import PositionStatus
from positions.domain.errors import IllegalTransition, InvalidQuantity, PositionClosed
from positions.domain.exit_rules import ExitRules
from positions.domain.holding import EntryKind, LedgerEntry, Leftover, excursions, fold
from positions.domain.ledger import split_exec_id
from positions.domain.levels import check_levels
from positions.domain.marks import Mark
from positions.domain.position_facts import PositionFacts
from positions.domain.position_row import position_row, restore_position
from positions.domain.pricing import checked_price, checked_quantity

__all__ = ["TRANSITIONS", "Position", "check_levels"]

log = logging.getLogger(__name__)

S = PositionStatus

# from → where it may go. Anything else raises IllegalTransition and changes nothing.
TRANSITIONS: dict[PositionStatus, frozenset[PositionStatus]] = {
    S.PLANNED: frozenset({S.OPENING, S.OPEN, S.CLOSED}),
    S.OPENING: frozenset({S.OPEN, S.CLOSED}),
    S.OPEN: frozenset({S.ADJUSTING, S.CLOSING, S.CLOSED}),
    S.ADJUSTING: frozenset({S.OPEN, S.CLOSING}),
    S.CLOSING: frozenset({S.CLOSED, S.OPEN}),
    S.CLOSED: frozenset(),  # a later fill opens a new position; a correction of what closed it reopens it
}


class Position(PositionFacts):
    """`quantity` is signed; a planned position shows the quantity it plans, every other what it holds."""

    # ---- life -------------------------------------------------------------------------------------------------------

    def plan(self, quantity: float, *, stop_loss: float | None = None, take_profit: float | None = None) -> None:
        """Note what is wanted before anything is sent; `quantity` is signed and may be 0 while it is not known."""
        if self._status is not S.PLANNED:
            raise IllegalTransition(repr(self), self._status.value, "planned")
        if quantity:
            checked_quantity(quantity)
        direction = -1 if quantity < 0 else 1
        check_levels(direction, self._price, stop_loss, take_profit)
        self.planned_quantity, self._direction = quantity, direction
        self._stop_loss, self._take_profit = stop_loss, take_profit
        self.initial_stop = stop_loss
        self._record("planned", {"quantity": quantity, "stop_loss": stop_loss, "take_profit": take_profit})

    def begin_opening(self, order_id: str = "") -> None:
        """The entry order was sent."""
        self._go(S.OPENING)
        self._note_order(order_id)
        self._record("opening", {"order_id": order_id})

    def begin_closing(self, order_id: str = "", reason: str = "") -> None:
        """An exit order for all of it was sent."""
        self._go(S.CLOSING)
        self._note_order(order_id)
        self._record("closing", {"order_id": order_id}, reason)

    def closing_failed(self, reason: str = "") -> None:
        """The exit was cancelled or refused, or filled only in part."""
        if self._status is not S.CLOSING:
            raise IllegalTransition(repr(self), self._status.value, "open")
        self._go(S.OPEN)
        self._record("closing_failed", {}, reason)

    def abandon(self, reason: str = "") -> None:
        """The entry ended and nothing was filled."""
        if self._fold.quantity:
            raise IllegalTransition(repr(self), self._status.value, "closed while shares are held")
        self._go(S.CLOSED)
        self._finish(reason)
        self._record("abandoned", {}, reason)

    def release(self, reason: str = "", by: str = "") -> float:
        """Stop managing what is held: over without a trade and without a result. Returns the signed shares let go."""
        self._may(S.CLOSED)
        held = self._fold.quantity
        self._put_size(0.0)
        self._seal()
        self._status = S.CLOSED
        self._finish(reason)
        self._record("released", {"quantity": [held, 0]}, reason, by)
        return held

    async def open(self, quantity: float, entry_price: float, order_id: str | None = None) -> None:
        """Open in one call, without an order of ours."""
        checked_quantity(quantity)
        checked_price(entry_price, "entry price")
        check_levels(1 if quantity > 0 else -1, entry_price, self._stop_loss, self._take_profit)
        if self._fold.quantity:
            raise IllegalTransition(repr(self), self._status.value, "open")
        self._may(S.OPEN)
        self.apply_fill(quantity, entry_price, order_id=order_id or "")

    async def close(self, exit_price: float, reason: str | None = None, order_id: str | None = None) -> None:
        """Close in one call, without an order of ours."""
        checked_price(exit_price, "exit price")
        self._may(S.CLOSED)
        if not self._fold.quantity:
            self.abandon(reason or "")
            return
        self.apply_fill(-self._fold.quantity, exit_price, order_id=order_id or "", reason=reason or "")

    async def update_price(self, price: float) -> None:
        """Mark at `price`. A closed position refuses."""
        checked_price(price)
        self._refuse_if_closed()
        self._catch_up()
        self._price, self._price_at, self._marked = price, self._now(), True
        self.observe(price)
        self._touch()

    async def update_stop_loss(self, price: float | None, reason: str = "", by: str = "") -> None:
        """Set or remove the stop of the record; moving the order at the broker is the order manager's work."""
        self.set_levels(stop_loss=price, reason=reason, by=by)

    async def update_take_profit(self, price: float | None, reason: str = "", by: str = "") -> None:
        """Set or remove the target of the record."""
        self.set_levels(take_profit=price, reason=reason, by=by)

    async def adjust(self, quantity: float | None = None, stop_loss: float | None = None, take_profit: float | None = None) -> None:
        """None leaves a part alone. A changed quantity is a size correction at unchanged entry, without a fill."""
        self._refuse_if_closed()
        if quantity is not None:
            self._check_resize(quantity)
        self._check_new_levels(stop_loss, take_profit)
        if quantity is not None:
            self._resize(quantity)
        if stop_loss is not None:
            self.set_levels(stop_loss=stop_loss)
        if take_profit is not None:
            self.set_levels(take_profit=take_profit)

    # ---- fills ------------------------------------------------------------------------------------------------------

    def knows_fill(self, fill_id: str) -> bool:
        base, revision = split_exec_id(fill_id)
        return any(entry.fill_id == base and entry.revision >= revision for entry in self._entries)

    def apply_fill(
        self,
        quantity: float,
        price: float,
        *,
        fill_id: str = "",
        order_id: str = "",
        commission: float | None = None,
        at: datetime | None = None,
        reason: str = "",
    ) -> float:
        """Take a fill of `quantity` (signed) at `price`; returns the shares beyond zero, which open another position.

        A known `fill_id` changes nothing. Adding averages the entry, reducing realizes, reaching zero closes.
        """
        checked_quantity(quantity, "fill quantity")
        checked_price(price, "fill price")
        if fill_id and self.knows_fill(fill_id):
            return 0
        self._refuse_if_closed()
        self._catch_up()
        at = at or self._now()
        base, revision = split_exec_id(fill_id) if fill_id else ("", 1)
        before = (self._fold.quantity, self._fold.entry_price)
        entry = LedgerEntry(
            quantity=quantity, price=price, fill_id=base, revision=revision, order_id=order_id, at=at, commission=commission or 0.0,
            stop=self._resting_stop(),
        )  # fmt: skip
        self._note(price)  # a fill is a market price too: the excursions reach at least this far
        self._seal()
        self._entries.append(entry)
        realized = self._fold.take(quantity, price, entry.stop)
        leftover, self._fold.leftover, self._fold.leftover_value = self._fold.leftover, 0, 0.0
        self._note_order(order_id)
        self._after_size_change(price, at, reason)
        changed = {"fill": quantity - leftover, "price": price, "fill_id": fill_id, "quantity": [before[0], self._fold.quantity]}
        self._record("filled", {**changed, "entry_price": [before[1], self._fold.entry_price], "realized": realized}, reason)
        return leftover

    def correct_fill(self, fill_id: str, quantity: float, price: float, *, busted: bool = False, is_followed: bool = False) -> Leftover:
        """Replace (or take back) a fill by a higher revision and refold from the start; returns the shares that are not its own.

        A closed position that holds again what a correction of its exit gave back is open again: one trade, with one result. What
        is left over beyond zero belongs to the position that follows it. So does all of it when it turns an open one around, which
        is over then: its stop and target are the other side's; and what comes back to one that `is_followed` already, by the sale
        of these shares. Only the change is handed on, so that a second correction can take back what a first one gave.
        """
        base, revision = split_exec_id(fill_id)
        entry = next((e for e in self._entries if e.fill_id == base), None)
        if entry is None or entry.revision > revision or (entry.revision == revision and (entry.busted or not busted)):
            return Leftover()
        before, handed_on = self._fold.quantity, fold(self._entries)
        entry.quantity, entry.price, entry.revision, entry.busted = quantity, price, revision, busted
        self._fold = fold(self._entries)
        over, value = self._fold.leftover - handed_on.leftover, self._fold.leftover_value - handed_on.leftover_value
        self._fold.leftover, self._fold.leftover_value = 0, 0.0
        if self._status is S.CLOSED and not is_followed and not handed_on.quantity and self._fold.quantity * self._direction > 0:
            self._status, self.close_time, self.reason = S.OPEN, None, ""
        was_closed = self._status is S.CLOSED
        turned = not was_closed and (self._fold.quantity * self._direction < 0 or (is_followed and self._fold.quantity != 0))
        if turned:
            self._status = S.CLOSED
            self._finish("correction", self._last_fill_at())
            handed_on.quantity = 0
        if was_closed or turned:
            reopened, self._fold.quantity = self._fold.quantity - handed_on.quantity, 0
            left = _left(over + reopened, value + reopened * (self._fold.entry_price or price), price)
        else:
            left = _left(over, value, price)
            if self._fold.quantity == 0 and all(e.busted for e in self._entries):
                self._status = S.OPENING  # back to before its first fill, also when an exit was on its way
            else:
                self._after_correction(price)
        self._fold_excursions()
        changed = {"fill_id": fill_id, "busted": busted, "price": price, "quantity": [before, self._fold.quantity]}
        self._record("fill_corrected", changed)
        return left

    def add_commission(self, fill_id: str, commission: float) -> bool:
        """Book the fee of a known fill, also after the close; True if it changed anything."""
        base, _ = split_exec_id(fill_id)
        for entry in self._entries:
            if entry.fill_id == base and entry.commission != commission:
                entry.commission = commission
                self._fold_excursions()
                self._record("commission", {"fill_id": fill_id, "commission": commission})
                return True
        return False

    # ---- stop and target --------------------------------------------------------------------------------------------

    def set_levels(self, *, reason: str = "", by: str = "", **levels: float | None) -> None:
        """`stop_loss=` and/or `take_profit=`; None removes. Raises when on the wrong side of the market."""
        self._refuse_if_closed()
        self._check_new_levels(levels.get("stop_loss"), levels.get("take_profit"))
        changed: dict[str, Any] = {}
        if "stop_loss" in levels and levels["stop_loss"] != self._stop_loss:
            changed["stop_loss"] = [self._stop_loss, levels["stop_loss"]]
            self._stop_loss = levels["stop_loss"]
            if self.initial_stop is None:
                self.initial_stop = self._stop_loss
        if "take_profit" in levels and levels["take_profit"] != self._take_profit:
            changed["take_profit"] = [self._take_profit, levels["take_profit"]]
            self._take_profit = levels["take_profit"]
        if changed:
            self._record("levels", changed, reason, by)

    def follow_broker(self, *, reason: str = "", **levels: float | None) -> None:
        """Take over the price of the order that rests at the broker: it is a fact, whichever side of a moving market it is."""
        changed: dict[str, Any] = {}
        if "stop_loss" in levels and levels["stop_loss"] != self._stop_loss:
            changed["stop_loss"] = [self._stop_loss, levels["stop_loss"]]
            self._stop_loss = levels["stop_loss"]
        if "take_profit" in levels and levels["take_profit"] != self._take_profit:
            changed["take_profit"] = [self._take_profit, levels["take_profit"]]
            self._take_profit = levels["take_profit"]
        if changed:
            self._record("levels", changed, reason, "broker")

    def set_stop_state(self, state: str) -> bool:
        """none, pending, resting or missing; True if it changed."""
        if state == self.stop_state:
            return False
        before, self.stop_state = self.stop_state, state
        self._record("stop_state", {"stop_state": [before, state]})
        return True

    def set_exit_rules(self, rules: ExitRules, kind: str, changed: dict[str, Any], *, reason: str = "", by: str = "") -> None:
        """Take over changed rules and keep what happened: `kind` is armed, disarmed, or what a rule did. Also after the close."""
        self.exit_rules = rules
        self._record(kind, changed, reason, by)

    def observe_protection(self, *, bare: bool) -> bool:
        """Start or stop the clock of seconds without a stop; True if it did."""
        before = self.protection.total(self._now())
        began = self.protection.bare_since
        if not self.protection.observe(bare=bare, held=bool(self._fold.quantity), now=self._now()):
            return False
        if bare:
            self._record("unprotected", {"held": self._fold.quantity})
        elif began is not None:
            gap = (self._now() - began).total_seconds()
            self._record("protected", {"seconds without a stop": [round(before - gap, 3), round(before, 3)]})
        return True

    # ---- marks ------------------------------------------------------------------------------------------------------

    def attach(self, mark: Mark) -> None:
        """Read the price lazily from its symbol's mark from now on."""
        self._mark = mark

    def observe(self, price: float) -> None:
        """Keep the extremes; called for every price that leaves `watch_band`, so nothing between two reads is missed."""
        if not self._fold.quantity:
            return
        self._low, self._high = min(self._low or price, price), max(self._high, price)
        self._note(price)

    def watch_band(self, price: float) -> tuple[float, float]:
        """(low, high): while the price stays inside, no extreme is made and no level is crossed."""
        if not self._fold.quantity:
            return -math.inf, math.inf
        low, high = self._low or price, self._high or price
        for level in (self._stop_loss, self._take_profit):
            if level is not None and level <= price:
                low = max(low, level)
            if level is not None and level >= price:
                high = min(high, level)
        return low, high

    def bump(self) -> None:
        """A new version without a history row: the price moved."""
        self._touch()

    # ---- the whole state --------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The page's row: everything but what grows with every change; `unrealized_pct`, `stop_distance_pct` are fractions."""
        return position_row(self)

    def to_dict(self) -> dict[str, Any]:
        """The state, the history and the fills: everything needed to restore the position."""
        return self.state() | {"history": list(self.history), "fills": [entry.to_dict() for entry in self._entries]}

    @classmethod
    def from_dict(cls, row: dict[str, Any], *, now: Callable[[], datetime] = utc_now) -> Self:
        """The position `to_dict` described."""
        position = cls(row["symbol"], row["id"], now=now)
        restore_position(position, row)
        return position

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _may(self, target: PositionStatus) -> None:
        self._refuse_if_closed()
        if target not in TRANSITIONS[self._status]:
            raise IllegalTransition(repr(self), self._status.value, target.value)

    def _go(self, target: PositionStatus) -> None:
        self._may(target)
        self._status = target

    def _refuse_if_closed(self) -> None:
        if self._status is S.CLOSED:
            raise PositionClosed(repr(self), "closed", "anything")

    def _check_resize(self, quantity: float) -> None:
        checked_quantity(quantity)
        if self.quantity and (quantity > 0) != (self.quantity > 0):
            raise InvalidQuantity("a size correction cannot turn a position around; close it")
        if self._status not in (S.PLANNED, S.OPEN):
            raise IllegalTransition(repr(self), self._status.value, "adjusting")

    def _check_new_levels(self, stop_loss: float | None, take_profit: float | None) -> None:
        market = self.current_price if self.current_price is not None else self.entry_price
        check_levels(self._direction, market, stop_loss, take_profit)

    def _resize(self, quantity: float) -> None:
        before = self.quantity
        if self._status is S.PLANNED:
            self.planned_quantity, self._direction = quantity, 1 if quantity > 0 else -1
        else:
            self._go(S.ADJUSTING)
            self._put_size(quantity)
            self._go(S.OPEN)
            self._see_anew()
        self._record("resized", {"quantity": [before, quantity]})

    def _after_size_change(self, price: float, at: datetime, reason: str) -> None:
        """Status, direction and extremes after the fold changed."""
        if self._fold.quantity == 0 and self._entries:
            self._close_at(price, at, reason)
            return
        self._opened_at(at)
        if self._price is None or not self._marked:
            self._price, self._price_at = price, at
        self._see_anew()
        self._note(price)
        self._note(self._price)

    def _after_correction(self, price: float) -> None:
        """The same entries with another number in one of them: what the market did meanwhile is still what it did."""
        if self._fold.quantity == 0 and self._entries:
            self._close_at(price, self._last_fill_at(), "correction")
            return
        self._opened_at(self._last_fill_at())
        if not self._marked:
            self._price = next((e.price for e in reversed(self._entries) if e.kind is EntryKind.FILL and not e.busted), price)

    def _close_at(self, price: float, at: datetime, reason: str) -> None:
        self._status = S.CLOSED  # a fill is a fact: it closes from whatever state
        self._price, self._price_at = price, at
        self._note(price)
        self._seal()
        self._finish(reason, at)

    def _opened_at(self, at: datetime) -> None:
        self._direction = 1 if self._fold.quantity > 0 else -1
        if self._status in (S.PLANNED, S.OPENING):
            self._status = S.OPEN
            self.open_time = self.open_time or at

    def _resting_stop(self) -> float | None:
        """The level at which shares that come now are stopped; None while it is known that no stop rests at the broker."""
        return None if self.stop_state == "missing" else self._stop_loss

    def _put_size(self, quantity: float) -> None:
        """A size correction at unchanged entry price."""
        self._seal()
        entry = LedgerEntry(
            kind=EntryKind.SIZE, quantity=quantity, price=self.entry_price or 0.0, at=self._now(), stop=self._resting_stop()
        )
        self._entries.append(entry)
        self._fold.resize(quantity, entry.price, entry.stop)

    def _note(self, price: float) -> None:
        """What the position would have made by now, were the rest sold at `price`."""
        worth = self.realized_pnl + self._unrealized(price)
        self.mfe, self.mae = max(self.mfe, worth), min(self.mae, worth)

    def _seal(self) -> None:
        """Write down with the last entry what the market did since; the next one begins anew."""
        if self._entries and self._low:
            self._entries[-1].low, self._entries[-1].high = self._low, self._high
        self._low = self._high = 0.0

    def _see_anew(self) -> None:
        self._low = self._high = (self._price or 0.0) if self._marked else 0.0

    def _fold_excursions(self) -> None:
        """After a correction, or a fee that came later: as if the right numbers had been known from the start."""
        last = self._entries[-1]
        self.mfe, self.mae = excursions(self._entries, (self._low, self._high) if self._low else (last.low, last.high))

    def _last_fill_at(self) -> datetime:
        return max((e.at for e in self._entries if not e.busted and e.kind is EntryKind.FILL), default=self._now())

    def _finish(self, reason: str, at: datetime | None = None) -> None:
        """Over since `at`: a fill that is learned late closed it when it was executed."""
        self.close_time = at or self._now()
        self.reason = reason
        self.stop_state = "none"
        self.protection.observe(bare=False, held=False, now=self._now())

    def _note_order(self, order_id: str) -> None:
        if order_id and order_id not in self.order_ids:
            self.order_ids.append(order_id)

    def _touch(self) -> None:
        self.version += 1
        self.update_time = self._now()

    def _record(self, kind: str, changed: dict[str, Any], reason: str = "", by: str = "") -> None:
        self._touch()
        log.debug("%r %s %s, now %s%s", self, kind, changed, self._status.value, f": {reason}" if reason else "")
        self.history.append(
            {"type": kind, "version": self.version, "time": self.update_time.isoformat(), "changed": changed, "reason": reason, "by": by}
        )


def _left(quantity: float, value: float, price: float) -> Leftover:
    """At the average of the prices it was executed at; at `price` where a correction leaves none that makes sense."""
    average = value / quantity if quantity else 0.0
    return Leftover(quantity=quantity, price=average if average > 0 and math.isfinite(average) else price)
