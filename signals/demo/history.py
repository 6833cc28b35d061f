"""Months of trading that never happened, made by the real parts: the demo world's own predictions, the order manager, the
tracker and the simulated brokerage, driven by a hand-turned clock. Pure: gives events and rows back, writes only the
brokerage's state folder. `history_rows.py` stores the rest.

Every day ends flat, so the account's cash is its starting cash plus what the positions realized, to the cent.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from events.accounts import SIMULATED_ACCOUNT
from events.base import BaseEvent
from events.bus import EventBus
from events.clock import ManualClock
from events.market import PriceEvent
from events.order import OrderSide
from events.position import PositionStatus
from events.system import EquityEvent
from positions.domain.bars import wilder_atr
from positions.domain.expected import SLIPPAGE_PCT
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order_manager import OrderManager
from positions.domain.ports import CommissionReport, ErrorReport, ExecutionReport, OrderReport, Tick
from positions.domain.position import Position
from positions.domain.risk import RiskGate
from positions.domain.tracker import PositionTracker
from positions.gateway.account import STARTING_CASH
from positions.gateway.brokerage import Brokerage
from positions.gateway.hours import Hours
from positions.gateway.market import Market
from signals.demo.in_process_broker import InProcessBroker, moment
from signals.demo.world import HORIZON, World
from signals.domain.plan import EntryMarket, PlanRules, plan_entry
from signals.domain.sizing import Caps, SizingMethod

STRATEGY = "demo-history"
DECIDED_BY = "demo"
THRESHOLD = 0.75
MOST_DOLLARS = 95_000.0
RULES = PlanRules(  # as the settings a new desk starts with
    slippage_pct=SLIPPAGE_PCT,
    offset_pct=0.15,
    atr_multiple=2.0,
    least_stop_pct=0.4,
    reward_risk=2.0,
    method=SizingMethod.RISK_DOLLARS,
    amount=500.0,
)
LAST_MINUTES = 5  # before the close everything is sold
GOOD_PASSED_OVER, BAD_PASSED_OVER = 0.10, 0.50
REASONS = ("spread too wide", "news due", "against the trend of the day", "already enough risk on", "do not like the entry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One trading day: epoch seconds of its open and close, and at which of them the account's worth is noted."""

    opens: int
    closes: int
    noted: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One prediction that became a signal, and what a person made of it. `state` is the signal's final state."""

    signal_id: str
    symbol: str
    direction: int
    prediction: dict[str, Any]
    model: str
    state: str
    action: str
    reason: str
    created_at: datetime
    decided_at: datetime | None
    decision: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class History:
    """What happened: events in order, decided signals, and the cash at the end."""

    events: list[BaseEvent] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    cash: float = STARTING_CASH
    realized: float = 0.0
    positions: int = 0


