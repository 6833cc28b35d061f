"""A person's wish to its outcome: one small handler per command. Refusals are outcomes with a code and a sentence.

Entries wait in the inbox until the books agree with the broker (`waiting_commands`); halting never waits. A command that a
crash interrupted is first looked up by what it would have left behind (`settled`), so nothing is done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from events.accounts import masked
from events.bus import EventBus
from events.commands import (
    ApproveSignal,
    CancelOrder,
    ChangeStop,
    ChangeTarget,
    CheckSymbol,
    ClosePosition,
    Command,
    FlattenAll,
    HaltTrading,
    ReduceOnly,
    RejectSignal,
    ResumeTrading,
    ReversePosition,
    ScaleIn,
)
from events.failpoints import failpoint
from events.failstop import working_on
from events.inbox import Outcome
from events.models import CommandRecord
from events.order import OrderState
from events.system import CommandEvent
from events.wording import price_text, quantity_text
from positions.domain.errors import PositionsError
from positions.domain.exit_rules import REVERSE
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order import Order
from positions.domain.order_manager import OrderManager
from positions.domain.order_states import NEVER_SENT
from positions.domain.ports import BrokerError, UnknownContract
from positions.domain.position import Position
from positions.domain.tracker import PositionTracker
from signals.domain.entry import entry_intent
from tradingsite.worker.exit_commands import ENTRY_COMMANDS, EXIT_COMMANDS, ExitDesk
from tradingsite.worker.guard import Guard
from tradingsite.worker.margins import Margins
from tradingsite.worker.resolutions import RESOLUTIONS, Resolutions
from tradingsite.worker.session import Session
from tradingsite.worker.subscriptions import Subscriptions
from tradingsite.worker.trading import ACTIVE, HALTED, REDUCE_ONLY, StateNotWritten, TradingSwitch

log = logging.getLogger(__name__)

LONGEST_LIFE = timedelta(seconds=120)  # an approval older than this is never sent, whatever its row says
ENTRIES = frozenset({"ApproveSignal"}) | ENTRY_COMMANDS
EXITS = frozenset({"ClosePosition", "ChangeStop", "ChangeTarget", "CancelOrder", "FlattenAll"}) | RESOLUTIONS | EXIT_COMMANDS


class CommandDesk:
    """Handles every command. `entry_life_seconds` is how long an unfilled entry may rest at the broker,
    `shown` what the card of a signal showed."""

    def __init__(
        self,
        *,
        bus: EventBus,
        manager: OrderManager,
        tracker: PositionTracker,
        session: Session,
        switch: TradingSwitch,
        subscriptions: Subscriptions,
        resolutions: Resolutions,
        exits: ExitDesk,
        guard: Guard,
        margins: Margins,
        entry_life_seconds: Callable[[], Awaitable[float]],
        shown: Callable[[str], Awaitable[dict[str, Any] | None]],
    ) -> None:
        self._bus = bus
        self._manager = manager
        self._tracker = tracker
        self._session = session
        self._switch = switch
        self._subscriptions = subscriptions
        self._guard = guard
        self._margins = margins
        self._entry_life_seconds = entry_life_seconds
        self._shown = shown
        self._handlers: dict[type[Command], Callable[[Any, CommandRecord], Awaitable[Outcome]]] = {
            ApproveSignal: self._approve,
            RejectSignal: self._reject,
            ClosePosition: self._close,
            ChangeStop: self._change_stop,
            ChangeTarget: self._change_target,
            CancelOrder: self._cancel,
            CheckSymbol: self._check_symbol,
            HaltTrading: self._halt,
            ReduceOnly: self._reduce_only,
            ResumeTrading: self._resume,
            FlattenAll: self._flatten,
            **resolutions.handlers,
            **exits.handlers,
        }

    def waiting_commands(self) -> frozenset[str]:
        """Names the inbox must not hand out now; their time to live runs on."""
        if self._session.ready or self._session.blocked:
            return frozenset()  # books that differ may stay so for hours: an entry is refused at once, with the reason
        return ENTRIES if self._session.link_up else ENTRIES | EXITS

    async def handle(self, command: Command, record: CommandRecord) -> Outcome:
        """Carry out one command; whatever goes wrong is an outcome with a reason."""
        cause = f"command {record.pk}"
        if cause in self._manager.core.set_aside:
            return Outcome.refused("set_aside", "Carrying this out ended the worker again and again. It was set aside and trading halted.")
        mine = self._manager.core.account
        if record.account not in ("", mine) and not isinstance(command, HaltTrading | ReduceOnly):
            words = (
                f"This was decided for account {masked(record.account)}; the desk trades {masked(mine) or 'none yet'}. Nothing was sent."
            )
            return Outcome.refused("other_account", words)
        failpoint("command.begin")
        try:
            with working_on(cause):
                if command.name in ENTRIES:  # the limits, the switch and the locks as they are now, not two seconds ago
                    await self._switch.refresh()
                    await self._guard.refresh()
                outcome = await self._handlers[type(command)](command, record)
        except UnknownContract as error:
            outcome = Outcome.refused("unknown_symbol", f"{error}.")
        except BrokerError as error:
            outcome = Outcome.refused("link_down", f"The broker could not be reached: {error}. Nothing was sent; try again.")
        except PositionsError as error:
            outcome = Outcome.refused("refused", f"{error}.")
        except StateNotWritten as error:
            outcome = Outcome.refused("not_written", str(error))
        failpoint("command.handled")
        await self._tell(command, record, outcome)
        return outcome

    async def settled(self, command: Command, record: CommandRecord) -> Outcome | None:
        """What a command that was claimed before a crash, or failed half-way, has already led to; None if it had no effect."""
        if isinstance(command, ApproveSignal | ClosePosition | ScaleIn):
            made = self._manager.core.book.of_intent(record.intent_id)
            return _outcome_of(made[0]) if made else None
        if isinstance(command, ReversePosition):
            position = self._tracker.find(command.position_id)
            reverse = position.exit_rules.reverse if position is not None else None
            if reverse is not None and reverse.intent_id == f"{REVERSE}{record.pk}":
                return Outcome.done("its close was asked for before the worker was restarted")
        return None

    async def _tell(self, command: Command, record: CommandRecord, outcome: Outcome) -> None:
        event = CommandEvent(
            command_id=record.pk,
            name=command.name,
            state=str(outcome.state),
            code=outcome.code,
            reason=outcome.reason[:500],
            signal_id=record.signal_id,
            order_id=record.order_id,
            position_id=record.position_id,
        )
        await self._bus.emit(event)

    # --- entries ---

    async def _approve(self, command: ApproveSignal, record: CommandRecord) -> Outcome:
        if command.action in ("close_long", "close_short"):
            return await self._close_for_signal(command, record)
        if self._session.blocked:
            return Outcome.refused("books_differ", f"Our book and the broker's differ. {self._session.blocked} The Broker page shows it.")
        await self._subscriptions.one(command.symbol)
        intent = await self._margins.bound_to(await self._intent(command, record))
        result = await self._manager.submit(intent)
        if isinstance(result, Denied):
            await self._guard.after_refusal(result, intent)
            return _refused(result)
        return Outcome.done(f"sent as {result.order_ref}")

    async def _intent(self, command: ApproveSignal, record: CommandRecord) -> OrderIntent:
        latest = record.created_at + LONGEST_LIFE
        intent = entry_intent(
            intent_id=record.intent_id,
            signal_id=command.signal_id,
            symbol=command.symbol,
            direction=command.direction,
            quantity=command.quantity,
            limit_price=command.limit_price,
            stop_loss=command.stop_loss,
            take_profit=command.take_profit,
            reference_price=command.reference_price,
            expected_price=command.expected_price,
        )
        return replace(
            intent,
            expires_at=min(record.expires_at or latest, latest),
            entry_life_seconds=await self._entry_life_seconds(),
            cause=f"command {record.pk}",
            shown=await self._shown(command.signal_id),
        )

    async def _close_for_signal(self, command: ApproveSignal, record: CommandRecord) -> Outcome:
        """A signal against what is held closes it: a sell the long position, a buy the short one."""
        side, sign = ("long", 1) if command.action == "close_long" else ("short", -1)
        held = [p for p in self._tracker.of_symbol(command.symbol) if p.held * sign > 0]
        if not held:
            return Outcome.refused("no_position", f"There is no {side} {command.symbol} position to close.")
        quantity: float | None = command.quantity if command.quantity < abs(held[0].held) else None
        return await self._exit(held[0], quantity, f"signal {command.signal_id}", record)

    async def _reject(self, command: RejectSignal, record: CommandRecord) -> Outcome:
        return Outcome.done("nothing to do: the signal itself carries the decision")

    # --- exits ---

    async def _close(self, command: ClosePosition, record: CommandRecord) -> Outcome:
        position = self._tracker.find(command.position_id)
        if position is None:
            return Outcome.refused("unknown_position", "There is no such position.")
        return await self._exit(position, command.quantity, command.reason or "closed by hand", record)

    async def _exit(self, position: Position, quantity: float | None, reason: str, record: CommandRecord) -> Outcome:
        if not position.held:
            return Outcome.refused("no_position", "Nothing is held any more; the position is closed.")
        await self._subscriptions.one(position.symbol)
        result = await self._manager.close_position(position.position_id, quantity, reason, intent_id=record.intent_id)
        if isinstance(result, Denied):
            return _refused(result)
        return Outcome.done(f"closing {quantity_text(quantity or abs(position.held))} {position.symbol}")

    async def _change_stop(self, command: ChangeStop, record: CommandRecord) -> Outcome:
        return _moved(await self._manager.change_stop(command.position_id, command.price), command.price)

    async def _change_target(self, command: ChangeTarget, record: CommandRecord) -> Outcome:
        return _moved(await self._manager.change_target(command.position_id, command.price), command.price)

    async def _check_symbol(self, command: CheckSymbol, record: CommandRecord) -> Outcome:
        """A symbol that IB does not know is refused by `handle`."""
        return Outcome.done(await self._subscriptions.name_of(command.symbol))

    async def _cancel(self, command: CancelOrder, record: CommandRecord) -> Outcome:
        result = await self._manager.cancel_order(command.order_id, f"cancelled by {_who(record)}")
        return _refused(result) if isinstance(result, Denied) else Outcome.done("cancel sent; the order ends when IB confirms it")

    async def _flatten(self, command: FlattenAll, record: CommandRecord) -> Outcome:
        try:
            await self._switch.change(REDUCE_ONLY, command.reason or "flatten all", _who(record))
        except StateNotWritten as error:  # what is to be closed must not wait for this row; the answer does
            log.warning("%s", error)
        results = await self._manager.flatten_all(command.reason or "flatten all")
        try:
            await self._switch.make_durable()
        except StateNotWritten as error:
            return Outcome.refused("not_written", f"Everything is being closed all the same. {error}")
        refused = [result for result in results or () if isinstance(result, Denied)]
        if refused:
            return Outcome.refused(refused[0].code, " ".join(str(denied) for denied in refused)[:500])
        return Outcome.done("entries cancelled, every position is being closed; trading is reduce-only")

    # --- the switch ---

    async def _halt(self, command: HaltTrading, record: CommandRecord) -> Outcome:
        await self._switch.change(HALTED, command.reason or "halted by hand", _who(record))
        await self._guard.enforce_halt()
        return Outcome.done("halted: no new entries; protective orders stay at the broker")

    async def _reduce_only(self, command: ReduceOnly, record: CommandRecord) -> Outcome:
        await self._switch.change(REDUCE_ONLY, command.reason or "exits only", _who(record))
        return Outcome.done("exits only")

    async def _resume(self, command: ResumeTrading, record: CommandRecord) -> Outcome:
        if not command.reason.strip():
            return Outcome.refused("no_reason", "Trading is released only with a reason. Say why it may go on.")
        await self._switch.change(ACTIVE, command.reason, _who(record))
        return Outcome.done("trading is active")


def _outcome_of(order: Order) -> Outcome:
    """What became of an order that a wish led to before its outcome could be told."""
    if order.code == NEVER_SENT and not order.filled_quantity:
        return Outcome.refused(NEVER_SENT, f"Nothing was sent. {order.message} Ask again if you still want it.")
    if order.state in (OrderState.REJECTED, OrderState.DENIED) and not order.filled_quantity:
        return Outcome.refused(order.code or order.state.value, order.message or f"The order was {order.state.value}.")
    if order.state is OrderState.IN_DOUBT:
        return Outcome.done(f"sent as {order.order_ref}; whether IB has it is being found out")
    return Outcome.done(f"sent as {order.order_ref} before the worker was restarted")


def _moved(result: Order | Denied, price: float) -> Outcome:
    return _refused(result) if isinstance(result, Denied) else Outcome.done(f"the broker was asked to move it to {price_text(price)}")


def _refused(denied: Denied) -> Outcome:
    return Outcome.refused(denied.code, str(denied))


def _who(record: CommandRecord) -> str:
    return record.created_by.get_username() if record.created_by else "the desk"
