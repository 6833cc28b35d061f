"""Turning a position around: one wish of two parts, judged whole before its first part leaves.

The close goes first; the other side is opened once the position is flat, while the wish is fresh. It is planned from the price it
is expected to fill at, with the same shares and the same risk per share. What becomes of the second part is said to `told`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from events.order import OrderSide, OrderType
from positions.domain import families
from positions.domain.exit_rules import Reverse
from positions.domain.expected import SLIPPAGE_PCT, expected_fill
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order_manager import OrderManager
from positions.domain.position import Position

THROUGH = 0.003  # the entry's limit is at most this fraction through the market …
OF_RISK = 0.5  # … and at most so much of the way to its stop
LIFE_SECONDS = 60.0

Bind = Callable[[OrderIntent], Awaitable[OrderIntent]]  # learns the margin an entry takes
# Writes down the wish's outcome, and whether the other side was opened; False while it cannot be written yet.
Told = Callable[[Reverse, bool], Awaitable[bool]]


class Reversals:
    """Plans, judges and carries out the second part. Sends nothing of the first."""

    def __init__(self, manager: OrderManager, now: Callable[[], datetime], *, bind: Bind | None, told: Told | None) -> None:
        self._manager = manager
        self._now = now
        self._bind = bind
        self._told = told

    async def objection(self, position: Position, wish: Reverse) -> Denied | None:
        """Why the other side would be refused, were the position closed already; None when it would not.

        The broker is asked what margin it takes to sell what is held and as much again: that is where the whole act leads.
        """
        intent = self._planned(position, wish)
        if isinstance(intent, Denied):
            return intent
        if self._bind is not None:
            asked = await self._bind(replace(intent, quantity=2 * intent.quantity))
            margin = None if asked.margin is None else asked.margin | {"held": 0.0}
            intent = replace(intent, margin=margin)
        return await self._manager.judge(intent, as_if_closed=position)

    async def settle(self, position: Position, wish: Reverse) -> Reverse | None:
        """The wish with its outcome, once there is one. The position is closed, or was not closed in time."""
        if self._now() >= wish.expires_at:
            why = "the wish had lapsed" if not position.held else "the position was not closed in time"
            return await self._over(wish, f"not opened: {why}", opened=False)
        if position.held or position.is_active:
            return await self._unless_the_close_failed(position, wish)
        intent = self._planned(position, wish)
        if isinstance(intent, Denied):
            return None if intent.code == "no_quote" else await self._over(wish, f"not opened: {intent}", opened=False)
        answer = await self._manager.submit(intent if self._bind is None else await self._bind(intent))
        if isinstance(answer, Denied):
            return await self._over(wish, f"not opened: {answer}", opened=False)
        return await self._over(wish, f"opened as position {answer.position_id}", opened=True)

    async def _unless_the_close_failed(self, position: Position, wish: Reverse) -> Reverse | None:
        exits = self._manager.core.book.of_intent(wish.close_id) if wish.close_id else []
        failed = next((order for order in exits if order.is_terminal and order.remaining_quantity > 0), None)
        if failed is None or not position.held:
            return None
        why = failed.message or f"its close was {failed.state.value}"
        return await self._over(wish, f"not opened: the position was not closed ({why.rstrip('.')})", opened=False)

    async def _over(self, wish: Reverse, outcome: str, *, opened: bool) -> Reverse | None:
        """None: tried again, which opens nothing twice, since the same intent is the same order."""
        done = replace(wish, outcome=outcome)
        return done if self._told is None or await self._told(done, opened) else None

    def _planned(self, position: Position, wish: Reverse) -> OrderIntent | Denied:
        """By the quote of this moment, on the venue's grid."""
        side = OrderSide.SELL if position.direction > 0 else OrderSide.BUY
        sign = 1 if side is OrderSide.BUY else -1
        context = self._manager.core.context(position.symbol)
        quote, market = context.quote, context.market
        expected = None
        if quote is not None:
            expected = expected_fill(side, bid=quote.bid, ask=quote.ask, last=market, slippage_pct=SLIPPAGE_PCT)
        if expected is None or market is None:
            return Denied(code="no_quote", message=f"There is no price for {position.symbol}.", what_to_do="Wait for a fresh live quote.")
        limit = expected + sign * min(THROUGH * expected, OF_RISK * wish.risk)
        stop = expected - sign * wish.risk
        target = None if wish.reward is None else expected + sign * wish.reward
        if min(limit, stop, limit if target is None else target) <= 0:
            words = "With the same risk and reward per share, a price of the other side would be zero or below."
            return Denied(code="bad_number", message=words, what_to_do="Close the position, and enter the other side by itself.")
        intent = OrderIntent(
            intent_id=wish.intent_id,
            symbol=position.symbol,
            side=side,
            quantity=wish.quantity,
            entry_type=OrderType.LIMIT,
            limit_price=limit,
            stop_loss=stop,
            take_profit=target,
            strategy=position.strategy,  # no signal: its one order was the position that is closed
            reference_price=market,
            expected_price=expected,
            expires_at=wish.expires_at,
            entry_life_seconds=LIFE_SECONDS,
            cause=position.position_id,
        )
        contract = self._manager.core.contracts.get(position.symbol)
        return intent if contract is None else families.snapped(intent, contract)  # the broker is asked about a price it takes
