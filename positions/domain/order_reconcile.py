"""The order manager's comparison with the broker: learn what happened, settle doubt where it is proven, show the rest."""

from __future__ import annotations

from events.order import OrderState
from events.system import ReconcileEvent
from positions.domain.order import Order
from positions.domain.order_core import OrderCore
from positions.domain.order_entries import OrderEntries
from positions.domain.order_hearing import OrderHearing
from positions.domain.order_states import Trigger
from positions.domain.ports import BrokerSnapshot
from positions.domain.reconcile import ReconcileReport, far_enough_apart, fate_of_absent, mentions, position_differences


class OrderReconcile:
    """Runs under the manager's lock, after everything heard so far was processed."""

    def __init__(self, core: OrderCore, hearing: OrderHearing, entries: OrderEntries) -> None:
        self.core = core
        self.hearing = hearing
        self.entries = entries

    async def run(self, first: BrokerSnapshot, second: BrokerSnapshot | None) -> ReconcileReport:
        missing = [*first.missing, *(second.missing if second else ())]
        if missing:
            return await self._tell(ReconcileReport(ok=False, reason=f"the broker never finished sending {', '.join(missing)}"))
        learned = await self._learn(first) + (await self._learn(second) if second else 0)
        last = second or first
        differences = self._differences(last)
        absent = [order for order in self._ours() if not mentions(last, order)]
        resent = await self._settle(absent, first, second, positions_agree=not differences)
        doubtful = [order for order in self._ours() if order.state is OrderState.IN_DOUBT]
        once_more = not far_enough_apart(first, second) and bool(differences or doubtful)
        external = sum(o.external and o.is_live for o in self.core.book) + len(self.hearing.elsewhere)
        report = ReconcileReport(
            ok=not differences,
            reason="positions differ and no execution explains it" if differences else "",
            opened=sum(order.is_live for order in self._ours()),
            filled=learned,
            differences=differences,
            external=external,
            in_doubt=len(doubtful),
            resent=resent,
            needs_second=once_more,
        )
        self.core.reconciled = report.ok
        self.core.needs_reconcile = ""
        return await self._tell(report)

    def _ours(self) -> list[Order]:
        return [order for order in self.core.book if order.is_live and not order.external]

    async def _learn(self, snapshot: BrokerSnapshot) -> int:
        """Executions before statuses: an order ends only when its fills are in."""
        learned = 0
        for execution in snapshot.executions:
            learned += await self.hearing.hear(execution, recovered=True)
        for commission in snapshot.commissions:
            await self.hearing.hear(commission)
        for report in (*snapshot.open_orders, *snapshot.completed_orders):
            await self.hearing.hear(report)
        return learned

    def _differences(self, snapshot: BrokerSnapshot) -> list[dict[str, object]]:
        ours: dict[str, float] = {}
        for position in self.core.tracker.active():
            if position.held:
                ours[position.symbol] = ours.get(position.symbol, 0.0) + position.held
        known = {order.symbol for order in self.core.book if not order.external} | ours.keys()
        theirs = [(p.symbol, p.quantity) for p in snapshot.positions if p.account in ("", self.core.account) or not self.core.account]
        differences, self.hearing.elsewhere = position_differences(ours, theirs, self.hearing.elsewhere, known)
        return differences

    async def _settle(self, absent: list[Order], first: BrokerSnapshot, second: BrokerSnapshot | None, *, positions_agree: bool) -> int:
        """What to believe of orders that the broker does not show; returns how many orders were sent again."""
        core = self.core
        unsent: dict[str, list[Order]] = {}
        for order in absent:
            fate = fate_of_absent(order, first, second, positions_agree=positions_agree)
            if fate is Trigger.NEVER_SENT:
                if order.state is OrderState.SENDING:
                    await core.move(order, Trigger.SILENCE, reason="the broker does not show it")
                unsent.setdefault(order.intent_id, []).append(order)
            elif fate is Trigger.SILENCE and order.state is not OrderState.IN_DOUBT:
                await core.move(order, Trigger.SILENCE, reason="the broker does not show it")
            elif fate in (Trigger.WIRE_CANCELED, Trigger.WIRE_EXPIRED):
                await core.move(order, fate, code="gone", message="The broker does not show it any more.", reason="gone at the broker")
                await self.hearing.after(order)
        resent = 0
        for intent_id, family in unsent.items():
            if len(family) == len(core.book.of_intent(intent_id)) and await self.entries.resend(family):
                resent += len(family)
                continue
            for order in family:
                await core.move(order, Trigger.NEVER_SENT, code="never_sent", message="It never reached the broker.", reason="never sent")
                await self.hearing.after(order)
        return resent

    async def _tell(self, report: ReconcileReport) -> ReconcileReport:
        await self.core.bus.emit(
            ReconcileEvent(
                ok=report.ok,
                reason=report.reason,
                opened=report.opened,
                filled=report.filled,
                differences=report.differences,
                external=report.external,
            )
        )
        return report
