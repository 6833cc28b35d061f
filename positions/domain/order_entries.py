"""The order manager's way in: an intent becomes a family of orders, or a refusal, exactly once."""

from __future__ import annotations

from dataclasses import replace

from events.failpoints import failpoint
from events.order import OrderRole, OrderState
from events.position import PositionStatus
from events.wording import age_words
from positions.domain import families, position_events
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order import Order
from positions.domain.order_core import LINK_DOWN, OrderCore
from positions.domain.order_states import Trigger
from positions.domain.ports import BrokerError
from positions.domain.position import Position
from positions.domain.position_events import Before
from positions.domain.pricing import signed


class OrderEntries:
    """Submits entries, and cancels those that rested unfilled for too long."""

    def __init__(self, core: OrderCore) -> None:
        self.core = core

    async def submit(self, intent: OrderIntent) -> Order | Denied:
        """The entry order, also when this intent was submitted before."""
        core = self.core
        known = core.book.of_intent(intent.intent_id)
        if known:
            return known[0]
        try:
            contract = await core.contract(intent.symbol)
        except BrokerError:
            return LINK_DOWN
        denied = core.risk.check(intent, core.context(intent.symbol))
        if denied is not None or contract is None:
            return denied or Denied(code="unknown_symbol", message=f"The broker does not know {intent.symbol!r}.")
        intent = families.snapped(intent, contract)
        denied = core.risk.check(intent, core.context(intent.symbol))  # snapping may cross a limit by a tick
        if denied is not None:
            return denied
        failpoint("entry.judged")
        position = core.tracker.plan(
            intent.symbol,
            signed(intent.side, intent.quantity),
            stop_loss=intent.stop_loss,
            take_profit=intent.take_profit,
            strategy=intent.strategy,
            signal_id=intent.signal_id,
        )
        orders = families.entry_family(intent, position_id=position.position_id, prefix=core.ref_prefix, account=core.account, now=core.now)
        position.begin_opening(orders[0].order_id)
        await core.bus.emit(position_events.opened(position, cause=intent.cause))
        failpoint("entry.planned")
        denied = await core.send(orders, contract)
        if denied is not None:
            await self._abandon(position, denied)
            return denied
        await core.refresh_stop_state(position.position_id)
        return orders[0]

    async def judge(self, intent: OrderIntent, *, as_if_closed: Position) -> Denied | None:
        """Whether the entry could leave now, were that position closed already and its orders over. Sends nothing."""
        core = self.core
        contract = await core.known_contract(intent.symbol)
        if isinstance(contract, Denied):
            return contract
        context = core.context(intent.symbol, without=core.book.of_position(as_if_closed.position_id))
        others = [position for position in context.positions if position is not as_if_closed]
        return core.risk.check(families.snapped(intent, contract), replace(context, positions=others))

    async def scale_in(self, position: Position, intent: OrderIntent) -> Order | Denied:
        """Add to a position: an entry with its own child stop, so that the added shares are covered from the first one.

        Once the entry is over, the exit keeper lets the first stop take over for all shares.
        """
        core = self.core
        known = core.book.of_intent(intent.intent_id)
        if known:
            return known[0]
        if core.entry_of(position) is not None or position.status is not PositionStatus.OPEN or position.stop_loss is None:
            return Denied(
                code="not_now",
                message="A position is added to while it is open, has a stop, and no other entry of it works.",
                what_to_do="Wait for the order that is on its way.",
            )
        contract = await core.known_contract(intent.symbol)
        if isinstance(contract, Denied):
            return contract
        intent = families.snapped(intent, contract)
        denied = core.risk.check(intent, core.context(intent.symbol))
        if denied is not None:
            return denied
        orders = families.entry_family(intent, position_id=position.position_id, prefix=core.ref_prefix, account=core.account, now=core.now)
        denied = await core.send(orders, contract)
        if denied is not None:
            return denied
        await core.refresh_stop_state(position.position_id)
        return orders[0]

    async def resend(self, family: list[Order]) -> bool:
        """Send a family that provably never reached the broker again, under the same ids; False when it must not be.

        An entry with its children, or an exit: both carry their wish, and it is judged again.
        """
        core = self.core
        first = family[0]
        if first.role not in (OrderRole.ENTRY, OrderRole.EXIT) or any(order.state is not OrderState.IN_DOUBT for order in family):
            return False
        if not first.intent:
            return False
        intent = OrderIntent.from_dict(first.intent)
        if intent.expires_at is None:
            return False  # without a time to live nobody can say that the wish still holds
        try:
            contract = await core.contract(intent.symbol)
        except BrokerError:
            return False
        if contract is None or core.risk.check(intent, core.context(intent.symbol, without=family)) is not None:
            return False
        for order in family:
            await core.move(order, Trigger.RESEND, reason="proven absent at the broker; sent again under the same ids")
        return await core.send(family, contract) is None

    async def cancel_stale(self) -> None:
        """Cancel entries that outlived their time at the broker."""
        core = self.core
        for order in [o for o in core.book if o.role is OrderRole.ENTRY and o.is_acked and o.pending.value != "cancel"]:
            if order.life_seconds is None or order.sent_at is None or order.cancel_refused_lately(core.now()):
                continue
            if (core.now() - order.sent_at).total_seconds() >= order.life_seconds:
                await core.cancel(order, f"not filled within {age_words(order.life_seconds)}")

    async def _abandon(self, position: Position, denied: Denied) -> None:
        if position.is_active and not position.held:
            before = Before.of(position)
            position.abandon(str(denied))
            await self.core.tracker.announce(position, before, position.reason)
