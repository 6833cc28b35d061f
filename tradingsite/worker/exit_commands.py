"""What a person may ask about the exits of a position: arm and disarm rules, add to it, turn it around."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from events.clock import utc_now
from events.commands import (
    ClearPartialTargets,
    ClearTrailing,
    Command,
    ReversePosition,
    ScaleIn,
    SetBreakEven,
    SetPartialTarget,
    SetTimeStop,
    SetTrailing,
)
from events.inbox import Outcome
from events.models import CommandRecord
from events.order import OrderSide
from events.wording import price_text, quantity_text
from positions.domain.exit_rules import MOST_TARGETS, REVERSE, ExitRules, PartialTarget, Reverse, Trail, TrailKind
from positions.domain.exit_runner import ExitRunner
from positions.domain.intent import Denied, OrderIntent
from positions.domain.levels import MOST_STOP
from positions.domain.order_manager import OrderManager
from positions.domain.position import Position
from positions.domain.tracker import PositionTracker
from tradingsite.worker.subscriptions import Subscriptions

EXIT_COMMANDS = frozenset({"SetTrailing", "ClearTrailing", "SetBreakEven", "SetTimeStop", "SetPartialTarget", "ClearPartialTargets"})
ENTRY_COMMANDS = frozenset({"ScaleIn", "ReversePosition"})
REVERSE_LIFE = timedelta(seconds=90)  # a reverse whose close takes longer opens nothing
ADDITION_LIFE_SECONDS = 60.0

Bind = Callable[[OrderIntent], Awaitable[OrderIntent]]  # an entry with the margin it takes
Change = Callable[[Position, ExitRules], tuple[ExitRules, str] | Outcome]


class ExitDesk:
    """`handlers` is command class → its handler, for the command desk."""

    def __init__(
        self,
        *,
        manager: OrderManager,
        tracker: PositionTracker,
        subscriptions: Subscriptions,
        runner: ExitRunner,
        bind: Bind,
        atr: Callable[[str], Awaitable[float | None]],
    ) -> None:
        self._manager = manager
        self._atr = atr  # of one-minute bars, dollars
        self._bind = bind
        self._tracker = tracker
        self._subscriptions = subscriptions
        self._runner = runner
        self.handlers: dict[type[Command], Callable[[Any, CommandRecord], Awaitable[Outcome]]] = {
            SetTrailing: self._set_trailing,
            ClearTrailing: self._clear_trailing,
            SetBreakEven: self._set_break_even,
            SetTimeStop: self._set_time_stop,
            SetPartialTarget: self._set_target,
            ClearPartialTargets: self._clear_targets,
            ScaleIn: self._scale_in,
            ReversePosition: self._reverse,
        }

    # --- rules ---

    async def _set_trailing(self, command: SetTrailing, record: CommandRecord) -> Outcome:
        trail = Trail(kind=TrailKind(command.kind), value=command.value)
        words = f"trailing stop, {quantity_text(command.value)} {'%' if trail.kind is TrailKind.PERCENT else 'ATR (one-minute bars)'}"
        position = self._tracker.find(command.position_id)
        atr = await self._atr(position.symbol) if position is not None and trail.kind is TrailKind.ATR else None

        def change(position: Position, rules: ExitRules) -> tuple[ExitRules, str] | Outcome:
            price = position.current_price or position.entry_price or 0.0
            if atr is not None and atr * trail.value > MOST_STOP * price:
                away = f"{price_text(atr * trail.value)} from the best price"
                return Outcome.refused("stop_side", f"That is {away}, more than half of {price_text(price)}. Choose fewer ATR, or percent.")
            return replace(rules, trail=trail), f"{words} armed"

        return await self._change(command.position_id, record, change)

    async def _clear_trailing(self, command: ClearTrailing, record: CommandRecord) -> Outcome:
        return await self._change(
            command.position_id, record, lambda position, rules: (replace(rules, trail=None), "trailing stop off; the stop stays")
        )

    async def _set_break_even(self, command: SetBreakEven, record: CommandRecord) -> Outcome:
        words = "break-even off" if command.at_r is None else f"break-even at {quantity_text(command.at_r)} R armed"

        def change(position: Position, rules: ExitRules) -> tuple[ExitRules, str] | Outcome:
            if command.at_r is not None and position.risk_per_share is None:
                return _no_risk()
            return replace(rules, break_even_r=command.at_r, break_even_at=None), words

        return await self._change(command.position_id, record, change)

    async def _set_time_stop(self, command: SetTimeStop, record: CommandRecord) -> Outcome:
        minutes, at_end = command.minutes, command.at_session_end
        parts = [f"{quantity_text(minutes)} min after it was opened"] if minutes is not None else []
        parts += ["at the session's end"] if at_end else []
        words = f"time stop {' or '.join(parts)} armed" if parts else "time stop off"

        def change(position: Position, rules: ExitRules) -> tuple[ExitRules, str]:
            return replace(rules, close_after_minutes=minutes, close_at_session_end=at_end, time_stop_at=None), words

        return await self._change(command.position_id, record, change)

    async def _set_target(self, command: SetPartialTarget, record: CommandRecord) -> Outcome:
        target = PartialTarget(at_r=command.at_r, percent=command.percent)

        def change(position: Position, rules: ExitRules) -> tuple[ExitRules, str] | Outcome:
            if position.risk_per_share is None:
                return _no_risk()
            others = tuple(t for t in rules.targets if t.done_at or t.intent_id or t.at_r != command.at_r)
            if len(others) >= MOST_TARGETS:
                return Outcome.refused("too_many", f"A position has at most {MOST_TARGETS} partial targets.")
            targets = tuple(sorted((*others, target), key=lambda t: t.at_r))
            return replace(rules, targets=targets), f"close {quantity_text(command.percent)} % at {quantity_text(command.at_r)} R armed"

        return await self._change(command.position_id, record, change)

    async def _clear_targets(self, command: ClearPartialTargets, record: CommandRecord) -> Outcome:
        def change(position: Position, rules: ExitRules) -> tuple[ExitRules, str]:
            return replace(rules, targets=tuple(t for t in rules.targets if t.done_at or t.intent_id)), "partial targets off"

        return await self._change(command.position_id, record, change)

    async def _change(self, position_id: str, record: CommandRecord, change: Change) -> Outcome:
        position = self._tracker.find(position_id)
        if position is None or not position.is_active:
            return Outcome.refused("not_open", "There is no such open position.")
        changed = change(position, position.exit_rules)
        if isinstance(changed, Outcome):
            return changed
        rules, words = changed
        await self._runner.arm(position, rules, words, by=_who(record))
        return Outcome.done(words)

    # --- size and direction ---

    async def _scale_in(self, command: ScaleIn, record: CommandRecord) -> Outcome:
        position = self._tracker.find(command.position_id)
        if position is None or not position.held:
            return Outcome.refused("not_open", "There is no such open position.")
        await self._subscriptions.one(position.symbol)
        latest = record.created_at + REVERSE_LIFE
        intent = OrderIntent(
            intent_id=record.intent_id,
            symbol=position.symbol,
            side=OrderSide.BUY if position.held > 0 else OrderSide.SELL,
            quantity=command.quantity,
            limit_price=command.limit_price,
            stop_loss=position.stop_loss,
            strategy=position.strategy,
            expires_at=min(record.expires_at or latest, latest),
            entry_life_seconds=ADDITION_LIFE_SECONDS,
            cause=position.position_id,
        )
        result = await self._manager.scale_in(position.position_id, await self._bind(intent))
        if isinstance(result, Denied):
            return Outcome.refused(result.code, str(result))
        return Outcome.done(f"adding {quantity_text(command.quantity)} {position.symbol} as {result.order_ref}")

    async def _reverse(self, command: ReversePosition, record: CommandRecord) -> Outcome:
        """One wish on the books: close, and once flat open the other way with the same risk per share. Judged whole: when the other
        side would be refused, nothing is closed."""
        position = self._tracker.find(command.position_id)
        if position is None or not position.held or position.entry_price is None:
            return Outcome.refused("not_open", "There is no such open position.")
        if position.risk_per_share is None:
            return _no_risk()
        await self._subscriptions.one(position.symbol)
        reward = None if position.take_profit is None else abs(position.take_profit - position.entry_price)
        wish = Reverse(
            intent_id=f"{REVERSE}{record.pk}",
            quantity=abs(position.held),
            risk=position.risk_per_share,
            reward=reward,
            expires_at=utc_now() + REVERSE_LIFE,
            close_id=record.intent_id,
        )
        refusal = await self._runner.reversals.objection(position, wish)
        if refusal is not None:
            return Outcome.refused(refusal.code, f"Nothing was closed: the other side would be refused. {refusal}")
        before = position.exit_rules
        await self._runner.arm(position, replace(before, reverse=wish), "reverse asked for", by=_who(record))
        result = await self._manager.close_position(position.position_id, None, f"reverse by {_who(record)}", intent_id=record.intent_id)
        if isinstance(result, Denied):
            await self._runner.arm(position, before, "reverse given up: it cannot be closed", by=_who(record))
            return Outcome.refused(result.code, str(result))
        return Outcome.done(f"closing {position.symbol}; the other side is opened when it is flat")


def _no_risk() -> Outcome:
    words = "No stop below the fill rested for some of its shares when they were entered, so R is not known."
    return Outcome.refused("no_first_stop", words)


def _who(record: CommandRecord) -> str:
    return record.created_by.get_username() if record.created_by else "the desk"
