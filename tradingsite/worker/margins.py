"""What orders would do to margin, asked of IB before a person decides and again before anything leaves.

Each pending signal gets one answer ahead of the decision, renewed when it no longer holds; an approval takes that answer
along, and asks anew if price, size, position, day or limits have moved since. A question costs one message and one order id,
so there are at most two a second, and none ahead of time while it is in doubt whether IB has an order of ours: a used-up
id would spoil the proof of its absence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from events.clock import utc_now
from events.exchange_time import exchange_date
from events.order import OrderSide, OrderState, OrderType
from positions.broker.ib import IbBroker
from positions.domain.intent import OrderIntent
from positions.domain.margin import Margin, Moved, what_moved
from positions.domain.order_manager import OrderManager
from positions.domain.ports import BrokerError, OrderTicket, UnknownContract
from positions.domain.tracker import PositionTracker
from positions.models import MarginAnswer
from signals.objections import CLOSES
from signals.proposal import pending_tickets
from tradingsite.worker.database import Database
from tradingsite.worker.equity import Equity
from tradingsite.worker.session import Session

log = logging.getLogger(__name__)

PER_ROUND = 2
ASKED_AHEAD = 60  # signals; of hundreds that wait, those a page shows first. The others are asked about when they are approved
RENEW_AFTER = 0.5  # of the longest age: the answer on the card is never about to lapse
REMEMBERED = timedelta(days=2)
DOUBTFUL = (OrderState.SENDING, OrderState.IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The entry that is asked about."""

    symbol: str
    side: OrderSide
    quantity: float
    limit_price: float | None


class Margins:
    """`limits` gives (version of the limits, longest age of an answer in seconds)."""

    def __init__(
        self,
        *,
        broker: IbBroker,
        manager: OrderManager,
        tracker: PositionTracker,
        session: Session,
        equity: Equity,
        database: Database,
        limits: Callable[[], tuple[str, float]],
    ) -> None:
        self._broker = broker
        self._manager = manager
        self._tracker = tracker
        self._session = session
        self._equity = equity
        self._database = database
        self._limits = limits

    async def refresh(self) -> None:
        """Ask for the pending signals that have no answer, or one that no longer holds."""
        if not self._session.ready or any(order.state in DOUBTFUL for order in self._manager.orders.values()):
            return
        wanted = await self._database.run(_wanted)
        asked = 0
        for signal_id, shape, known in wanted:
            if asked >= PER_ROUND or (known is not None and not self._moved(known, shape, share=RENEW_AFTER)):
                continue
            asked += 1
            await self._answer(signal_id, shape)

    async def bound_to(self, intent: OrderIntent) -> OrderIntent:
        """The intent with an answer that holds now: the one on the card, or a fresh one. Without an answer the gate decides."""
        shape = Shape(symbol=intent.symbol, side=intent.side, quantity=intent.quantity, limit_price=intent.limit_price)
        known = await self._database.run(_stored, intent.signal_id)
        if known is None or self._moved(known, shape):
            known = await self._answer(intent.signal_id, shape)
        return intent if known is None else replace(intent, margin=known.to_dict())

    def _moved(self, margin: Margin, shape: Shape, *, share: float = 1.0) -> Moved | None:
        version, longest = self._limits()
        return what_moved(
            margin,
            symbol=shape.symbol,
            side=shape.side,
            quantity=shape.quantity,
            limit_price=shape.limit_price,
            held=self._held(shape.symbol),
            now=utc_now(),
            max_age=longest * share,
            limits_version=version,
            day=_day(utc_now()),
        )

    async def _answer(self, signal_id: str, shape: Shape) -> Margin | None:
        """Ask, and keep what came of it."""
        margin, error = None, ""
        try:
            margin = await self._ask(shape)
            error = "" if margin is not None else "The broker did not answer what margin this order takes."
        except UnknownContract as unknown:
            error = f"{unknown}."
        except BrokerError as trouble:
            error = f"The broker could not be asked about margin: {trouble}."
        if error:
            log.warning("%s %g %s: %s", shape.side.value, shape.quantity, shape.symbol, error)
        if signal_id:
            await self._database.run(_keep, signal_id, margin, error)
        return margin

    async def _ask(self, shape: Shape) -> Margin | None:
        ticket = OrderTicket(
            order_ref="WHATIF",  # echoed nowhere: the question places nothing
            ib_order_id=1,  # the broker takes a fresh one for the question
            contract=await self._broker.qualify(shape.symbol),
            side=shape.side,
            order_type=OrderType.LIMIT if shape.limit_price is not None else OrderType.MARKET,
            quantity=shape.quantity,
            limit_price=shape.limit_price,
            account=self._broker.account,
        )
        effect = await self._broker.what_if(ticket)
        if effect is None:
            return None
        now = utc_now()
        return Margin(
            symbol=shape.symbol,
            side=shape.side.value,
            quantity=shape.quantity,
            limit_price=shape.limit_price,
            held=self._held(shape.symbol),
            initial_change=effect.initial_change,
            maintenance_change=effect.maintenance_change,
            commission=effect.commission,
            equity_after=effect.equity_after,
            excess_liquidity=self._equity.values.get("ExcessLiquidity", self._equity.values.get("FullExcessLiquidity")),
            limits_version=self._limits()[0],
            day=_day(now),
            asked_at=now,
        )

    def _held(self, symbol: str) -> float:
        return float(sum(position.held for position in self._tracker.of_symbol(symbol) if position.is_active))


def _wanted() -> list[tuple[str, Shape, Margin | None]]:
    """(signal, the entry its card proposes, its answer so far) of the pending signals that expire first and would open something."""
    proposals = [p for p in pending_tickets(ASKED_AHEAD) if p.ticket is not None and p.signal.action not in CLOSES]
    answers = {a.signal_id: a for a in MarginAnswer.objects.filter(signal_id__in=[p.signal.signal_id for p in proposals])}
    wanted = []
    for proposal in proposals:
        ticket, signal = proposal.ticket, proposal.signal
        if ticket is not None:
            side = OrderSide.BUY if signal.direction > 0 else OrderSide.SELL
            shape = Shape(symbol=signal.symbol, side=side, quantity=ticket.quantity, limit_price=ticket.entry)
            wanted.append((signal.signal_id, shape, _margin(answers.get(signal.signal_id))))
    return wanted


def _stored(signal_id: str) -> Margin | None:
    return _margin(MarginAnswer.objects.filter(pk=signal_id).first())


def _margin(answer: MarginAnswer | None) -> Margin | None:
    return Margin.from_dict(answer.data) if answer is not None and answer.data else None


def _keep(signal_id: str, margin: Margin | None, error: str) -> None:
    now = utc_now()
    data = margin.to_dict() if margin is not None else {}
    MarginAnswer.objects.update_or_create(pk=signal_id, defaults={"asked_at": now, "data": data, "error": error[:300]})
    MarginAnswer.objects.filter(asked_at__lt=now - REMEMBERED).delete()


def _day(now: datetime) -> str:
    return exchange_date(now).isoformat()
