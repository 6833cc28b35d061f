"""What all parts of the order manager share: the book, the ways to tell the bus, and the only three ways to the broker.

`send` is the write-ahead point: the orders get ids, their rows become durable, and only then the socket is written.
Nobody outside the order manager's own parts uses this.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from events.base import BaseEvent
from events.bus import EventBus
from events.clock import Clock
from events.failpoints import failpoint
from events.failstop import Breakdown, MemoryUntrusted, current_cause
from events.order import OrderRole, OrderState
from events.position import PositionStatus
from events.system import HandlerFailedEvent
from positions.domain import families, order_events
from positions.domain.exit_keeper import ExitKeeper, stop_state
from positions.domain.intent import EXPIRED, Denied, OrderIntent
from positions.domain.order import Order
from positions.domain.order_book import OrderBook
from positions.domain.order_states import Trigger
from positions.domain.ports import (
    Broker,
    BrokerError,
    Contract,
    LinkDown,
    LinkState,
    NothingWritten,
    Overtaken,
    PartlyWritten,
    SendRefused,
    Tick,
    UnknownContract,
)
from positions.domain.position import Position
from positions.domain.position_events import Before
from positions.domain.protection import is_bare
from positions.domain.risk import RiskContext, RiskGate, TradingState, trading_refusal
from positions.domain.tracker import PositionTracker

log = logging.getLogger(__name__)

NOT_DURABLE = Denied(
    code="not_durable", message="The change could not be written down, so it was not sent.", what_to_do="Check the database."
)
LINK_DOWN = Denied(code="link_down", message="There is no connection to the broker.", what_to_do="Wait until the gateway is connected.")


Change = tuple[Position, Before, str]  # what happened to a position and was not announced yet: what it was before, and why


class OrderCore:
    """The shared state. Everything here runs under the manager's lock."""

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
        self.bus = bus
        self.broker = broker
        self.tracker = tracker
        self.risk = risk
        self.commit = commit
        self.clock = clock
        self.account = account
        self.client_id = client_id
        self.session_id = session_id
        self.ref_prefix = ref_prefix
        self.book = OrderBook()
        self.keeper = ExitKeeper()
        self.when_refused = "hold"  # the rule for a position whose stop is refused: flatten or hold
        self.bare = False  # a position has just lost or outgrown its stop: look at once
        self.quotes: dict[str, Tick] = {}  # symbol → the last quote heard
        self.contracts: dict[str, Contract] = {}  # symbol → its contract, asked for once
        self.trading_state = TradingState.ACTIVE
        self.trading_reason = ""
        self.behind = False  # from the loss of a link until the first reading after it: the broker may have done more than we have heard
        self.reconciled = True  # the worker sets False until the first reconcile of a session is through
        self.session_open: Callable[[], bool | None] = lambda: None
        self.day_pnl: Callable[[], float | None] = lambda: None
        self.elsewhere: Callable[[], Mapping[str, float]] = dict  # symbol → signed shares at the broker that are not ours
        self.surroundings: Callable[[], dict[str, Any]] = dict  # more of the RiskContext's fields: locks, session end, day
        # Between the commit and the socket: `last_look` may refuse entries, `fit` makes exits as small as what is left.
        self.last_look: Callable[[Sequence[Order]], Awaitable[Denied | None]] = _nothing_new
        self.fit: Callable[[Sequence[Order]], Awaitable[Denied | None]] = _nothing_new
        self.verdict_due = False  # a fresh reading says what an error of the broker's refused; cleared as `needs_reconcile` is
        self.needs_reconcile = ""  # why the broker should be asked; the worker clears it by reconciling
        self.in_hand: tuple[str, object] | None = None  # (cause, report) being heard
        self.set_aside: Collection[str] = frozenset()  # causes that ended the worker too often: reports are skipped, others contained
        self.untrusted: Breakdown | None = None  # memory may differ from the journal: nothing is sent or told any more
        self.on_untrusted: Callable[[Breakdown], None] = lambda breakdown: None

    def now(self) -> datetime:
        return self.clock.now()

    @property
    def link_up(self) -> bool:
        return self.broker.link is LinkState.CONNECTED

    @property
    def may_send(self) -> bool:
        """New orders: what closes shares must know of the fills that were made while the link was away."""
        return self.link_up and not self.behind

    def ask_reconcile(self, why: str) -> None:
        if why and not self.needs_reconcile:
            log.info("a reconcile is due: %s", why)
        self.needs_reconcile = self.needs_reconcile or why

    # ---- trust ------------------------------------------------------------------------------------------------------

    def need_trust(self) -> None:
        """Raises MemoryUntrusted once memory may differ from the journal."""
        if self.untrusted is not None:
            raise MemoryUntrusted(str(self.untrusted))

    def distrust(self, section: str, error: BaseException) -> bool:
        """`section` was interrupted half-way. False when its cause was set aside before: then the failure is only contained."""
        cause, report = self.in_hand or (current_cause() or f"section {section}", None)
        self.in_hand = None
        if cause in self.set_aside:
            log.error("%s failed on %s, which was set aside", section, cause, exc_info=error)
            self.ask_reconcile(f"{section} failed")
            self.bus.post(HandlerFailedEvent(handler=f"orders: {section}", error=f"{type(error).__name__}: {error}"[:500], core=True))
            return False
        if self.untrusted is None:
            content = "" if report is None else repr(report)
            self.untrusted = Breakdown(section=section, cause=cause, error=f"{type(error).__name__}: {error}"[:500], content=content)
            log.critical("memory is not trusted any more: %s", self.untrusted, exc_info=error)
            self.on_untrusted(self.untrusted)
        return True

    async def contract(self, symbol: str) -> Contract | None:
        """None when the broker does not know the symbol; LinkDown when it cannot be asked."""
        if symbol not in self.contracts:
            try:
                self.contracts[symbol] = await self.broker.qualify(symbol)
            except UnknownContract:
                return None
        return self.contracts[symbol]

    async def known_contract(self, symbol: str) -> Contract | Denied:
        """The symbol's contract, or why there is none."""
        try:
            contract = await self.contract(symbol)
        except BrokerError:
            return LINK_DOWN
        if contract is not None:
            return contract
        return Denied(code="unknown_symbol", message=f"The broker does not know {symbol!r}.", what_to_do="Check the symbol.")

    def context(self, symbol: str, *, without: Sequence[Order] = ()) -> RiskContext:
        """The moment an intent in `symbol` is judged in; `without` leaves orders out of the picture."""
        left_out = {order.order_id for order in without}
        return RiskContext(
            now=self.now(),
            contract=self.contracts.get(symbol),
            quote=self.quotes.get(symbol),
            positions=self.tracker.active(),
            orders=[order for order in self.book if order.order_id not in left_out],
            elsewhere=self.elsewhere(),
            trading_state=self.trading_state,
            trading_reason=self.trading_reason,
            link_up=self.may_send,
            reconciled=self.reconciled,
            session_open=self.session_open(),
            day_pnl=self.day_pnl(),
            account=self.account,
            broker_account=self.broker.account,
            **self.surroundings(),
        )

    # ---- telling the bus --------------------------------------------------------------------------------------------

    async def tell(self, events: Sequence[BaseEvent]) -> None:
        for event in events:
            await self.bus.emit(event)

    async def tell_order(
        self, order: Order, previous: OrderState, version: int, *, reason: str = "", metadata: dict[str, Any] | None = None
    ) -> None:
        """Tell of the order's new state, if it has one."""
        if order.version != version:
            await self.bus.emit(order_events.changed(order, previous, reason=reason, metadata=metadata))

    async def move(self, order: Order, trigger: Trigger, *, reason: str = "", code: str = "", message: str = "") -> None:
        previous, version = order.state, order.version
        order.move(trigger, code=code, message=message)
        await self.tell_order(order, previous, version, reason=reason)

    # ---- the three ways to the broker ---------------------------------------------------------------------------------

    async def send(self, orders: Sequence[Order], contract: Contract) -> Denied | None:
        """New orders: claim, commit, write. A Denied means that provably nothing was written."""
        failpoint("order.reserve")
        fresh = [order for order in orders if not order.ib_order_id]
        if fresh:
            try:
                ids = self.broker.reserve_ids(len(fresh), above=self.book.highest_id(self.client_id))
            except LinkDown:
                return LINK_DOWN
            for order, ib_id in zip(fresh, ids, strict=True):
                order.ib_order_id, order.client_id = ib_id, self.client_id
        await self._claim(orders)
        failpoint("order.claimed")
        try:
            await self.commit()
        except Exception as error:  # whatever the journal's trouble is, nothing has left and nothing may
            log.exception("orders not sent: their rows are not durable")
            await self._never_sent(orders, "journal", f"not durable: {error}")
            return Denied(
                code="not_durable", message="The order could not be written down, so it was not sent.", what_to_do="Check the database."
            )
        failpoint("order.committed")
        self.need_trust()
        if not self.may_send:
            await self._never_sent(orders, "link_down", LINK_DOWN.message)
            return LINK_DOWN
        refusal = await self._write(orders, contract)
        if refusal is None:
            failpoint("order.sent")
        return refusal

    async def _write(self, orders: Sequence[Order], contract: Contract) -> Denied | None:
        """To the socket, unless what has changed since the rows were written speaks against it."""
        while True:
            refusal = await self._may_still_leave(orders)
            if refusal is not None:
                await self._never_sent(orders, refusal.code, refusal.message)
                return refusal
            try:
                await self.broker.send(families.tickets(orders, contract))
            except Overtaken as error:  # ends with the position's shares: each time some of them were executed
                log.info("%s is looked at again: %s", orders[0], error)
                continue
            except NothingWritten as error:
                denied = _not_sent(error)
                await self._never_sent(orders, denied.code, str(error))
                return denied
            except Exception as error:  # only a reconcile can tell
                log.exception("sending was interrupted")
                await self._interrupted(orders, error)
            return None

    async def _may_still_leave(self, orders: Sequence[Order]) -> Denied | None:
        """Time has passed, the state, what is held and whatever `last_look` asks may have changed, while the rows were being written."""
        first = orders[0]
        if first.role is not OrderRole.ENTRY:
            return await self.fit(orders)
        if first.intent and expired(OrderIntent.from_dict(first.intent), self.now()):
            return EXPIRED
        refusal = await self.last_look(orders)
        return refusal or trading_refusal(self.trading_state, self.trading_reason)

    async def modify(self, order: Order, reason: str, **desired: float) -> Denied | None:
        """Change quantity, limit_price or stop_price of a live order; the row says pending until the broker confirms."""
        return (await self.modify_all([(order, desired)], reason))[0]

    async def modify_all(
        self, changes: Sequence[tuple[Order, Mapping[str, float]]], reason: str, *, routine: bool = False
    ) -> list[Denied | None]:
        """Several at a time: one commit makes all of them durable, and only then does the first one leave."""
        if not changes:
            return []
        contracts = [self.contracts.get(order.symbol) or await self.contract(order.symbol) for order, _ in changes]
        if None in contracts or not self.link_up:
            return [LINK_DOWN] * len(changes)
        for order, desired in changes:
            previous, version = order.state, order.version
            order.ask_replace(**desired)
            await self.tell_order(order, previous, version, reason=reason)
            await self.refresh_stop_state(order.position_id, told_later=routine)
        try:
            await self.commit()
        except Exception as error:  # whatever the journal's trouble is, no change has left
            log.exception("a modify was not sent: its row is not durable")
            for order, _ in changes:
                await self._take_back(order, str(error))
            return [NOT_DURABLE] * len(changes)
        failpoint("modify.committed")
        self.need_trust()
        return [await self._write_change(order, routine=routine) for order, _ in changes]

    async def _write_change(self, order: Order, *, routine: bool) -> Denied | None:
        try:
            ticket = families.ticket(order, self.contracts[order.symbol], parent=self.book.orders.get(order.parent_id))
            await self.broker.modify(ticket, routine=routine)
        except NothingWritten as error:
            await self._take_back(order, str(error))
            return _not_sent(error)
        failpoint("modify.sent")
        return None

    async def cancel(self, order: Order, reason: str) -> Denied | None:
        """Ask for the end of a live order. Leaves even when the journal is broken: getting out must always work."""
        if not self.link_up:
            return LINK_DOWN
        previous, version = order.state, order.version
        order.ask_cancel(reason)
        await self.tell_order(order, previous, version, reason=reason)
        try:
            await self.commit()
        except Exception:
            log.exception("cancelling although the journal is broken")
        failpoint("cancel.committed")
        self.need_trust()
        try:
            await self.broker.cancel(order.ib_order_id)
        except BrokerError as error:
            await self._take_back(order, str(error))
            return LINK_DOWN
        failpoint("cancel.sent")
        return None

    # ---- positions ----------------------------------------------------------------------------------------------------

    async def refresh_stop_state(self, position_id: str, followed: Change | None = None, *, told_later: bool = False) -> None:
        """Let the position's row say what its stop order is doing, in one event with the levels that it has `followed`; or in
        the next one, when the caller makes that at once."""
        position = self.tracker.find(position_id)
        if position is None or position.status is PositionStatus.CLOSED:
            return
        before = Before.of(position)
        orders = self.book.of_position(position_id)
        state = stop_state(position, orders)
        clocked = position.observe_protection(bare=is_bare(position, orders))
        self.bare = self.bare or clocked
        changed = position.set_stop_state(state) or clocked
        if followed is not None:
            await self.tracker.announce(*followed)
        elif changed and not (told_later and not clocked):
            await self.tracker.announce(position, before, f"stop {state}")

    def entry_of(self, position: Position) -> Order | None:
        """The position's live entry."""
        return next(iter(self.book.live(position.position_id, OrderRole.ENTRY)), None)

    # ---- inside -------------------------------------------------------------------------------------------------------

    async def _claim(self, orders: Sequence[Order]) -> None:
        for order in orders:
            known = order.order_id in self.book
            order.session_id, order.sent_at, order.unused_at = self.session_id, self.now(), None
            order.move(Trigger.CLAIM)
            if known:
                self.book.index(order)
                await self.bus.emit(order_events.changed(order, OrderState.PLANNED, reason="sending"))
            else:
                self.book.add(order)
                await self.bus.emit(order_events.made(order))
        if len(orders) > 1:
            kind = "bracket" if orders[0].role is OrderRole.ENTRY else "oca"
            await self.bus.emit(order_events.grouped(list(orders), kind, orders[-1].oca_group))

    async def _interrupted(self, orders: Sequence[Order], error: Exception) -> None:
        """In doubt; but what was not written has used no id, whatever leaves with a higher one before the broker's lists are read."""
        unwritten = error.unwritten if isinstance(error, PartlyWritten) else ()
        for order in orders:
            order.unused_at = self.now() if order.ib_order_id in unwritten else None
            await self.move(order, Trigger.SILENCE, reason=f"sending was interrupted: {error}")
        self.ask_reconcile("sending was interrupted")

    async def _never_sent(self, orders: Sequence[Order], code: str, message: str) -> None:
        for order in orders:
            await self.move(order, Trigger.NEVER_SENT, reason="never sent", code=code, message=message)

    async def _take_back(self, order: Order, why: str) -> None:
        previous, version = order.state, order.version
        order.clear_pending()
        await self.tell_order(order, previous, version, reason=f"not sent: {why}")
        await self.refresh_stop_state(order.position_id)


def _not_sent(error: NothingWritten) -> Denied:
    """What a person is told of an order or a change that provably never left."""
    if isinstance(error, LinkDown):
        return LINK_DOWN
    if isinstance(error, SendRefused):
        return Denied(code=error.code, message=str(error), what_to_do="An admin has to resume trading first.")
    log.error("not sent: %s", error, exc_info=error)
    return Denied(code="not_sent", message=f"Nothing was sent: {error}", what_to_do="Try again. Tell an admin when it stays so.")


async def _nothing_new(orders: Sequence[Order]) -> Denied | None:
    return None


def expired(intent: OrderIntent, now: datetime) -> bool:
    return intent.expires_at is not None and now >= intent.expires_at
