"""The order manager's comparison with the broker: learn what happened, settle doubt where it is proven, show the rest."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from events.failpoints import failpoint
from events.order import OrderRole, OrderState, PendingRequest
from events.system import ReconcileEvent
from events.wording import quantity_text
from positions.domain.order import Order
from positions.domain.order_book import OrderBook
from positions.domain.order_core import OrderCore
from positions.domain.order_entries import OrderEntries
from positions.domain.order_exits import OrderExits
from positions.domain.order_hearing import OrderHearing
from positions.domain.order_states import NEVER_SENT, Trigger
from positions.domain.order_verdicts import OVER, OrderVerdicts
from positions.domain.ports import BrokerError, BrokerSnapshot, Contract
from positions.domain.reconcile import (
    ReconcileReport,
    consumed,
    far_enough_apart,
    fate_of_absent,
    forgot_ids,
    mentions,
    position_differences,
    shows_unused,
    unused_since,
)

log = logging.getLogger(__name__)

SETTLING = timedelta(seconds=2)  # an order that changed this shortly before a reading may be on one list of it and not on the next


class OrderReconcile:
    """Runs under the manager's lock, after everything heard so far was processed."""

    def __init__(self, core: OrderCore, hearing: OrderHearing, entries: OrderEntries, exits: OrderExits, verdicts: OrderVerdicts) -> None:
        self.core = core
        self.hearing = hearing
        self.entries = entries
        self.exits = exits
        self.verdicts = verdicts
        self.last: BrokerSnapshot | None = None  # the last complete reading
        self.forgot_ids = False  # its next id is not above one it has confirmed
        self._judged: set[str] = set()  # order_ids that two readings left in doubt: from here on it is a person's
        self._light = False
        self._told: ReconcileEvent | None = None
        self._asked_again: dict[str, object] = {}  # order_id → the unanswered request that was repeated
        self.theirs: dict[str, float] | None = None  # symbol → signed shares at the broker by the last reading; None before the first
        self.costs: dict[str, float] = {}  # symbol → the broker's average cost per share
        self.gaps: dict[str, float] = {}  # symbol → shares there that neither our positions nor known holdings explain

    async def run(self, first: BrokerSnapshot, second: BrokerSnapshot | None, *, light: bool = False) -> ReconcileReport:
        """A `light` one is told only when it says something else than the one told before: there are 3,000 of them a day."""
        self._light = light
        missing = [*first.missing, *(second.missing if second else ())]
        if missing:
            return await self._tell(ReconcileReport(ok=False, reason=f"the broker never finished sending {', '.join(missing)}"))
        learned = await self._learn(first) + (await self._learn(second) if second else 0)
        self.core.behind = False
        failpoint("reconcile.learned")
        last = self.last = second or first
        await self._ask_again(last)
        await self._end_external(last)
        differences = await self._differences(last)
        settling = self._settling(differences, last)
        differences = [row for row in differences if row["symbol"] not in settling]
        self.core.verdict_due = False
        await self.verdicts.settle(last, {str(row["symbol"]) for row in differences} | settling)
        absent = [order for order in self.core.book.working() if not mentions(last, order)]
        await self._settle_revised(first, second, {str(row["symbol"]) for row in differences} | settling)
        if far_enough_apart(first, second):
            self.core.reconciled = not differences  # what is sent again passes the risk gate like anything else
        self.forgot_ids = self._forgot(last)
        await self._note_unused(absent, first)
        resent = await self._settle(absent, first, second, positions_agree=not differences)
        doubtful = [order for order in self.core.book.working() if order.state is OrderState.IN_DOUBT]
        stops = [order for order in doubtful if order.role is OrderRole.STOP and not mentions(last, order)]
        self.core.keeper.note_picture(stops, last.taken_at)
        once_more = not far_enough_apart(first, second) and bool(differences or doubtful)
        proving = once_more and any(order.order_id not in self._judged for order in doubtful)
        if far_enough_apart(first, second):
            self._judged = {order.order_id for order in doubtful}
        external = sum(o.external and o.is_live for o in self.core.book) + len(self.hearing.elsewhere)
        report = ReconcileReport(
            ok=not differences,
            reason="positions differ and no execution explains it" if differences else "",
            opened=sum(order.is_live for order in self.core.book.working()),
            filled=learned,
            differences=differences,
            external=external,
            in_doubt=len(doubtful),
            resent=resent,
            needs_second=once_more,
            proving=proving,
        )
        self.core.reconciled = report.ok and not proving
        self.core.needs_reconcile = f"{', '.join(sorted(settling))} changed while it was compared" if settling else ""
        return await self._tell(report)

    def forget_after(self, now: datetime) -> bool:
        """Whether the last reading was stamped by a clock that has been set back since; then it proves nothing any more."""
        late = self.last is not None and self.last.taken_at > now
        if late:
            self.last = None
        return late

    async def _learn(self, snapshot: BrokerSnapshot) -> int:
        """Executions, in the order they were made, before statuses: an order ends only when its fills are in."""
        learned = 0
        for execution in sorted(snapshot.executions, key=lambda execution: execution.time):
            learned += await self.hearing.hear(execution, recovered=True)
        for commission in snapshot.commissions:
            await self.hearing.hear(commission)
        for report in (*snapshot.open_orders, *snapshot.completed_orders):
            await self.hearing.hear(report)
        return learned

    async def _ask_again(self, snapshot: BrokerSnapshot) -> None:
        """A cancel or a change that got no answer may have been lost with its socket; asked twice it is still one. Once per request."""
        core = self.core
        for report in snapshot.open_orders:
            order = core.book.find(report)
            if order is None or order.external or not order.is_acked or order.pending is PendingRequest.NONE or order.objection:
                continue
            request = (order.pending, tuple(sorted(order.desired.items())))
            if self._asked_again.get(order.order_id) == request or snapshot.taken_at - order.updated_at < SETTLING:
                continue
            self._asked_again[order.order_id] = request
            if order.pending is PendingRequest.CANCEL:
                await core.cancel(order, order.reason)
            else:
                await core.modify(order, "asked again: no answer came", **order.desired)

    async def _end_external(self, snapshot: BrokerSnapshot) -> None:
        """An order made elsewhere is known from these lists only: gone from all of them, it is over."""
        for order in [o for o in self.core.book if o.external and o.is_live]:
            listed = any(order is self.core.book.find(report) for report in (*snapshot.open_orders, *snapshot.completed_orders))
            if not listed and order.updated_at < snapshot.taken_at - SETTLING:
                await self.core.move(order, Trigger.WIRE_CANCELED, code="gone", message="No longer listed.", reason="gone at the broker")

    async def _differences(self, snapshot: BrokerSnapshot) -> list[dict[str, object]]:
        ours: dict[str, float] = {}
        for position in self.core.tracker.active():
            if position.held:
                ours[position.symbol] = ours.get(position.symbol, 0.0) + position.held
        known = {order.symbol for order in self.core.book if not order.external} | ours.keys()
        mine = [p for p in snapshot.positions if p.account in ("", self.core.account) or not self.core.account]
        self.theirs, self.costs = {}, {p.symbol: p.average_cost for p in mine}
        for report in mine:
            self.theirs[report.symbol] = self.theirs.get(report.symbol, 0.0) + report.quantity
        before = dict(self.hearing.elsewhere)
        differences, after = position_differences(ours, [(p.symbol, p.quantity) for p in mine], before, known)
        for symbol in before.keys() | after.keys():
            if before.get(symbol) != after.get(symbol):
                cost = self.costs.get(symbol) or None
                await self.hearing.hold_elsewhere(symbol, after.get(symbol, 0.0), average_cost=cost, reason="found at the broker")
        self.gaps = {str(row["symbol"]): row["theirs"] - row["ours"] - row["elsewhere"] for row in differences}
        self.exits.protecting.gaps, self.exits.protecting.held_then = self.gaps, ours
        self.exits.protecting.shown = {p.symbol: Contract(symbol=p.symbol, con_id=p.con_id) for p in mine if p.con_id}
        return differences

    def _settling(self, differences: list[dict[str, object]], snapshot: BrokerSnapshot) -> set[str]:
        """Symbols whose orders changed while the lists were read: judged by the next reading. Never an excuse once they differ."""
        if not self.core.reconciled:
            return set()
        lately = {order.symbol for order in self.core.book if snapshot.taken_at - order.updated_at < SETTLING}
        return {str(row["symbol"]) for row in differences} & lately

    async def _note_unused(self, absent: list[Order], reading: BrokerSnapshot) -> None:
        """Kept on the row: should this worker die before its second reading, and an exit with a higher id have left meanwhile,
        the next worker's readings find both ids used and could not tell by which order."""
        for order in [] if self._forgot(reading) else absent:
            if order.unused_at is None and shows_unused(order, reading):
                version, order.unused_at = order.version, reading.taken_at
                order.touch()
                await self.core.tell_order(order, order.state, version, reason="the broker has not used its id")

    async def _settle(self, absent: list[Order], first: BrokerSnapshot, second: BrokerSnapshot | None, *, positions_agree: bool) -> int:
        """What to believe of orders that the broker does not show; returns how many orders were sent again."""
        core, forgot = self.core, self.forgot_ids or self._forgot(first)
        unsent: dict[str, list[Order]] = {}
        for order in absent:
            transmitter = self._transmitter(order)
            fate = fate_of_absent(
                order,
                first,
                second,
                positions_agree=positions_agree,
                transmitter=transmitter,
                harmless=self._only_protects(order),
                later=self._highest_sent_after(unused_since(transmitter, first)),
                forgot=forgot,
            )
            if fate is Trigger.NEVER_SENT:
                if order.state is OrderState.SENDING:
                    await core.move(order, Trigger.SILENCE, reason="the broker does not show it")
                unsent.setdefault(order.intent_id, []).append(order)
            elif fate is Trigger.SILENCE and order.state is not OrderState.IN_DOUBT:
                await core.move(order, Trigger.SILENCE, reason="the broker does not show it")
                await core.refresh_stop_state(order.position_id)  # a stop in doubt protects nothing: its seconds count from here
            elif fate in (Trigger.WIRE_CANCELED, Trigger.WIRE_EXPIRED):
                await core.move(order, fate, code="gone", message="The broker does not show it any more.", reason="gone at the broker")
                await self.hearing.after(order)
        resent = 0
        for intent_id, family in unsent.items():
            if any(order.state is not OrderState.IN_DOUBT for order in family):
                continue  # heard of, while another one was sent again
            whole = len(family) == len(core.book.of_intent(intent_id)) and not any(consumed(order, second or first) for order in family)
            if whole and await self.entries.resend(family):
                resent += len(family)
                await self._say_closing(family[0])
                continue
            for order in family:
                await self._withdraw(order, second or first)
                await core.move(order, Trigger.NEVER_SENT, code=NEVER_SENT, message="It never reached the broker.", reason="never sent")
                await self.hearing.after(order)
        return resent

    async def _settle_revised(self, first: BrokerSnapshot, second: BrokerSnapshot | None, differing: set[str]) -> None:
        """Orders whose executions were corrected: what the broker works on is open with it, all else of them is over.

        Its count of filled shares may still hold what it took back, so it proves nothing; its list of executions is learned.
        """
        last = second or first
        for order in [o for o in self.core.book.working() if o.ledger.revised and o.symbol not in differing]:
            reports = [r for r in (*last.open_orders, *last.completed_orders) if self.core.book.find(r) is order]
            order.taken_back = max(order.taken_back, *(r.filled - order.filled_quantity for r in reports), 0)
            order.short_since = None
            open_now = any(not r.completed and r.status not in OVER for r in reports)
            done = any(r.status in OVER for r in reports)
            gone = order.reopened and not reports and far_enough_apart(first, second) and not _lists(first, order, self.core.book)
            if open_now or not (done or gone):
                continue
            remain = f"{quantity_text(order.filled_quantity)} of {quantity_text(order.quantity)} remain"
            words = f"IB corrected its executions: {remain}, and it works on no more."
            await self.core.move(order, Trigger.WIRE_CANCELED, code="corrected", message=words, reason="corrected by the broker")
            await self.hearing.after(order)

    def _transmitter(self, order: Order) -> Order:
        """The leg that transmits the order's family: the last one written."""
        family = self.core.book.of_intent(order.intent_id)
        linked = any(member.parent_id for member in family)
        return max(family, key=lambda member: member.ib_order_id, default=order) if linked else order

    def _highest_sent_after(self, moment: datetime | None) -> int:
        sent = (o.ib_order_id for o in self._mine() if moment is not None and o.sent_at is not None and o.sent_at > moment)
        return max(sent, default=0)

    def _forgot(self, reading: BrokerSnapshot) -> bool:
        """Of what was sent before it: an id that was confirmed since then is above the reading's next one, rightly."""
        before = (o for o in self._mine() if o.sent_at is None or o.sent_at < reading.taken_at)
        return forgot_ids(reading, max((o.ib_order_id for o in before if o.perm_id or o.is_acked), default=0))

    def _mine(self) -> list[Order]:
        """All that left under our client id, over or not."""
        return [o for o in self.core.book if not o.external and o.client_id == self.core.client_id]

    def _only_protects(self, order: Order) -> bool:
        """A stop or target of shares whose entry is not in doubt itself."""
        parent = self.core.book.orders.get(order.parent_id)
        doubtful = parent is not None and parent.state in (OrderState.SENDING, OrderState.IN_DOUBT)
        return order.role in (OrderRole.STOP, OrderRole.TARGET) and bool(order.oca_group) and not doubtful

    async def _withdraw(self, order: Order, reading: BrokerSnapshot) -> None:
        """A leg the gateway took and never transmitted may still lie there; nobody is to find it."""
        if consumed(order, reading):
            try:
                await self.core.broker.cancel(order.ib_order_id)
            except BrokerError as error:
                log.warning("%s could not be withdrawn: %s", order, error)

    async def _say_closing(self, order: Order) -> None:
        position = self.core.tracker.find(order.position_id)
        if order.role is OrderRole.EXIT and position is not None and order.quantity >= abs(position.held):
            await self.exits.say_closing(position, order)

    async def _tell(self, report: ReconcileReport) -> ReconcileReport:
        event = ReconcileEvent(
            ok=report.ok,
            reason=report.reason,
            opened=report.opened,
            filled=report.filled,
            differences=report.differences,
            external=report.external,
        )
        if not self._light or report.filled or self._told is None or _words(event) != _words(self._told):
            self._told = event
            await self.core.bus.emit(event)
        return report


def _words(event: ReconcileEvent) -> tuple[object, ...]:
    """What it says, but for how many executions it brought: the one after says the same without them."""
    return event.ok, event.reason, event.opened, event.differences, event.external


def _lists(reading: BrokerSnapshot, order: Order, book: OrderBook) -> bool:
    return any(book.find(report) is order for report in (*reading.open_orders, *reading.completed_orders))
