"""New stops and targets for shares that are held without them, never for more than the broker has."""

from __future__ import annotations

import math

from events.failpoints import failpoint
from events.order import OrderRole, OrderSide
from positions.domain import families
from positions.domain.exit_keeper import Work
from positions.domain.intent import Denied, IntentKind, OrderIntent
from positions.domain.order import Order
from positions.domain.order_core import OrderCore
from positions.domain.ports import Contract
from positions.domain.position import Position
from positions.domain.references import new_ulid


class OrderProtecting:
    """Runs under the manager's lock. Knows what the broker's last reading did not show of our shares."""

    def __init__(self, core: OrderCore) -> None:
        self.core = core
        self.gaps: dict[str, float] = {}  # symbol → shares at the broker that nothing explains, by the last reading; may be negative
        self.held_then: dict[str, float] = {}  # symbol → what our positions held when it was compared
        self.shown: dict[str, Contract] = {}  # symbol → the stock as the broker's last list of positions names it

    async def protect(self, position: Position) -> Order | Denied:
        """Stop and target, at the prices the position names, for everything it holds."""
        denied = await self.need_contract(position.symbol)
        if denied is not None:
            return denied
        self.core.keeper.placed(position, self.core.now())
        return await self.place(position, abs(position.held), stop_loss=position.stop_loss, take_profit=position.take_profit)

    async def again(self, position: Position, work: Work) -> None:
        """A new stop, for no more than the broker holds: one for shares that are gone there would open the other side."""
        quantity = work.quantity - self.gone(position)
        contract = await self._known(position) if quantity > 1e-9 else None
        if contract is not None:
            target = self.live_one(position.position_id, OrderRole.TARGET)
            self.core.keeper.placed(position, self.core.now())
            await self.place(
                position,
                quantity,
                stop_loss=position.stop_loss,
                take_profit=None if target else position.take_profit,
                group=work.group or (target.oca_group if target else ""),
                contract=contract,
            )

    async def _known(self, position: Position) -> Contract | None:
        """The stock, by what is known already: after a start, one question for each would cost half of the line's messages.

        A list of positions tells no increments, and a stop level that was set before needs none; but below a dollar they are finer.
        """
        shown = self.shown.get(position.symbol)
        if position.symbol not in self.core.contracts and shown is not None and (position.stop_loss or 0.0) >= 1.0:
            return shown
        return self.core.contracts[position.symbol] if await self.need_contract(position.symbol) is None else None

    async def place(
        self,
        position: Position,
        quantity: float,
        *,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        group: str = "",
        contract: Contract | None = None,
    ) -> Order | Denied:
        """New resting exits for shares held without them."""
        core = self.core
        contract = contract or core.contracts[position.symbol]
        failpoint("protect.begin")
        intent = OrderIntent(
            intent_id=new_ulid(core.now()),
            symbol=position.symbol,
            side=OrderSide.BUY if position.held > 0 else OrderSide.SELL,
            quantity=quantity,
            stop_loss=stop_loss,
            take_profit=take_profit,
            signal_id=position.signal_id,
            kind=IntentKind.OCA,
        )
        intent = families.snapped(intent, contract)
        orders = families.exit_pair(
            intent, position_id=position.position_id, prefix=core.ref_prefix, account=core.account, now=core.now, group=group
        )
        denied = await core.send(orders, contract)
        await core.refresh_stop_state(position.position_id)
        return denied or orders[0]

    def gone(self, position: Position) -> float:
        """Shares of ours (>= 0) that the broker does not hold by its last reading, and nothing heard since then explains."""
        gap = self.gaps.get(position.symbol, 0.0)
        moved = sum(p.held for p in self.core.tracker.of_symbol(position.symbol)) - self.held_then.get(position.symbol, 0.0)
        if gap * moved > 0:
            gap -= math.copysign(min(abs(gap), abs(moved)), gap)
        return min(abs(position.held), max(0.0, -gap if position.held > 0 else gap))

    def live_one(self, position_id: str, role: OrderRole) -> Order | None:
        live = self.core.book.live(position_id, role)
        return live[-1] if live else None

    async def need_contract(self, symbol: str) -> Denied | None:
        """Learn the symbol's contract; the Denied says why there is none."""
        found = await self.core.known_contract(symbol)
        return found if isinstance(found, Denied) else None
