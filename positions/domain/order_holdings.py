"""Putting right, by a person's word, what our book and the broker's disagree about. Nothing here invents a trade.

- *Adopt*: shares bought elsewhere become a position of ours, at the broker's average cost, and get a stop.
- *Release*: a position of ours is managed no longer; its shares, if there are any, are counted as held elsewhere.
- *Accept*: the broker's number is taken as it is; what we cannot explain is counted as held elsewhere.

Each call says what the person saw and is denied when that is no longer so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from events.order import OrderRole
from events.wording import quantity_text, shares_words
from positions.domain.errors import InvalidPrice
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.order_core import LINK_DOWN, OrderCore
from positions.domain.order_exits import OrderExits
from positions.domain.order_hearing import OrderHearing
from positions.domain.order_reconcile import OrderReconcile
from positions.domain.order_released import GONE
from positions.domain.position import Position, check_levels
from positions.domain.position_events import Before

_EXITS = (OrderRole.STOP, OrderRole.TARGET, OrderRole.EXIT)
ADOPTED = "adopted"


class OrderHoldings:
    """Runs under the manager's lock, after everything heard so far was processed."""

    def __init__(self, core: OrderCore, hearing: OrderHearing, exits: OrderExits, compared: OrderReconcile) -> None:
        self.core = core
        self.hearing = hearing
        self.exits = exits
        self.compared = compared

    async def adopt(
        self, symbol: str, quantity: float, *, stop_loss: float, take_profit: float | None, reason: str, by: str
    ) -> Position | Denied:
        """The new position, its stop on the way to the broker."""
        denied = await self._may_take(symbol, quantity)
        if denied is None:
            direction = 1 if quantity > 0 else -1
            try:
                check_levels(direction, self._market(symbol), stop_loss, take_profit)
            except InvalidPrice as error:
                denied = _denied("wrong_side", f"{str(error)[:1].upper()}{str(error)[1:]}.", "Choose another price.", stop=stop_loss)
        if denied is not None:
            return denied
        position = await self._take(symbol, quantity, reason=reason, by=by)
        before = Before.of(position)
        position.set_levels(stop_loss=stop_loss, take_profit=take_profit, reason=reason, by=by)
        await self.core.tracker.announce(position, before, f"adopted by {by}")
        sent = await self.exits.protecting.protect(position)
        return _half_done(sent, "its stop was not sent; it is tried again") if isinstance(sent, Denied) else position

    async def close(self, symbol: str, quantity: float, *, reason: str, by: str) -> Order | Denied:
        """Take the shares over and send a market order that closes them."""
        denied = await self._may_take(symbol, quantity)
        if denied is not None:
            return denied
        position = await self._take(symbol, quantity, reason=reason, by=by)
        sent = await self.exits.close(position.position_id, None, f"closed by {by}: {reason}")
        return _half_done(sent, "the order that closes them was not sent") if isinstance(sent, Denied) else sent

    async def release(self, position_id: str, quantity: float, *, reason: str, by: str) -> Position | Denied:
        """The position, closed without a trade; its resting orders are being cancelled."""
        core = self.core
        position = core.tracker.find(position_id)
        if position is None or not position.is_active or not position.held:
            return _denied("not_open", "There is no such open position.", "Reload the page.", position_id=position_id)
        if abs(position.held - quantity) > 1e-6:
            return _changed(position.symbol, position.held, quantity)
        if core.entry_of(position) is not None:
            return _denied("entry_working", "Its entry order still works.", "Cancel the entry first.")
        if core.book.live(position_id, OrderRole.EXIT):  # filled after the release it would open the other side
            return _denied("exit_working", "An order that closes it is on its way.", "Wait until it is over, or cancel it.")
        if self.compared.theirs is None:
            return _NOT_COMPARED
        before, symbol = Before.of(position), position.symbol
        gone = position.metadata[GONE] = self.compared.gaps.pop(symbol, 0.0)
        beyond = self.hearing.elsewhere.get(symbol, 0.0) + position.held + gone
        await self.hearing.hold_elsewhere(symbol, beyond, average_cost=self._cost(symbol), reason=f"released by {by}: {reason}")
        position.release(f"released by {by}: {reason}"[:200], by)
        await core.tracker.announce(position, before, f"released by {by}: {reason}")
        await self.exits.give_up_waiting(position_id, "its position was released")
        for order in core.book.live(position_id, *_EXITS):
            await core.cancel(order, "its position was released")
        core.ask_reconcile(f"{symbol} was released")
        return position

    async def accept(self, symbol: str, ours: float, theirs: float, *, reason: str, by: str) -> Denied | None:
        """Count what nobody can explain as held elsewhere; also records that a person knows of a holding made elsewhere."""
        there = self.compared.theirs
        if there is None:
            return _NOT_COMPARED
        held = sum(position.held for position in self.core.tracker.of_symbol(symbol))
        if abs(there.get(symbol, 0.0) - theirs) > 1e-6 or abs(held - ours) > 1e-6:
            return _changed(symbol, there.get(symbol, 0.0), theirs)
        beyond = self.hearing.elsewhere.get(symbol, 0.0) + self.compared.gaps.pop(symbol, 0.0)
        await self.hearing.hold_elsewhere(symbol, beyond, average_cost=self._cost(symbol), reason=reason, acknowledged_by=by)
        self.core.ask_reconcile(f"{symbol} was acknowledged")
        return None

    # ---- inside -----------------------------------------------------------------------------------------------------

    async def _may_take(self, symbol: str, quantity: float) -> Denied | None:
        core, elsewhere = self.core, self.hearing.elsewhere.get(symbol, 0.0)
        if not core.may_send:  # taken over, they would have neither a stop nor a close
            return LINK_DOWN
        if abs(elsewhere - quantity) > 1e-6:
            return _changed(symbol, elsewhere, quantity)
        if symbol in self.compared.gaps:
            return _denied("differs", f"{symbol} differs without an explanation.", "Acknowledge the difference first.")
        if any(self._lingers(order) for order in core.book if order.symbol == symbol):
            return _denied("exits_working", f"Orders of {symbol} from before its release still work.", "Wait until they are over.")
        if any(position.held * quantity < 0 for position in core.tracker.of_symbol(symbol)):
            return _denied("opposite", f"We hold {symbol} on the other side.", "Close that position first.")
        if self._cost(symbol) is None and self._market(symbol) is None:
            return _denied("no_price", f"There is neither a cost nor a price of {symbol}.", "Wait for a price.")
        return await self.exits.protecting.need_contract(symbol)

    def _lingers(self, order: Order) -> bool:
        """It would close shares that are not its position's any more."""
        position = self.core.tracker.find(order.position_id)
        return order.is_exit and order.is_live and not order.external and position is not None and position.released

    async def _take(self, symbol: str, quantity: float, *, reason: str, by: str) -> Position:
        """Out of the holdings and into our book: one after the other in the journal, nothing in between."""
        tracker, market = self.core.tracker, self._market(symbol)
        price = self._cost(symbol) or market or 0.0
        await self.hearing.hold_elsewhere(symbol, 0.0, reason=f"adopted by {by}: {reason}")
        note = {"adopted": {"by": by, "reason": reason, "average_cost": price}}
        position = await tracker.create_stock_position(symbol, quantity, price, strategy=ADOPTED, metadata=note)
        if market is not None:
            await tracker.update_position_price(position.position_id, market)
        return position

    def _market(self, symbol: str) -> float | None:
        return self.core.context(symbol).market

    def _cost(self, symbol: str) -> float | None:
        return self.compared.costs.get(symbol) or None


_NOT_COMPARED = Denied(
    code="not_compared", message="The books were not compared since the worker started.", what_to_do="Wait for the next comparison."
)


def _changed(symbol: str, now: float, seen: float) -> Denied:
    return _denied(
        "changed", f"{symbol} is now {shares_words(now)}, not {quantity_text(seen)} as you saw it.", "Look again.", now=now, seen=seen
    )


def _half_done(denied: Denied, what: str) -> Denied:
    """The first part stands, and is said."""
    return replace(denied, message=f"The shares are a position of the desk now, but {what}. {denied.message}")


def _denied(code: str, message: str, what_to_do: str, **values: Any) -> Denied:
    return Denied(code=code, message=message, what_to_do=what_to_do, values=values)
