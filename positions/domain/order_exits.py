"""The order manager's way out: moving stops and targets, cancelling, closing, flattening, and keeping exits as they should be.

See the head of `order_manager.py` for how a close keeps its protection.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from events.failpoints import failpoint
from events.order import OrderRole, OrderSide, OrderType, PendingRequest
from events.position import PositionStatus
from events.system import ProtectionEvent
from positions.domain import danger, families, order_events
from positions.domain.errors import InvalidPrice
from positions.domain.exit_keeper import Repair, Work
from positions.domain.intent import Denied, IntentKind, OrderIntent
from positions.domain.order import Order
from positions.domain.order_core import OrderCore
from positions.domain.order_fitting import NOTHING_LEFT
from positions.domain.order_protecting import OrderProtecting
from positions.domain.order_states import Trigger
from positions.domain.position import Position, check_levels
from positions.domain.position_events import Before
from positions.domain.pricing import checked_price, snap_limit, snap_stop
from positions.domain.references import new_ulid

log = logging.getLogger(__name__)

EXIT_LIFE = timedelta(seconds=60)  # an exit that provably never left is sent again for so long
NOT_THERE = "not_at_the_broker"
SHRINK_SECONDS = 10.0  # how long a partial exit waits for stop and target to become smaller
_PAIR = (OrderRole.STOP, OrderRole.TARGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingClose:
    """A close that waits (`order` None) for the end of the entry or of a partial exit, or for another list of the broker's;
    or a partial exit that waits for smaller stops."""

    since: datetime
    reason: str
    quantity: float | None = None
    order: Order | None = None
    intent_id: str = ""


class OrderExits:
    """Owns the closes that wait for something else to happen first."""

    def __init__(self, core: OrderCore) -> None:
        self.core = core
        self.waiting: dict[str, WaitingClose] = {}  # position_id → the close that waits
        self.protecting = OrderProtecting(core)

    # ---- cancel ---------------------------------------------------------------------------------------------------------

    async def cancel_order(self, order_id: str, reason: str) -> Order | Denied:
        """Ask the broker to end an order. A stop that protects shares is not cancelled: close the position instead."""
        order = self.core.book.orders.get(order_id)
        if order is None:
            return _denied("unknown_order", "There is no such order.", "Reload the page.", order_id=order_id)
        if order.is_terminal:
            return _denied("already_done", f"The order is already {order.state.value}.", "Nothing to do.", state=order.state.value)
        if order.client_id not in (0, self.core.client_id) or (order.external and not (order.client_id and order.ib_order_id > 0)):
            return _denied("external", "IB lets only the client that made an order cancel it.", "Cancel it where it was made.")
        position = self.core.tracker.find(order.position_id)
        if order.role is OrderRole.STOP and position is not None and position.held:
            return _denied("protects", "This stop protects shares we hold.", "Close the position, or move the stop.")
        if not order.is_live:
            await self.core.move(order, Trigger.NEVER_SENT, reason=reason)
            return order
        if order.pending is PendingRequest.CANCEL:
            return order
        return await self.core.cancel(order, reason) or order

    # ---- stop and target ------------------------------------------------------------------------------------------------

    async def change_stop(self, position_id: str, price: float) -> Order | Denied:
        """Modify the resting stop; a position without one gets one."""
        position = self.core.tracker.find(position_id)
        denied = await self._may_move(position, stop_loss=price)
        if denied is not None or position is None:
            return denied or _gone(position_id)
        price = self._snapped_stop(position, price)
        stops = self.core.book.live(position_id, OrderRole.STOP)
        if stops:
            refused = next((no for stop in stops if isinstance(no := self._may_replace(stop, stop_price=price), Denied)), None)
            if refused is not None:
                return refused  # all of them, or none: a position half of which stops elsewhere is what nobody asked for
            moved = [await self._replace(stop, "stop moved", stop_price=price) for stop in stops]
            return next((answer for answer in moved if isinstance(answer, Denied)), moved[0])
        if not position.held:
            return _denied("no_stop_order", "The entry carries no stop.", "Wait for the fill, then set one.")
        return await self.protecting.place(position, abs(position.held), stop_loss=price)

    async def trail_stops(self, wanted: Mapping[str, float]) -> dict[str, Order | Denied]:
        """Moves that rules ask for, position_id → price, written down together and sent in this order. They only tighten."""
        answers: dict[str, Order | Denied] = {}
        changes: list[tuple[Order, Mapping[str, float]]] = []
        for position_id, asked in wanted.items():
            answer = await self._trailed(position_id, asked, changes)
            if answer is not None:
                answers[position_id] = answer
        for (order, _), denied in zip(changes, await self.core.modify_all(changes, "stop moved", routine=True), strict=True):
            if denied is not None or order.position_id not in answers:
                answers[order.position_id] = denied or order
        return answers

    async def _trailed(self, position_id: str, asked: float, changes: list[tuple[Order, Mapping[str, float]]]) -> Order | Denied | None:
        """Adds to `changes` what the move asks of the broker; the answer when it asks for nothing that can be changed."""
        position = self.core.tracker.find(position_id)
        denied = await self._may_move(position, stop_loss=asked)
        if denied is not None or position is None:
            return denied or _gone(position_id)
        price = self._snapped_stop(position, asked)
        if position.stop_loss is not None and (price - position.stop_loss) * position.direction <= 0:
            return _denied("ratchet", "A trailing stop only tightens.", "Nothing to do.", stop=position.stop_loss, asked=price)
        stops = self.core.book.live(position_id, OrderRole.STOP)
        if not stops:
            return await self.change_stop(position_id, asked)
        refused = next((stop for stop in stops if stop.refused_change.get("stop_price") == price), None)
        if refused is not None:
            return _denied("refused_before", f"IB refused this change: {refused.message}", "Move it by hand, or to another price.")
        answers = [self._may_replace(stop, stop_price=price) for stop in stops]
        changes += [(stop, {"stop_price": price}) for stop, answer in zip(stops, answers, strict=True) if answer is None]
        return next((answer for answer in answers if isinstance(answer, Denied)), answers[0])

    def _snapped_stop(self, position: Position, price: float) -> float:
        side = OrderSide.SELL if position.direction > 0 else OrderSide.BUY
        return snap_stop(price, side, self.core.contracts[position.symbol].increments)

    async def change_target(self, position_id: str, price: float) -> Order | Denied:
        """Modify the resting target; a position without one gets one, in the stop's OCA group."""
        position = self.core.tracker.find(position_id)
        denied = await self._may_move(position, take_profit=price)
        if denied is not None or position is None:
            return denied or _gone(position_id)
        side = OrderSide.SELL if position.direction > 0 else OrderSide.BUY
        price = snap_limit(price, side, self.core.contracts[position.symbol].increments)
        target = self.protecting.live_one(position_id, OrderRole.TARGET)
        if target is not None:
            return await self._replace(target, "target moved", limit_price=price)
        if not position.held:
            return _denied("no_target_order", "The entry carries no target.", "Wait for the fill, then set one.")
        stop = self.protecting.live_one(position_id, OrderRole.STOP)
        return await self.protecting.place(position, abs(position.held), take_profit=price, group=stop.oca_group if stop else "")

    async def _may_move(self, position: Position | None, **levels: float) -> Denied | None:
        if position is None:
            return _gone("")
        if not position.is_active:
            return _denied("not_open", f"The position is {position.status.value}.", "Reload the page.", status=position.status.value)
        try:
            for price in levels.values():
                checked_price(price)
            check_levels(position.direction, self._market(position), levels.get("stop_loss"), levels.get("take_profit"))
            self._against_the_other(position, levels)
        except InvalidPrice as error:
            return _denied("wrong_side", f"{str(error)[:1].upper()}{str(error)[1:]}.", "Choose another price.", **levels)
        return await self.protecting.need_contract(position.symbol)

    def _against_the_other(self, position: Position, levels: dict[str, float]) -> None:
        stop = levels.get("stop_loss", position.stop_loss)
        target = levels.get("take_profit", position.take_profit)
        check_levels(position.direction, None, stop, target)

    def _market(self, position: Position) -> float | None:
        """The freshest price we know; before the first fill the entry's own limit."""
        market = self.core.context(position.symbol).market
        entry = self.core.entry_of(position)
        return market or position.current_price or (entry.limit_price if entry else None)

    async def _replace(self, order: Order, reason: str, **desired: float) -> Order | Denied:
        answer = self._may_replace(order, **desired)
        return answer if answer is not None else await self.core.modify(order, reason, **desired) or order

    def _may_replace(self, order: Order, **desired: float) -> Order | Denied | None:
        """None when the change should be sent; the order itself when it is what is asked for already."""
        if order.pending is PendingRequest.CANCEL:
            return _denied("being_cancelled", "That order is being cancelled.", "Wait for the broker's answer.")
        if not order.is_acked:
            return _denied("not_confirmed", "The broker has not confirmed that order yet.", "Try again in a moment.")
        return order if all(order.wanted(name) == value for name, value in desired.items()) else None

    # ---- close ----------------------------------------------------------------------------------------------------------

    async def close(self, position_id: str, quantity: float | None, reason: str, *, intent_id: str = "") -> Order | Denied:
        """The exit order, or the entry whose cancel comes first, or why not. The same `intent_id` again is the same exit."""
        core = self.core
        known = core.book.of_intent(intent_id) if intent_id else []
        if known:
            return known[0]
        position = core.tracker.find(position_id)
        if position is None or not position.is_active:
            return _gone(position_id)
        leaving = self._leaving(position_id)
        if leaving is not None and (quantity is not None or leaving.remaining_quantity >= abs(position.held)):
            return leaving
        if leaving is not None and leaving.is_live:  # a part: the rest is closed when it is out
            await self._wait_for(leaving, WaitingClose(since=core.now(), reason=reason, intent_id=intent_id))
            return leaving
        await self.give_up_waiting(position_id, "the whole position is closed instead")
        denied = await self.protecting.need_contract(position.symbol)
        if denied is not None:
            return denied
        entry = core.entry_of(position)
        if entry is not None:
            # Whatever has filled is closed when the entry can fill no further; its children would die with it otherwise.
            await self._wait_for(entry, WaitingClose(since=core.now(), reason=reason, quantity=quantity, intent_id=intent_id))
            if entry.pending is PendingRequest.CANCEL:
                return entry
            return await core.cancel(entry, reason or "position closed") or entry
        if not position.held:
            return _denied("no_position", "There is nothing to close.", "Reload the page.")
        return await self._exit(position, quantity, reason, intent_id)

    async def cancel_entries(self, reason: str) -> list[Order | Denied]:
        """Ask for the end of every working entry."""
        core = self.core
        results: list[Order | Denied] = []
        for order in [o for o in core.book.working() if o.role is OrderRole.ENTRY]:
            if order.pending is not PendingRequest.CANCEL:
                results.append(await core.cancel(order, reason) or order)
        return results

    async def flatten_all(self, reason: str) -> list[Order | Denied]:
        """Entries first, so that nothing opens behind our back; protection stays until each exit fills."""
        core = self.core
        results = await self.cancel_entries(reason)
        for position in core.tracker.active():
            if not position.is_active or not position.held:  # one that holds nothing ends with its entry, which is being taken back
                continue
            answer = await self.close(position.position_id, None, reason)
            if isinstance(answer, Denied) and answer.code == NOT_THERE:
                self.waiting[position.position_id] = WaitingClose(since=core.now(), reason=reason)
                answer = replace(answer, what_to_do="It may be old: it is read again now, and they are closed when it shows them.")
            if answer is not NOTHING_LEFT:
                results.append(answer)
        return results

    async def _exit(self, position: Position, quantity: float | None, reason: str, intent_id: str = "") -> Order | Denied:
        core = self.core
        held = abs(position.held) - self.protecting.gone(position)
        if held < 1e-9:
            core.ask_reconcile(f"{position.symbol} is to be closed and not at the broker")
            return _denied(NOT_THERE, "The broker's last list does not show these shares.", "It is read again now: look once more.")
        intent = OrderIntent(
            intent_id=intent_id or new_ulid(core.now()),
            symbol=position.symbol,
            side=OrderSide.SELL if position.held > 0 else OrderSide.BUY,
            quantity=held if quantity is None else min(quantity, held),
            entry_type=OrderType.MARKET,
            position_id=position.position_id,
            signal_id=position.signal_id,
            expires_at=core.now() + EXIT_LIFE,
            kind=IntentKind.SINGLE,
        )
        denied = core.risk.check(intent, core.context(position.symbol))
        if denied is not None:
            return denied
        siblings = core.book.live(position.position_id, *_PAIR)
        whole = intent.quantity >= held
        group = siblings[0].oca_group if whole and siblings else ""
        order = families.exit_order(intent, prefix=core.ref_prefix, account=core.account, now=core.now, group=group, reason=reason)
        if not whole and siblings:
            return await self._shrink_first(position, order, siblings, held - intent.quantity)
        return await self._leave(position, order, whole=whole)

    async def _leave(self, position: Position, order: Order, *, whole: bool) -> Order | Denied:
        failpoint("close.begin")
        denied = await self.core.send([order], self.core.contracts[position.symbol])
        failpoint("close.sent")
        if denied is not None:
            return denied
        if whole:
            await self.say_closing(position, order)
        return order

    async def say_closing(self, position: Position, order: Order) -> None:
        """An exit for all of it is at the broker, or on its way there."""
        if position.status is PositionStatus.OPEN:
            before = Before.of(position)
            position.begin_closing(order.order_id, order.reason)
            await self.core.tracker.announce(position, before, order.reason or "closing")

    async def _wait_for(self, order: Order, wait: WaitingClose) -> None:
        """Written on the order, so that a restart does not forget the close. Its exit has its identity from now on."""
        wait = replace(wait, intent_id=wait.intent_id or new_ulid(wait.since))
        self.waiting[order.position_id] = wait
        previous, version = order.state, order.version
        order.close_after = {
            "since": wait.since.isoformat(),
            "reason": wait.reason,
            "quantity": wait.quantity,
            "intent_id": wait.intent_id,
        }
        order.touch()
        await self.core.tell_order(order, previous, version, reason="to be closed when it has ended")

    def restore(self) -> None:
        """After the orders: take up the closes that waited, unless their exit was made."""
        for order in self.core.book:
            wait = order.close_after
            position = self.core.tracker.find(order.position_id) if wait else None
            if position is None or not position.is_active or self.core.book.of_intent(wait["intent_id"]):
                continue
            since = datetime.fromisoformat(wait["since"])
            self.waiting[order.position_id] = WaitingClose(
                since=since, reason=wait["reason"], quantity=wait["quantity"], intent_id=wait["intent_id"]
            )

    async def _forget(self, position_id: str) -> None:
        """A close that was refused must not be tried by a later worker, when nobody thinks of it any more."""
        for order in self.core.book.of_position(position_id):
            if order.close_after:
                version, order.close_after = order.version, {}
                order.touch()
                await self.core.tell_order(order, order.state, version, reason="the close that waited for it was refused")

    async def _shrink_first(self, position: Position, order: Order, siblings: list[Order], room: float) -> Order | Denied:
        """Make stop and target smaller; the exit, planned and on the books, leaves when that is confirmed."""
        core = self.core
        for sibling in siblings:
            denied = await self._replace(sibling, "room for a partial exit", quantity=sibling.filled_quantity + room)
            if isinstance(denied, Denied):
                return denied
        core.book.add(order)
        await core.bus.emit(order_events.made(order))
        self.waiting[position.position_id] = WaitingClose(since=core.now(), reason=order.reason, quantity=order.quantity, order=order)
        return order

    def forget_after(self, now: datetime) -> None:
        """As `ExitKeeper.forget_after`, of the closes that wait."""
        self.waiting = {name: replace(wait, since=min(wait.since, now)) for name, wait in self.waiting.items()}

    async def advance(self) -> None:
        """Send the closes whose time has come, and give up on those whose time is over."""
        for position_id, wait in list(self.waiting.items()):
            position = self.core.tracker.find(position_id)
            if position is None or not position.is_active:
                await self._drop(position_id, wait, "the position is closed")
            elif wait.order is not None:
                await self._advance_partial(position, wait, wait.order)
            elif self._may_close_now(position, wait) and await self.protecting.need_contract(position.symbol) is None:
                del self.waiting[position_id]
                if position.held:
                    quantity = None if wait.quantity is None or wait.quantity >= abs(position.held) else wait.quantity
                    answer = await self._exit(position, quantity, wait.reason, wait.intent_id)
                    if isinstance(answer, Denied):
                        log.warning("%s was to be closed and is not: %s", position, answer)
                        await self._forget(position_id)

    def _may_close_now(self, position: Position, wait: WaitingClose) -> bool:
        """Nothing it waits for stands in the way any more; a list that does not show the shares does so for a minute at most."""
        missing = position.held and self.protecting.gone(position) >= abs(position.held)
        late = self.core.now() - wait.since >= EXIT_LIFE
        over = self.core.entry_of(position) is None and self._leaving(position.position_id) is None
        return self.core.may_send and over and (late or not missing)

    def _leaving(self, position_id: str) -> Order | None:
        """The exit that is on its way, or planned."""
        exits = (order for order in self.core.book.of_position(position_id) if order.role is OrderRole.EXIT)
        return next((order for order in exits if not order.is_terminal), None)

    async def _advance_partial(self, position: Position, wait: WaitingClose, order: Order) -> None:
        room = abs(position.held) - order.quantity
        siblings = self.core.book.live(position.position_id, *_PAIR)
        late = (self.core.now() - wait.since).total_seconds() > SHRINK_SECONDS
        if order.is_terminal or room < 0:
            await self._drop(position.position_id, wait, "less is held than it would close")
        elif all(s.remaining_quantity <= room and s.pending is PendingRequest.NONE for s in siblings):
            del self.waiting[position.position_id]
            await self._leave(position, order, whole=False)
        elif late or any(s.remaining_quantity > room and s.pending is not PendingRequest.REPLACE for s in siblings):
            await self._drop(position.position_id, wait, "stop and target could not be made smaller")

    async def give_up_waiting(self, position_id: str, why: str) -> None:
        """The close that waits, if one does, will not come; an exit planned for it never leaves."""
        if wait := self.waiting.get(position_id):
            await self._drop(position_id, wait, why)

    async def _drop(self, position_id: str, wait: WaitingClose, why: str) -> None:
        del self.waiting[position_id]
        if wait.order is not None and not wait.order.is_terminal:
            await self.core.move(wait.order, Trigger.DENY, code="exits_not_reduced", message=why, reason=why)

    # ---- keeping --------------------------------------------------------------------------------------------------------

    async def keep(self, left: Collection[str] | None = None) -> list[str]:
        """Look after the exits of every position, and of those just closed, the most endangered first.

        Gives way to others after a few messages: returns the positions not looked at yet, to be given as `left` to the next call.
        """
        core = self.core
        if not core.may_send:
            return []
        positions = [p for p in self._to_keep() if left is None or p.position_id in left]
        positions.sort(key=lambda p: danger.rank(p, core.book.of_position(p.position_id)))
        most, sent = max(1, min(danger.AT_ONCE, core.broker.line_room())), 0
        for number, position in enumerate(positions):
            for work in core.keeper.due(position, core.book.of_position(position.position_id), core.now()):
                await self._repair(position, work)
                sent += 1
            if sent >= most:
                return [later.position_id for later in positions[number + 1 :]]
        return []

    def _to_keep(self) -> list[Position]:
        core = self.core
        positions = {p.position_id: p for p in core.tracker.active() if p.is_active}
        positions |= {alarmed: over for alarmed in core.keeper.alarms if (over := core.tracker.find(alarmed)) is not None}
        for order in core.book:
            over = core.tracker.find(order.position_id) if order.is_live and order.is_exit and not order.external else None
            if over is not None:
                positions.setdefault(over.position_id, over)
        return list(positions.values())

    async def _repair(self, position: Position, work: Work) -> None:
        if work.order is not None and work.order.is_terminal:
            return  # an exit of this round has heard of its end
        if work.repair is Repair.CANCEL and work.order is not None:
            await self.core.cancel(work.order, work.reason)
        elif work.repair is Repair.RESIZE and work.order is not None:
            quantity = work.quantity - self.protecting.gone(position)
            if quantity > 1e-9 and quantity != work.order.wanted("quantity"):
                await self.core.modify(work.order, work.reason, quantity=quantity)
        elif work.repair in (Repair.ALARM, Repair.RESTORED):
            await self._alarm(position, work)
        elif work.repair is Repair.ASK:
            self.core.ask_reconcile(work.reason)
        elif work.repair is Repair.PROTECT:
            await self.protecting.again(position, work)

    async def _alarm(self, position: Position, work: Work) -> None:
        """No stop stays, or none can be tried: say so, then flatten or hold as a person chose. Holding tries again where it can."""
        core = self.core
        rule = core.when_refused if work.repair is Repair.ALARM else ""
        if work.urgent or work.repair is Repair.RESTORED:
            row: dict[str, Any] = {"position_id": position.position_id, "signal_id": position.signal_id, "symbol": position.symbol}
            await core.bus.emit(ProtectionEvent(**row, state=work.repair.value, rule=rule, detail=work.reason))
        if rule == "flatten":
            denied = await self.close(position.position_id, None, "no stop could be placed")
            if isinstance(denied, Denied):
                log.error("%s has no stop and cannot be closed: %s", position, denied)
        elif rule and not work.urgent and position.stop_loss is not None:
            await self.protecting.place(position, work.quantity, stop_loss=position.stop_loss)


def _denied(code: str, message: str, what_to_do: str, **values: Any) -> Denied:
    return Denied(code=code, message=message, what_to_do=what_to_do, values=values)


def _gone(position_id: str) -> Denied:
    return _denied("not_open", "There is no such open position.", "Reload the page.", position_id=position_id)