class Replay:
    """Turns the clock through the sessions. `watched`: symbol → may be sold short."""

    def __init__(self, *, seed: int, state_dir: Path, begins: float, client_id: int, watched: dict[str, bool]) -> None:
        market = Market(seed)
        self.history = History()
        self._seed = seed
        self._watched = watched
        self._client_id = client_id
        self._world = World(seed, market=market)
        self._clock = ManualClock(moment(begins))
        self._brokerage = Brokerage(market, Hours(), state_dir, begins)
        self._broker = InProcessBroker(self._brokerage, self._clock, client_id=client_id)
        self._bus = EventBus()
        self._tracker = PositionTracker(self._bus, now=self._clock.now, account=SIMULATED_ACCOUNT)
        self._manager = self._new_manager()
        self._realized_before = 0.0  # up to last midnight

    async def run(self, sessions: Sequence[Session], *, until: float) -> History:
        """Trade every session, then let the brokerage's days pass until `until`."""
        await self._bus.subscribe(BaseEvent, self._remember)
        await self._tracker.start()
        if sessions:
            await self._note(sessions[0].opens - 60)  # what it all began with
        for session in sessions:
            await self._trade(session)
        self._turn_to(until)
        self.history.cash = self._brokerage.account.cash
        self._brokerage.store.close()
        return self.history

    # ---- a day ------------------------------------------------------------------------------------------------------

    async def _trade(self, session: Session) -> None:
        self._manager = self._new_manager()  # flat overnight: nothing to carry over, and a short book is a fast one
        self._realized_before = self.history.realized
        wishes = self._predictions(session)
        for at in range(session.opens, session.closes + 1, 60):
            if self._tracker.active():
                await self._step(at, flatten=at >= session.closes - 60 * LAST_MINUTES)
            while wishes and wishes[0][0] <= at:
                await self._decide(*wishes.pop(0)[1:], at=at)
            if at in session.noted:
                await self._note(at)

    def _predictions(self, session: Session) -> list[tuple[int, str, dict[str, Any]]]:
        """(epoch second, symbol, prediction) of the day's signals that somebody looked at, in order of time."""
        random = Random(f"{self._seed}|day|{session.opens}")
        found: dict[tuple[int, str], dict[str, Any]] = {}
        for _ in range(random.randint(2, 6)):
            symbol = random.choice(sorted(self._watched))
            minute = random.randrange(session.opens // 60 + 5, session.closes // 60 - 60)
            for later in range(minute, minute + 20):
                prediction = self._world.prediction(symbol, later)
                if prediction["numeric"] and prediction["confidence"] >= THRESHOLD:
                    found[(later * 60 + 60, symbol)] = prediction
                    break
        return [(at, symbol, found[at, symbol]) for at, symbol in sorted(found)]

    async def _step(self, at: int, *, flatten: bool) -> None:
        """One minute of every held or working symbol."""
        self._turn_to(at)
        for symbol in sorted({position.symbol for position in self._tracker.active()}):
            await self._look(symbol)
        await self._manager.tick(self._clock.now())
        await self._pump()
        for position in self._tracker.active():
            await self._manage(position, flatten=flatten)

    async def _manage(self, position: Position, *, flatten: bool) -> None:
        """What a person does with an open position: stop to break-even at 1 R, out after the horizon or before the close."""
        if position.status is not PositionStatus.OPEN or position.open_time is None or position.entry_price is None:
            return
        age = (self._clock.now() - position.open_time).total_seconds()
        risk = position.risk_taken
        if flatten or age >= HORIZON:
            await self._manager.close_position(position.position_id, reason="end of day" if flatten else "time exit")
        elif risk and position.stop_loss == position.initial_stop and position.unrealized_pnl >= risk:
            await self._manager.change_stop(position.position_id, position.entry_price)
        await self._pump()
        await self._look(position.symbol)

    # ---- a decision -------------------------------------------------------------------------------------------------

    async def _decide(self, symbol: str, prediction: dict[str, Any], *, at: int) -> None:
        random = Random(f"{self._seed}|decision|{symbol}|{at}")
        direction = int(prediction["numeric"])
        self._turn_to(at + 6)
        created = self._clock.now()
        chance = random.random()
        state, reason, decision, decided_at = "approved", "", {}, None
        signal_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        if direction < 0 and not self._watched[symbol]:
            state, reason = "filtered", "short not allowed"
        elif self._tracker.of_symbol(symbol):
            state, reason, decided_at = "rejected", "already held", created + timedelta(seconds=9)
        elif chance < 0.5 * (passed := self._passed_over(symbol, direction)):
            state, reason = "expired", "nobody decided in time"
        elif chance < passed:
            state, reason, decided_at = "rejected", random.choice(REASONS), created + timedelta(seconds=random.uniform(8, 60))
        else:
            self._turn_to(at + 6 + random.uniform(6, 45))
            decided_at = self._clock.now()
            decision = await self._approve(signal_id, symbol, direction)
            state, reason = ("approved", "") if "refused" not in decision else ("rejected", str(decision.pop("refused")))
        self.history.decided.append(
            Decided(
                signal_id=signal_id,
                symbol=symbol,
                direction=direction,
                prediction=prediction,
                model=self._world.model_info(symbol)["model_path"],
                state=state,
                action="open_long" if direction > 0 else "open_short",
                reason=reason,
                created_at=created,
                decided_at=decided_at,
                decision=decision,
            )
        )

    def _passed_over(self, symbol: str, direction: int) -> float:
        """The chance that the person of this tale lets a signal go: less when it will come good, for a modest edge after costs."""
        good = direction * self._world.market.drift(symbol, self._clock.now().timestamp(), HORIZON) > 0
        return GOOD_PASSED_OVER if good else BAD_PASSED_OVER

    async def _approve(self, signal_id: str, symbol: str, direction: int) -> dict[str, Any]:
        """Propose as the signals page does, submit, and let the market answer. `refused` tells a refusal."""
        tick = await self._look(symbol)
        price = tick.ask if direction > 0 else tick.bid
        atr = wilder_atr(await self._broker.history(symbol, 30))
        if price is None or atr is None:
            return {"refused": "no quote"}
        side = OrderSide.BUY if direction > 0 else OrderSide.SELL
        market = EntryMarket(bid=tick.bid, ask=tick.ask, last=tick.last or price, atr=atr)
        plan = plan_entry(side, market, RULES, equity=None, caps=Caps(max_notional=MOST_DOLLARS))
        if plan.quantity is None:
            return {"refused": plan.reason}
        intent = OrderIntent(
            intent_id=str(uuid.uuid5(uuid.NAMESPACE_OID, signal_id)),
            symbol=symbol,
            side=side,
            quantity=plan.quantity,
            limit_price=plan.limit,
            stop_loss=plan.stop,
            take_profit=plan.target,
            expected_price=plan.expected,
            signal_id=signal_id,
            strategy=STRATEGY,
            reference_price=tick.last,
            entry_life_seconds=120.0,
        )
        answer = await self._manager.submit(intent)
        if isinstance(answer, Denied):
            return {"refused": str(answer)[:300]}
        await self._pump()
        self._clock_on(1)
        await self._look(symbol)
        ticket = {"quantity": plan.quantity, "limit_price": plan.limit, "stop_loss": plan.stop, "take_profit": plan.target}
        return ticket | {"expected_price": plan.expected, "edited": []}

    # ---- the machinery ----------------------------------------------------------------------------------------------

    def _new_manager(self) -> OrderManager:
        return OrderManager(
            self._bus,
            self._broker,
            self._tracker,
            RiskGate(),
            commit=_at_once,
            clock=self._clock,
            account=SIMULATED_ACCOUNT,
            client_id=self._client_id,
            session_id=STRATEGY,
            ref_prefix="",
        )

    def _turn_to(self, at: float) -> None:
        """Both clocks forward; never back."""
        ahead = at - self._clock.now().timestamp()
        if ahead > 0:
            self._clock_on(ahead)

    def _clock_on(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self._broker.advance(self._clock.now())

    async def _look(self, symbol: str) -> Tick:
        """Show everybody the symbol's quote of this moment."""
        tick = self._broker.look(symbol)
        self._manager.on_tick(tick)
        event = PriceEvent(
            symbol=symbol, price=tick.last, bid=tick.bid, ask=tick.ask, volume=tick.volume, price_time=tick.time, timestamp=tick.time
        )
        await self._bus.emit(event)
        await self._pump()
        return tick

    async def _pump(self) -> None:
        """Hand over what the broker said until it has nothing more to say."""
        while self._broker.heard:
            heard, self._broker.heard = self._broker.heard, []
            for report in heard:
                match report:
                    case OrderReport():
                        self._manager.on_order(report)
                    case ExecutionReport():
                        self._manager.on_execution(report)
                    case CommissionReport():
                        self._manager.on_commission(report)
                    case ErrorReport():
                        self._manager.on_error(report)
            await self._manager.drain()

    async def _note(self, at: int) -> None:
        """The account's worth as an event. Equity is built from our own ledger; the test holds it against the brokerage's cash."""
        self._turn_to(at)
        active = self._tracker.active()
        realized = await self._realized()
        unrealized = sum(position.unrealized_pnl for position in active)
        await self._bus.emit(
            EquityEvent(
                account=SIMULATED_ACCOUNT,
                equity=round(STARTING_CASH + realized + unrealized, 4),
                cash=round(self._brokerage.account.cash, 4),
                unrealized_pnl=round(unrealized, 4),
                realized_pnl=round(realized, 4),
                day_pnl=round(realized - self._realized_before + unrealized, 4),
                open_risk=round(sum(position.open_risk for position in active), 4),
            )
        )

    async def _realized(self) -> float:
        """Net of commissions, of all positions so far."""
        closed = await self._tracker.get_closed_positions()
        self.history.positions = len(closed)
        self.history.realized = sum(position.realized_pnl for position in [*closed, *self._tracker.active()])
        return self.history.realized

    def _remember(self, event: BaseEvent) -> None:
        """Keep what the journal would, at the time of the turned clock."""
        if event.journaled:
            fields = {name: getattr(event, name) for name in event.field_names()}
            self.history.events.append(type(event)(**fields | {"timestamp": self._clock.now()}))


async def _at_once() -> None:
    """The write-ahead point: everything here becomes durable in one commit at the end, or never happened."""
