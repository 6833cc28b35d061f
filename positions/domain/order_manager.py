"""The order manager: from a wish to orders at the broker, from the broker's reports to positions. Only the worker holds one.

- Nothing leaves before `await commit()` has made its row, with its ids, durable. Cancels alone leave regardless.
- What the broker says is queued and processed in the order heard (`drain`). Fills come only from executions.
- Silence makes an order IN_DOUBT; only `reconcile` resolves doubt, and only a proven absence is sent again, under the same ids.
- An exception that nobody expected leaves memory half changed: the manager does nothing more, and says so (`events/failstop.py`).
- A refusal is a `Denied` value. Everything else a call returns is an Order, whose state events tell the rest.

Closing. A market exit for the whole position joins the OCA group of the resting stop and target: the broker itself then
shrinks or cancels them as the exit fills, and cancels the exit if the stop fills first. The stop rests until the last share
is out, and the position cannot turn around. (Cancelling the exits first would leave it bare; two independent orders
would race.) What fills while the exit's row is written, or while it waits for its turn on the socket, is heard before it leaves:
it leaves with what is left, or not at all. A partial exit cannot join, because the group would shrink the rest with it: so stop
and target are made smaller first, and the exit leaves when the broker has confirmed that.

Call from tasks on one event loop, never from a bus handler: an emit from inside a handler is delivered later, so the
journal would not yet hold what `commit` promises.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from events.base import BaseEvent
from events.bus import EventBus
from events.clock import Clock
from events.failstop import Breakdown, MemoryUntrusted
from events.order import OrderEvent, OrderState
from events.position import PositionEvent
from events.system import HoldingEvent
from events.wording import quantity_text
from positions.domain.exit_keeper import Alarm
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order import Order
from positions.domain.order_core import OrderCore
from positions.domain.order_doubt import OrderDoubt
from positions.domain.order_entries import OrderEntries
from positions.domain.order_exits import OrderExits
from positions.domain.order_fitting import OrderFitting
from positions.domain.order_hearing import OrderHearing
from positions.domain.order_holdings import OrderHoldings
from positions.domain.order_mending import OrderMending
from positions.domain.order_reconcile import OrderReconcile
from positions.domain.order_states import NEVER_SENT, Trigger
from positions.domain.order_verdicts import OrderVerdicts
from positions.domain.ports import (
    Broker,
    BrokerError,
    BrokerSnapshot,
    CommissionReport,
    ErrorReport,
    ExecutionReport,
    OrderReport,
    OrderTicket,
    Overtaken,
    Tick,
)
from positions.domain.position import Position
from positions.domain.reconcile import ReconcileReport
from positions.domain.risk import RiskGate, TradingState
from positions.domain.tracker import PositionTracker

log = logging.getLogger(__name__)

SILENCE_SECONDS = 10.0  # a sent order without any answer for so long is in doubt
SHORT_QUERY_SECONDS = 2.0  # fills claimed but not seen for so long: ask
SHORT_DOUBT_SECONDS = 5.0  # … for so long: in doubt


class OrderManager:
    """Its public calls take one lock: one wish at a time, and what was heard before it is processed first."""

    def __init__(
        self,
        bus: EventBus,
        broker: Broker,
        tracker: PositionTracker,
        risk: RiskGate,
        *,
        commit: Callable[[], Awaitable[None]],
        clock: Clock,
        account: str,
        client_id: int,
        session_id: str,
        ref_prefix: str,
    ) -> None:
        self.core = OrderCore(
            bus,
            broker,
            tracker,
            risk,
            commit=commit,
            clock=clock,
            account=account,
            client_id=client_id,
            session_id=session_id,
            ref_prefix=ref_prefix,
        )
        self._hearing = OrderHearing(self.core)
        self._entries = OrderEntries(self.core)
        self._exits = OrderExits(self.core)
        self._verdicts = OrderVerdicts(self.core, self._hearing)
        self._reconcile = OrderReconcile(self.core, self._hearing, self._entries, self._exits, self._verdicts)
        self._holdings = OrderHoldings(self.core, self._hearing, self._exits, self._reconcile)
        self._doubt = OrderDoubt(self.core, self._hearing, self._reconcile)
        self._mending = OrderMending(self.core, self._hearing)
        self._fitting = OrderFitting(self.core, self._hearing)
        self.core.fit = self._fitting.fit
        self.core.elsewhere = lambda: self._hearing.elsewhere
        self._lock = asyncio.Lock()
        self._heard = asyncio.Event()
        self._followed = 0  # of the reports processed so far, how many the waiting closes have been told of
        self._untold: list[tuple[Order, OrderState, int]] = []  # what a restore changed, and its state and version before

    # ---- what there is --------------------------------------------------------------------------------------------------

    @property
    def orders(self) -> dict[str, Order]:
        """order_id → order, external ones too."""
        return self.core.book.orders

    @property
    def needs_reconcile(self) -> str:
        """Why the broker should be asked; "" when there is no reason. A reconcile clears it."""
        return self.core.needs_reconcile

    @property
    def verdict_due(self) -> bool:
        """A reading would tell now what the broker's error refused: it waits for no second one."""
        return self.core.verdict_due

    @property
    def holdings_elsewhere(self) -> dict[str, float]:
        """symbol → signed shares at the broker that are not ours."""
        return self._hearing.elsewhere

    @property
    def unexplained(self) -> dict[str, float]:
        """symbol → shares at the broker, by the last reading, that neither our book nor those holdings explain."""
        return self._reconcile.gaps

    @property
    def protection_alarms(self) -> dict[str, Alarm]:
        """position_id → why its stop could not be placed."""
        return self.core.keeper.alarms

    @property
    def broker_forgot_ids(self) -> bool:
        """By the last comparison the broker's next order id is not above one it has confirmed."""
        return self._reconcile.forgot_ids

    @property
    def unmeant(self) -> list[Position]:
        """Positions that executions beyond what was held have opened."""
        return self.core.tracker.unmeant()

    def set_protection_rule(self, when_refused: str) -> None:
        """What happens to a position whose stop is refused twice: "flatten" or "hold"."""
        self.core.when_refused = when_refused

    def set_trading_state(self, state: TradingState, reason: str = "") -> None:
        self.core.trading_state, self.core.trading_reason = state, reason

    def when_untrusted(self, stop: Callable[[Breakdown], None], *, set_aside: Collection[str] = ()) -> None:
        """`stop` hears, once, that memory may differ from the journal. Reports named in `set_aside` are skipped, and a failure
        of any other cause named there is contained as well as it can be."""
        self.core.on_untrusted = stop
        self.core.set_aside = frozenset(set_aside)

    def event_lost(self, event: BaseEvent, error: Exception) -> None:
        """The journal did not take an event of ours: rows and memory differ."""
        if isinstance(event, OrderEvent | PositionEvent | HoldingEvent):
            self.core.distrust(f"telling {event.event_type}", error)

    def set_reconciled(self, reconciled: bool) -> None:
        """False from the loss of a session until its next reconcile is through: entries are refused meanwhile."""
        self.core.reconciled = reconciled

    def link_lost(self) -> None:
        """Fills may be made that we do not hear of: entries wait for a comparison, exits for the first reading."""
        self.core.reconciled, self.core.behind = False, True

    @property
    def behind(self) -> bool:
        """The broker was not read since the link was lost."""
        return self.core.behind

    def watch(
        self,
        *,
        session_open: Callable[[], bool | None] | None = None,
        day_pnl: Callable[[], float | None] | None = None,
        surroundings: Callable[[], dict[str, Any]] | None = None,
        last_look: Callable[[Sequence[Order]], Awaitable[Denied | None]] | None = None,
    ) -> None:
        """Where the risk gate learns whether the market is open, today's P&L (account currency), and the rest of its context.

        `last_look` is asked about entries when their rows are durable, immediately before the socket; it may still refuse.
        """
        self.core.session_open = session_open or self.core.session_open
        self.core.day_pnl = day_pnl or self.core.day_pnl
        self.core.surroundings = surroundings or self.core.surroundings
        self.core.last_look = last_look or self.core.last_look

    # ---- wishes ---------------------------------------------------------------------------------------------------------

    async def submit(self, intent: OrderIntent) -> Order | Denied:
        """The entry order (sent, not yet answered), or why not. The same intent twice gives the same order."""
        async with self._section("submit"):
            return await self._entries.submit(intent)

    async def judge(self, intent: OrderIntent, *, as_if_closed: Position) -> Denied | None:
        """Why the entry would be refused, were that position closed already; sends nothing."""
        async with self._section("judge"):
            return await self._entries.judge(intent, as_if_closed=as_if_closed)

    async def cancel_order(self, order_id: str, reason: str = "") -> Order | Denied:
        async with self._section("cancel_order"):
            return await self._exits.cancel_order(order_id, reason)

    async def cancel_entries(self, reason: str = "") -> list[Order | Denied]:
        """Cancel every working entry, for a halt; stops, targets and exits stay."""
        async with self._section("cancel_entries"):
            return await self._exits.cancel_entries(reason)

    async def change_stop(self, position_id: str, price: float) -> Order | Denied:
        """Modify the stop resting at the broker; the position says "pending" until the broker confirms."""
        async with self._section("change_stop"):
            return await self._exits.change_stop(position_id, price)

    async def trail_stops(self, wanted: Mapping[str, float]) -> dict[str, Order | Denied]:
        """The same for rules, position_id → price, several at a time: only tighter, and after what is urgent."""
        async with self._section("trail_stops"):
            return await self._exits.trail_stops(wanted)

    async def change_target(self, position_id: str, price: float) -> Order | Denied:
        async with self._section("change_target"):
            return await self._exits.change_target(position_id, price)

    async def close_position(
        self, position_id: str, quantity: float | None = None, reason: str = "", *, intent_id: str = ""
    ) -> Order | Denied:
        """`quantity` in absolute shares, None for all of it. The same `intent_id` twice is one exit. See the head of the file."""
        async with self._section("close_position"):
            return await self._exits.close(position_id, quantity, reason, intent_id=intent_id)

    async def scale_in(self, position_id: str, intent: OrderIntent) -> Order | Denied:
        """Add to a held position, covered by a stop at the position's own price from the first added share."""
        async with self._section("scale_in"):
            position = self.core.tracker.find(position_id)
            if position is None or not position.held:
                return Denied(code="not_open", message="There is no such open position.", what_to_do="Reload the page.")
            return await self._entries.scale_in(position, intent)

    async def flatten_all(self, reason: str = "") -> list[Order | Denied]:
        """Cancel every entry and close every position; one result each."""
        async with self._section("flatten_all"):
            return await self._exits.flatten_all(reason)

    # ---- putting right what differs -------------------------------------------------------------------------------------

    async def adopt_holding(
        self, symbol: str, quantity: float, *, stop_loss: float, take_profit: float | None = None, reason: str, by: str
    ) -> Position | Denied:
        """Manage shares made elsewhere as a position of ours, protected by a stop. See `order_holdings.py`."""
        async with self._section("adopt_holding"):
            return await self._holdings.adopt(symbol, quantity, stop_loss=stop_loss, take_profit=take_profit, reason=reason, by=by)

    async def close_holding(self, symbol: str, quantity: float, *, reason: str, by: str) -> Order | Denied:
        """Close shares made elsewhere at the market."""
        async with self._section("close_holding"):
            return await self._holdings.close(symbol, quantity, reason=reason, by=by)

    async def release_position(self, position_id: str, quantity: float, *, reason: str, by: str) -> Position | Denied:
        """Stop managing a position without a trade."""
        async with self._section("release_position"):
            return await self._holdings.release(position_id, quantity, reason=reason, by=by)

    async def accept_difference(self, symbol: str, ours: float, theirs: float, *, reason: str, by: str) -> Denied | None:
        """Take the broker's number of shares as it is."""
        async with self._section("accept_difference"):
            return await self._holdings.accept(symbol, ours, theirs, reason=reason, by=by)

    async def resolve_doubt(self, order_id: str, verdict: str, *, reason: str, by: str) -> Order | Denied:
        """End an order in doubt by a person's word: "never_sent" or "over". See `order_doubt.py`."""
        async with self._section("resolve_doubt"):
            self._mind_the_clock()
            return await self._doubt.resolve(order_id, verdict, reason=reason, by=by)

    # ---- what the broker says -------------------------------------------------------------------------------------------

    def on_order(self, report: OrderReport) -> None:
        self._hear(report)

    def on_execution(self, report: ExecutionReport) -> None:
        self._hear(report)

    def on_commission(self, report: CommissionReport) -> None:
        self._hear(report)

    def on_error(self, report: ErrorReport) -> None:
        self._hear(report)

    def look_again(self, tickets: Sequence[OrderTicket]) -> None:
        """Immediately before the socket: raises Overtaken for exits of which more is known by now than when they were judged."""
        first = tickets[0].order_ref  # of an entry's family that is the entry
        if self._fitting.overtaken(first):
            raise Overtaken(f"an execution of what {first} closes was heard while it waited for its turn")

    def on_tick(self, tick: Tick) -> None:
        """Keep the quote that entries are judged against; marking positions is the tracker's work."""
        self.core.quotes[tick.symbol] = tick

    async def drain(self) -> int:
        """Process what was heard; returns how many reports that was."""
        self._heard.clear()
        async with self._section("drain") as heard:
            if self._followed != self._hearing.processed:  # some of it by another section, or by an exit's last look
                self._followed = self._hearing.processed
                await self._exits.advance()
            bare, self.core.bare = self.core.bare, False
        if bare:
            await self._keep("drain")
        return heard

    async def run(self) -> None:
        """Drain for ever; cancel the task to stop."""
        while True:
            await self._heard.wait()
            await self.drain()

    async def guard(self) -> None:
        """Between two ticks: put right the exits whose time has come."""
        await self._keep("guard")

    async def tick(self, now: datetime | None = None) -> None:
        """Once a second: silence becomes doubt, stale entries are cancelled, waiting closes advance, exits are kept right."""
        async with self._section("tick"):
            self._mind_the_clock()
            await self._grow_doubt(now or self.core.now())
            self._hearing.ask_for_fees(now or self.core.now())
            if self._verdicts.due(now or self.core.now()):
                self._verdicts.asked(now or self.core.now())
                self.core.verdict_due = True
                self.core.ask_reconcile("IB objected to an order")
            await self._entries.cancel_stale()
            await self._exits.advance()
        await self._keep("tick")

    # ---- starting and comparing -------------------------------------------------------------------------------------------

    def restore(
        self, orders: Iterable[dict[str, Any]], positions: Iterable[dict[str, Any]], elsewhere: dict[str, float] | None = None
    ) -> None:
        """Rebuild from rows of `to_dict`, at start, before anything is connected. `elsewhere` as `holdings_elsewhere`.

        What was on its way when we stopped is in doubt; what had not been sent never will be.
        """
        self.core.tracker.restore(positions)
        self._hearing.elsewhere = dict(elsewhere or {})
        for row in orders:
            order = Order.from_dict(row, now=self.core.now)
            was, version = order.state, order.version
            if order.state is OrderState.SENDING:
                order.move(Trigger.SILENCE)
            elif order.state is OrderState.PLANNED:
                order.move(Trigger.NEVER_SENT, code=NEVER_SENT, message="The worker stopped before it was sent.")
            self.core.book.add(order)
            if order.version != version:
                self._untold.append((order, was, version))
        self._exits.restore()
        self.link_lost()
        self._mending.due = True
        self.core.ask_reconcile("start")

    async def doubt_unanswered(self, why: str) -> None:
        """The socket that carried them is gone: no answer will come to what was being sent on it."""
        async with self._section("doubt_unanswered"):
            for order, was, version in self._untold:
                await self.core.tell_order(order, was, version, reason="the worker stopped before it was answered")
            self._untold.clear()
            for order in [o for o in self.core.book if o.state is OrderState.SENDING and not o.external]:
                await self.core.move(order, Trigger.SILENCE, reason=why)

    async def reconcile(self, first: BrokerSnapshot, second: BrokerSnapshot | None = None, *, light: bool = False) -> ReconcileReport:
        """Learn from one reading of the broker, or two at least ten seconds apart; running it again changes nothing.

        Call with one; when the report says `needs_second`, wait, read again and call with both. The bus hears of a `light` one
        only if it says something new.
        """
        async with self._section("reconcile"):
            self._mind_the_clock()
            await self._mending.run()
            report = await self._reconcile.run(first, second, light=light)
            await self._exits.advance()
            return report

    # ---- inside -----------------------------------------------------------------------------------------------------------

    async def _keep(self, name: str) -> None:
        """Exits put right in small sections: what a person asks for meanwhile does not wait for all of them, nor for the line."""
        left: list[str] | None = None
        while left is None or left:
            if left:
                await self.core.broker.line_free()
            async with self._section(name):
                left = await self._exits.keep(left)

    @asynccontextmanager
    async def _section(self, name: str) -> AsyncIterator[int]:
        """One change at a time, after everything heard before it; gives how many reports that was.

        What the broker link raises has changed nothing. Any other exception leaves memory half changed: fail-stop.
        """
        async with self._lock:
            self.core.need_trust()
            self.core.in_hand = None
            try:
                yield await self._hearing.drain()
            except BrokerError:
                raise
            except Exception as error:
                if self.core.distrust(name, error):
                    raise MemoryUntrusted(str(self.core.untrusted)) from error
                raise
            self.core.need_trust()

    def _hear(self, report: OrderReport | ExecutionReport | CommissionReport | ErrorReport) -> None:
        self._hearing.queue.append(report)
        self._heard.set()

    def _mind_the_clock(self) -> None:
        """Nothing of ours may be stamped later than now; see `Order.stamped_after`."""
        now = self.core.now()
        late = [order for order in self.core.book if order.is_live and order.stamped_after(now)]
        self.core.keeper.forget_after(now)
        self._exits.forget_after(now)
        if self._reconcile.forget_after(now) or late:
            log.warning("the clock was set back: %d orders were stamped later than now", len(late))
            self.core.ask_reconcile("the clock was set back")

    async def _grow_doubt(self, now: datetime) -> None:
        core = self.core
        for order in core.book.working():
            unanswered = order.state is OrderState.SENDING and order.sent_at is not None
            if unanswered and order.sent_at is not None and (now - order.sent_at).total_seconds() >= SILENCE_SECONDS:
                core.ask_reconcile("an order was not answered")
                await core.move(order, Trigger.SILENCE, reason=f"no answer for {quantity_text(SILENCE_SECONDS)} s")
            if order.short_since is None:
                continue
            short = (now - order.short_since).total_seconds()
            if short >= SHORT_QUERY_SECONDS:
                core.ask_reconcile("the broker reports fills that we have no executions of")
            if short >= SHORT_DOUBT_SECONDS and order.state is not OrderState.IN_DOUBT:
                await core.move(order, Trigger.SILENCE, reason="fills reported, executions missing")
