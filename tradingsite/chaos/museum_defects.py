"""The mistakes of the museum's originals, as patches a worker under test applies to itself. Never imported by the desk.

`python -m tradingsite.chaos.museum_defects NAME[+NAME] manage-arguments…`; the names of `defects.py` are known here too.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tradingsite.chaos import defects


def hasten() -> None:
    """No defect: attempts to connect give up and follow each other quickly, so that fifty fit into a test."""
    from positions.broker.ib import IbSettings
    from tradingsite.worker import session

    session.FIRST_DELAY = session.LONGEST_DELAY = 0.05
    defaults = IbSettings.__init__.__kwdefaults__
    assert defaults is not None  # noqa: S101 - or nothing is hastened
    defaults["connect_timeout"] = 0.25


def race_reconnects() -> None:
    """Every lost link starts a loop of its own that reconnects."""
    from positions.domain.ports import LinkState
    from tradingsite.worker.session import Session

    on_link = Session.on_link
    loops: list[asyncio.Future[None]] = []

    def racing(self: Any, state: Any, detail: str, hint: Any) -> None:
        on_link(self, state, detail, hint)
        if state is LinkState.DISCONNECTED and len(loops) < 5:
            loops.append(asyncio.ensure_future(self.run()))

    Session.on_link = racing  # type: ignore[method-assign]


def infer_fills() -> None:
    """What an open order says it has filled beyond the listed executions becomes a fill of our making."""
    from positions.domain.order_reconcile import OrderReconcile

    learn = OrderReconcile._learn

    async def inferring(self: Any, snapshot: Any) -> int:
        learned = await learn(self, snapshot)
        for order in snapshot.open_orders:
            listed = sum(execution.quantity for execution in snapshot.executions if execution.order_ref == order.order_ref)
            if order.filled > listed:
                await self.hearing.hear(_made_up(self.core.book.find(order), order.filled - listed), recovered=True)
        return learned

    OrderReconcile._learn = inferring  # type: ignore[method-assign]


def invent_trades() -> None:
    """A difference that no execution explains is traded away in our books."""
    from events.order import OrderRole
    from positions.domain.order_reconcile import OrderReconcile

    differences = OrderReconcile._differences

    async def explained(self: Any, snapshot: Any) -> list[Any]:
        found: list[Any] = await differences(self, snapshot)
        for row in found:
            stop = next(order for order in self.core.book if order.symbol == row["symbol"] and order.role is OrderRole.STOP)
            await self.hearing.hear(_made_up(stop, abs(row["theirs"] - row["ours"])), recovered=True)
        return []

    OrderReconcile._differences = explained  # type: ignore[method-assign]


def _made_up(order: Any, quantity: float) -> Any:
    from positions.domain.ports import ExecutionReport

    now = datetime.now(UTC)
    return ExecutionReport(
        exec_id=f"made.up.{time.time_ns()}.01",
        order_ref=order.order_ref,
        ib_order_id=order.ib_order_id,
        client_id=order.client_id,
        perm_id=order.perm_id or 0,
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=order.limit_price or order.stop_price,
        cumulative_quantity=quantity,
        average_price=order.limit_price or order.stop_price,
        time=now,
        received_at=now,
    )


def count_every_telling() -> None:
    """An execution that is told again is booked again."""
    from positions.domain.order_hearing import OrderHearing

    execution = OrderHearing._execution
    told: set[str] = set()

    async def anew(self: Any, report: Any, *, recovered: bool) -> bool:
        again = report.exec_id in told
        told.add(report.exec_id)
        return await execution(self, replace(report, exec_id=f"x{time.time_ns()}.01") if again else report, recovered=recovered)

    OrderHearing._execution = anew  # type: ignore[method-assign]


def attach_fills_by_symbol() -> None:
    """A fill belongs to the latest order in its symbol."""
    from positions.domain.order_book import OrderBook
    from positions.domain.ports import ExecutionReport

    find = OrderBook.find

    def latest(self: Any, report: Any) -> Any:
        if not isinstance(report, ExecutionReport):
            return find(self, report)
        found = find(self, report)
        entries = [order for order in self if order.symbol == report.symbol and order.role == "entry" and not order.external]
        return entries[-1] if entries else found

    OrderBook.find = latest  # type: ignore[method-assign]


def repeat_cancelled() -> None:
    """An entry that ends as cancelled is sent again for what is missing."""
    from positions.broker.ib import IbBroker
    from positions.domain.order_hearing import OrderHearing

    send, after, tickets, repeated = IbBroker.send, OrderHearing.after, {}, set()

    async def remembered(self: Any, family: Any) -> None:
        tickets.update({ticket.order_ref: ticket for ticket in family})
        await send(self, family)

    async def repeating(self: Any, order: Any) -> None:
        await after(self, order)
        if order.state == "canceled" and order.role == "entry" and order.order_ref not in repeated:
            repeated.add(order.order_ref)
            ticket = tickets[order.order_ref]
            missing = order.quantity - order.filled_quantity
            await send(self.core.broker, [replace(ticket, ib_order_id=ticket.ib_order_id + 50, quantity=missing, transmit=True)])

    setattr(IbBroker, "send", remembered)  # noqa: B010 - a planted defect has no business with types
    setattr(OrderHearing, "after", repeating)  # noqa: B010


PATCHES = {
    patch.__name__: patch
    for patch in (
        *defects.DEFECTS,
        hasten,
        race_reconnects,
        infer_fills,
        invent_trades,
        count_every_telling,
        attach_fills_by_symbol,
        repeat_cancelled,
    )
}


def main(names: str, *arguments: str) -> None:
    for name in names.split("+"):
        defects.DEFECTS.setdefault(PATCHES[name], "")

    def all_of_them() -> None:
        for name in names.split("+"):
            PATCHES[name]()

    defects.DEFECTS[all_of_them] = ""
    defects.main("all_of_them", *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
