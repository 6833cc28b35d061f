"""The order manager's ears: reports of the broker, queued as heard and processed one by one, in order.

Only executions change quantities; statuses and errors change the life of an order; a commission joins its execution
whenever it comes. Orders and executions that are not ours are kept as external, shown and never touched.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import datetime
from decimal import Decimal

from events.failpoints import failpoint
from events.order import OrderRole, OrderState
from events.position import PositionStatus
from events.system import HoldingEvent
from positions.domain import order_events
from positions.domain.external_orders import external_from_execution, external_from_report
from positions.domain.ledger import Entry, Execution, split_exec_id
from positions.domain.order import Order
from positions.domain.order_core import Change, OrderCore
from positions.domain.order_fills import OrderFills
from positions.domain.order_released import counted
from positions.domain.order_reports import after_execution, read_error, read_report
from positions.domain.ports import CommissionReport, ErrorReport, ExecutionReport, OrderReport
from positions.domain.position_events import Before
from positions.domain.pricing import decimal, signed

log = logging.getLogger(__name__)

FEE_SECONDS = 10.0  # how long an execution's fee may be on its way

Report = OrderReport | ExecutionReport | CommissionReport | ErrorReport


class OrderHearing:
    """Owns the queue, parked commissions, and what was held by hands other than ours."""

    def __init__(self, core: OrderCore) -> None:
        self.core = core
        self.queue: deque[Report] = deque()
        self.processed = 0  # reports taken from the queue since the start
        self.elsewhere: dict[str, float] = {}  # symbol → signed shares at the broker that are not ours
        self.fills = OrderFills(core, self)
        self._parked: dict[str, CommissionReport] = {}  # execution's base id → its fee, which came first
        self._unpaid: dict[str, datetime] = {}  # execution's base id → since when its fee is missing

    async def drain(self) -> int:
        """Process everything heard so far; returns how many reports that was."""
        count = 0
        while self.queue:
            count, self.processed = count + 1, self.processed + 1
            await self.hear(self.queue.popleft())
        return count

    async def hear(self, report: Report, *, recovered: bool = False) -> bool:
        """One report; True if it taught us an execution. One that ended the worker too often is skipped."""
        cause = cause_of(report)
        if cause in self.core.set_aside:
            log.error("skipped, because it was set aside: %r", report)
            return False
        self.core.in_hand = (cause, report)
        failpoint("hear.begin")
        learned = False
        match report:
            case ExecutionReport():
                learned = await self._execution(report, recovered=recovered)
            case OrderReport():
                await self._order(report)
            case CommissionReport():
                await self._commission(report)
            case ErrorReport():
                await self._error(report)
        self.core.in_hand = None
        return learned

    async def hold_elsewhere(
        self, symbol: str, quantity: float, *, reason: str, average_cost: float | None = None, acknowledged_by: str = ""
    ) -> None:
        """What the account holds of `symbol` beyond our own positions is now `quantity`; the bus hears of every change."""
        previous = self.elsewhere.get(symbol, 0.0)
        if abs(quantity) < 1e-6:
            self.elsewhere.pop(symbol, None)
            quantity = 0.0
        else:
            self.elsewhere[symbol] = quantity
        if quantity == previous and not acknowledged_by:
            return
        await self.core.bus.emit(
            HoldingEvent(
                account=self.core.account,
                symbol=symbol,
                quantity=quantity,
                previous_quantity=previous,
                average_cost=average_cost,
                acknowledged_by=acknowledged_by,
                reason=reason[:300],
            )
        )

    async def after(self, order: Order, followed: Change | None = None) -> None:
        """What an order's new state means for its position; told in one event with the levels that it `followed`."""
        core = self.core
        position = core.tracker.find(order.position_id)
        if position is None or position.status is PositionStatus.CLOSED:
            return
        before = followed[1] if followed is not None else Before.of(position)
        entry_over = order.role is OrderRole.ENTRY and order.is_terminal and self._others_took(order)
        if entry_over and position.status in (PositionStatus.OPENING, PositionStatus.PLANNED) and not position.held:
            why = order.message or order.reason or order.state.value
            position.abandon(f"entry {order.state.value}: {why}" if why != order.state.value else f"entry {why}")
            await core.tracker.announce(position, before, position.reason)
            return
        closing = position.status is PositionStatus.CLOSING and not core.book.live(position.position_id, OrderRole.EXIT)
        if order.role is OrderRole.EXIT and order.is_terminal and closing:
            position.closing_failed(order.message or order.state.value)
            await core.tracker.announce(position, before, f"exit {order.state.value}")
            followed = None
        await core.refresh_stop_state(order.position_id, followed)

    def _others_took(self, entry: Order) -> bool:
        """Each of its shares is in some position's fills; none of them in one that holds nothing."""
        counting = [execution for execution in entry.ledger.executions if not execution.busted]
        return all(self.core.tracker.holder_of(execution.exec_id, "") is not None for execution in counting)

    # ---- executions -----------------------------------------------------------------------------------------------------

    async def _execution(self, report: ExecutionReport, *, recovered: bool) -> bool:
        order = await self._whose(report)
        if not recovered and self._ahead_of_its_entry(order, report):
            self.core.ask_reconcile("an exit filled more than we know to be held")
            return False
        parked = self._parked.pop(split_exec_id(report.exec_id)[0], None)
        execution = Execution(
            exec_id=report.exec_id,
            quantity=decimal(report.quantity),
            price=decimal(report.price),
            time=report.time,
            busted=report.liquidation == 1,
            commission=None if parked is None else decimal(parked.commission),
            currency=parked.currency if parked is not None else "USD",
        )
        if report.perm_id and not order.perm_id:
            order.perm_id = report.perm_id
        failpoint("fill.heard")
        entry, before = order.execute(execution)
        failpoint("fill.booked")
        self.core.book.index(order)
        if entry is Entry.KNOWN:
            return False
        after_execution(order)
        if parked is None and before is None and not order.external:
            self._unpaid[split_exec_id(report.exec_id)[0]] = self.core.now()
        if before is not None and not recovered:
            self.core.ask_reconcile("an execution was corrected or busted")
        await self.fills.tell(order, report, before, recovered=recovered)
        if order.external:
            change = counted(order, execution) - counted(order, before)
            await self.hold_elsewhere(order.symbol, self.elsewhere.get(order.symbol, 0.0) + change, reason="executed elsewhere")
        await self.after(order)
        return True

    def _ahead_of_its_entry(self, order: Order, report: ExecutionReport) -> bool:
        """An exit of shares whose buying we have not heard: booked now, it would open the other side. The next reading has both."""
        position = self.core.tracker.find(order.position_id)
        if not order.is_exit or position is None or not position.is_active or order.ledger.knows(report.exec_id):
            return False
        entries = [o for o in self.core.book.of_position(order.position_id) if o.role is OrderRole.ENTRY]
        unheard = any(entry.filled_quantity < entry.quantity for entry in entries)
        return unheard and -signed(order.side, report.quantity) * position.direction > position.held * position.direction

    async def _commission(self, report: CommissionReport) -> None:
        core = self.core
        base = split_exec_id(report.exec_id)[0]
        self._unpaid.pop(base, None)
        order = core.book.of_execution(report.exec_id)
        if order is None:
            self._parked[base] = report
            return
        previous = order.state
        amount: Decimal = decimal(report.commission)
        if not order.ledger.set_commission(report.exec_id, amount, report.currency):
            return
        order.touch()
        failpoint("commission.booked")
        counts = order.ledger.current(report.exec_id).exec_id  # the revision whose row is summed
        fee = {"exec_id": counts, "exec_base": base, "commission": report.commission, "currency": report.currency}
        await core.bus.emit(order_events.changed(order, previous, reason="commission", metadata={"commission": fee}))
        await core.tell(core.tracker.add_commission(order.position_id, report.exec_id, report.commission))

    def ask_for_fees(self, now: datetime) -> None:
        """A fee usually comes with its execution; one that did not is in the broker's list. Asked for once."""
        late = [base for base, since in self._unpaid.items() if not 0 <= (now - since).total_seconds() < FEE_SECONDS]
        for base in late:
            del self._unpaid[base]
            self.core.ask_reconcile(f"the fee of execution {base} has not come")

    async def _whose(self, report: ExecutionReport) -> Order:
        found = self.core.book.find(report)
        if found is not None:
            return found
        order = external_from_execution(report, self.core.now)
        self.core.book.add(order)
        await self.core.bus.emit(order_events.made(order))
        return order

    # ---- orders ---------------------------------------------------------------------------------------------------------

    async def _order(self, report: OrderReport) -> None:
        core = self.core
        order = core.book.find(report)
        if order is None:
            external = external_from_report(report, core.now)
            if external is None:
                return
            order = external
            core.book.add(order)
            await core.bus.emit(order_events.made(order))
        previous, version = order.state, order.version
        confirmed = read_report(order, report, core.now())
        failpoint("ack.read")
        core.book.index(order)
        followed = self._follow(order, confirmed=confirmed)
        await core.tell_order(order, previous, version, reason="confirmed by the broker" if confirmed else "")
        failpoint("ack.told")
        if order.version != version:
            await self.after(order, followed)
        elif followed is not None:
            await core.tracker.announce(*followed)
        untransmitted = not report.transmit and report.from_query and not order.external and order.is_live
        if untransmitted and order.state is not OrderState.SENDING:
            await core.cancel(order, "it was never transmitted to the exchange")

    def _follow(self, order: Order, *, confirmed: bool) -> Change | None:
        """The position's stop and target are the prices of the orders that rest at the broker; what is to be announced of it."""
        core = self.core
        position = core.tracker.find(order.position_id)
        if position is None or position.status is PositionStatus.CLOSED or not order.is_live:
            return None
        before = Before.of(position)
        if order.role is OrderRole.STOP and order.stop_price is not None:
            position.follow_broker(stop_loss=order.stop_price, reason="confirmed" if confirmed else "at the broker")
        elif order.role is OrderRole.TARGET and order.limit_price is not None:
            position.follow_broker(take_profit=order.limit_price, reason="confirmed" if confirmed else "at the broker")
        if (before.stop_loss, before.take_profit) == (position.stop_loss, position.take_profit):
            return None
        what = "stop" if order.role is OrderRole.STOP else "target"
        return position, before, f"{what} {'confirmed' if confirmed else 'moved'}"

    async def _error(self, report: ErrorReport) -> None:
        core = self.core
        order = core.book.by_client_id(core.client_id, report.ib_order_id) if report.ib_order_id > 0 else None
        if order is None or order.external:
            return
        previous, version = order.state, order.version
        core.ask_reconcile(read_error(order, report))
        await core.tell_order(order, previous, version, reason=f"{report.code}: {report.message}")
        if order.version != version:
            await self.after(order)


def cause_of(report: Report) -> str:
    """The report's name, the same whenever and however it is heard again."""
    match report:
        case ExecutionReport():
            return f"execution {report.exec_id}"
        case CommissionReport():
            return f"commission {report.exec_id}"
        case ErrorReport():
            return f"error {report.code} {report.ib_order_id}"
    name = report.order_ref or report.perm_id or f"{report.client_id}/{report.ib_order_id}"
    return f"order {name} {report.status} {report.filled:g}"
