"""Carries out what the exit rules of positions ask for, through the order manager, and keeps on the position what was done.

A rule's exit has an intent id that follows from the position and the rule, written down before anything is sent: after a
crash the same rule makes the same order, never a second one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from events.order import OrderState
from events.position import PositionStatus
from events.wording import quantity_text
from positions.domain import danger, position_events
from positions.domain.exit_rules import Action, Ask, ExitRules, Held, Market, Pace, PartialTarget, at_break_even, evaluate, watched
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.order_manager import OrderManager
from positions.domain.position import Position
from positions.domain.position_events import Before
from positions.domain.reversing import Bind, Reversals, Told
from positions.domain.tracker import PositionTracker

STALE_PRICE = timedelta(seconds=15)  # an older price moves no stop and reaches no target
AGAIN = timedelta(seconds=2)  # after a refusal
LOST = timedelta(seconds=30)  # an exit that was asked for and never became an order
_RULES = uuid.UUID("5d2a3a7e-3c55-4a3f-9c1e-0b3f6f1f6a10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One stop that a rule wants elsewhere."""

    position: Position
    action: Action
    price: float
    market: Market
    before: float | None

    def rank(self) -> danger.Rank:
        return danger.loose(self.position, self.price)


class ExitRunner:
    """`atr` gives dollars, `session_end` the end of the session that is open; both by symbol, None when unknown."""

    def __init__(
        self,
        manager: OrderManager,
        tracker: PositionTracker,
        now: Callable[[], datetime],
        *,
        atr: Callable[[str], float | None] = lambda symbol: None,
        session_end: Callable[[str], datetime | None] = lambda symbol: None,
        pace: Pace | None = None,
        bind: Bind | None = None,
        told: Told | None = None,
    ) -> None:
        self.reversals = Reversals(manager, now, bind=bind, told=told)
        self.pace = pace or Pace()
        self._manager = manager
        self._tracker = tracker
        self._now = now
        self._atr = atr
        self._session_end = session_end
        self._not_before: dict[tuple[str, str], datetime] = {}  # (position_id, rule) → when a refused action is tried again

    async def run_once(self) -> None:
        """Look at every position with a rule armed: exits at once; then a few moves of stops, those with the most money in them
        first, and everything is looked at anew, by the newest prices, before the next few."""
        for position in [*self._tracker.closed(), *self._tracker.active()]:
            await self._settle_reverse(position)
        moved: set[str] = set()
        while due := await self._look_at_all(without=moved):
            moved |= await self._move_some(due)

    async def _look_at_all(self, *, without: Collection[str]) -> list[Position]:
        """Exits are carried out; returns the positions whose stop should be moved."""
        due = []
        for position in self._tracker.active():
            if not position.held or not position.exit_rules.armed:
                continue
            await self._look(position)
            if position.position_id not in without and self._move_due(position) is not None:
                due.append(position)
        return due

    async def arm(self, position: Position, rules: ExitRules, what: str, *, by: str) -> None:
        """Take over rules a person, or a default, asked for; `what` says it in words."""
        await self._keep(position, rules, "exit rule", {}, reason=what, by=by)

    # ---- looking --------------------------------------------------------------------------------------------------------

    async def _look(self, position: Position) -> None:
        """Everything but moves of the stop."""
        await self._settle_targets(position)
        await self._settle_time_stop(position)
        held, market, rules = _held(position), self._market(position), position.exit_rules
        if market is None:
            rules = _timed_only(rules)
            market = Market(price=held.entry, now=self._now(), session_end=self._session_end(position.symbol))
        else:
            position.exit_rules = watched(rules, held, market)  # kept with the next change: a best price alone is no news
            await self._settle_break_even(position, held, market)
            rules = position.exit_rules
        for action in evaluate(rules, held, market, self.pace):
            if action.ask is not Ask.MOVE_STOP and not self._too_soon(position, action):
                await self._do(position, action)

    def _move_due(self, position: Position) -> Move | None:
        """Where the newest price wants its stop, when that is elsewhere."""
        market = self._market(position)
        if market is None or not position.held:
            return None
        held = _held(position)
        position.exit_rules = watched(position.exit_rules, held, market)
        actions = evaluate(position.exit_rules, held, market, self.pace)
        found = next((action for action in actions if action.ask is Ask.MOVE_STOP and not self._too_soon(position, action)), None)
        return (
            None
            if found is None or found.price is None
            else Move(position=position, action=found, price=found.price, market=market, before=position.stop_loss)
        )

    def _too_soon(self, position: Position, action: Action) -> bool:
        not_before = self._not_before.get((position.position_id, action.rule), self._now())
        return timedelta() < not_before - self._now() <= LOST  # further ahead: the clock was set back

    def _market(self, position: Position) -> Market | None:
        """None while the price is too old to act on."""
        price, at, now = position.current_price, position.price_at, self._now()
        if price is None or at is None or now - at > STALE_PRICE:
            return None
        contract = self._manager.core.contracts.get(position.symbol)
        return Market(
            price=price,
            now=now,
            atr=self._atr(position.symbol),
            session_end=self._session_end(position.symbol),
            increments=contract.increments if contract is not None else ((0.0, 0.01),),
        )

    # ---- doing ----------------------------------------------------------------------------------------------------------

    async def _do(self, position: Position, action: Action) -> None:
        if action.rule == "target":
            await self._take_part(position, action)
        else:
            await self._leave(position, action)

    async def _move_some(self, due: list[Position]) -> set[str]:
        """As many as the line takes now, judged once more by the newest prices; returns whose stops were asked to move."""
        broker = self._manager.core.broker
        await broker.line_free(routine=True)
        moves = sorted((move for position in due if (move := self._move_due(position)) is not None), key=Move.rank)
        now = moves[: max(1, min(danger.MOVES_AT_ONCE, broker.line_room(routine=True)))]
        answers = await self._manager.trail_stops({move.position.position_id: move.price for move in now})
        for move in now:
            await self._moved(move, answers[move.position.position_id])
        return {move.position.position_id for move in now} or {position.position_id for position in due}

    async def _moved(self, move: Move, answer: Order | Denied) -> None:
        position, action, market = move.position, move.action, move.market
        if isinstance(answer, Denied):
            self._later(position, action.rule)
            return
        rules = position.exit_rules
        if action.rule == "trail" and rules.trail is not None:
            rules = replace(rules, trail=replace(rules.trail, moved_at=market.now, moves=rules.trail.moves + 1))
        else:
            self._not_before[(position.position_id, action.rule)] = market.now + LOST  # asked; the broker's word makes it done
        changed = {"stop_loss": [move.before, move.price], "last price": market.price}
        await self._keep(position, rules, "stop moved by rule", changed, reason=action.cause, by="exit rule")

    async def _take_part(self, position: Position, action: Action) -> None:
        target = position.exit_rules.targets[action.target]
        intent_id = str(uuid.uuid5(_RULES, f"{position.position_id} {target.at_r:g} {target.percent:g} {target.tries}"))
        sent = replace(target, intent_id=intent_id, sent_at=self._now())
        changed = {"shares": action.quantity}
        await self._keep(position, _with_target(position.exit_rules, action.target, sent), "target reached", changed, reason=action.cause)
        quantity = None if action.ask is Ask.CLOSE else action.quantity
        answer = await self._manager.close_position(position.position_id, quantity, action.cause, intent_id=intent_id)
        if isinstance(answer, Denied):
            self._later(position, action.rule)
            back = replace(target, tries=target.tries + (answer.code not in ("link_down", "not_confirmed")))
            await self._keep(position, _with_target(position.exit_rules, action.target, back), "target refused", {}, reason=str(answer))

    async def _leave(self, position: Position, action: Action) -> None:
        await self._keep(position, replace(position.exit_rules, time_stop_at=self._now()), "time stop", {}, reason=action.cause)
        answer = await self._manager.close_position(position.position_id, None, action.cause)
        if isinstance(answer, Denied):
            self._later(position, action.rule)
            await self._keep(position, replace(position.exit_rules, time_stop_at=None), "time stop refused", {}, reason=str(answer))

    # ---- what became of it ----------------------------------------------------------------------------------------------

    async def _settle_targets(self, position: Position) -> None:
        """An exit that filled makes its target done; one that came to nothing arms it again."""
        for number, target in enumerate(position.exit_rules.targets):
            if not target.intent_id or target.done_at is not None:
                continue
            orders = self._manager.core.book.of_intent(target.intent_id)
            lost = not orders and target.sent_at is not None and self._passed(target.sent_at) > LOST
            if orders and orders[0].is_terminal and orders[0].filled_quantity:
                done, price = replace(target, done_at=self._now()), orders[0].average_price
                changed = {"shares": orders[0].filled_quantity, "price": price}
                await self._keep(position, _with_target(position.exit_rules, number, done), "target taken", changed, reason=_words(target))
            elif lost or (orders and orders[0].is_terminal and orders[0].state is not OrderState.FILLED):
                again = replace(target, intent_id="", sent_at=None, tries=target.tries + 1)
                why = orders[0].message or orders[0].state.value if orders else "its exit never became an order"
                await self._keep(position, _with_target(position.exit_rules, number, again), "target not taken", {}, reason=why)

    async def _settle_time_stop(self, position: Position) -> None:
        """The exit of a time stop that did not close the position: ask again."""
        at = position.exit_rules.time_stop_at
        if at is None or position.status is not PositionStatus.OPEN or self._passed(at) < LOST:
            return
        await self._keep(position, replace(position.exit_rules, time_stop_at=None), "time stop armed again", {}, reason="still held")

    async def _settle_break_even(self, position: Position, held: Held, market: Market) -> None:
        rules = position.exit_rules
        if rules.break_even_r is None or rules.break_even_at is not None or not at_break_even(held, market):
            return
        changed = {"stop_loss": [None, position.stop_loss]}
        reason = f"the stop rests at the entry price or better; asked for at {quantity_text(rules.break_even_r)} R"
        await self._keep(position, replace(rules, break_even_at=market.now), "break-even", changed, reason=reason)

    # ---- reversing: see reversing.py --------------------------------------------------------------------------------------

    async def _settle_reverse(self, position: Position) -> None:
        wish = position.exit_rules.reverse
        if wish is None or wish.outcome:
            return
        done = await self.reversals.settle(position, wish)
        if done is not None:
            await self._keep(position, replace(position.exit_rules, reverse=done), "reversed", {}, reason=done.outcome)

    # ---- inside ---------------------------------------------------------------------------------------------------------

    async def _keep(
        self, position: Position, rules: ExitRules, kind: str, changed: dict[str, Any], *, reason: str, by: str = "exit rule"
    ) -> None:
        """On the position, in its history, and on the bus."""
        before = Before.of(position)
        position.set_exit_rules(rules, kind, changed, reason=reason, by=by)
        await self._tracker.event_bus.emit(position_events.updated(position, before, reason=f"{kind}: {reason}"[:200]))

    def _passed(self, at: datetime) -> timedelta:
        """Since then; without end when it lies ahead, because the clock was set back since."""
        return self._now() - at if at <= self._now() else timedelta.max

    def _later(self, position: Position, rule: str) -> None:
        self._not_before[(position.position_id, rule)] = self._now() + AGAIN


def _held(position: Position) -> Held:
    return Held(
        direction=position.direction,
        shares=abs(position.held),
        opened=position.opened_quantity,
        entry=position.entry_price or 0.0,
        risk=position.risk_per_share,
        stop=position.stop_loss,
        open_time=position.open_time,
    )


def _timed_only(rules: ExitRules) -> ExitRules:
    """What can be judged without a fresh price."""
    return ExitRules(
        close_after_minutes=rules.close_after_minutes, close_at_session_end=rules.close_at_session_end, time_stop_at=rules.time_stop_at
    )


def _with_target(rules: ExitRules, number: int, target: PartialTarget) -> ExitRules:
    return replace(rules, targets=tuple(target if n == number else other for n, other in enumerate(rules.targets)))


def _words(target: PartialTarget) -> str:
    return f"{quantity_text(target.percent)} % at {quantity_text(target.at_r)} R"
