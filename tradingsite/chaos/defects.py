"""Known defects, each a patch that a sabotaged worker applies to itself at its start. Never imported by the desk.

`python -m tradingsite.chaos.defects NAME manage-arguments…` runs a manage.py command with one of them planted; nothing in the
environment of a desk's own processes can plant one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Patch = Callable[[], None]


def forget_intents() -> None:
    """A wish that a crash interrupted is carried out again. Three fences have to go: the wish's id, its reference, the risk gate."""
    import uuid

    from events.models import CommandRecord
    from positions.domain.risk import RiskGate

    CommandRecord.intent_id = property(lambda self: str(uuid.uuid4()))  # type: ignore[assignment, method-assign]
    RiskGate.check = lambda self, *args, **options: None  # type: ignore[method-assign]


def send_before_commit() -> None:
    """Orders leave before their rows are durable."""
    from events.journal import Journal

    write = Journal._write

    async def at_once(self: Any) -> None:
        return None

    def slow(self: Any, batch: Any) -> Any:
        time.sleep(1.0)
        return write(self, batch)

    Journal.commit, Journal._write = at_once, slow  # type: ignore[method-assign]


def ignore_expiry() -> None:
    """An approval is obeyed whenever the worker gets to it."""
    from datetime import timedelta

    from events.inbox import Inbox
    from tradingsite.worker import commands

    claim = Inbox._claim_next

    def ageless(self: Any) -> Any:
        record = claim(self)
        if record is not None:
            record.expires_at = None
        return record

    Inbox._claim_next = ageless  # type: ignore[method-assign]
    commands.LONGEST_LIFE = timedelta(days=1)


def send_twice() -> None:
    """The entry is written again under another id."""
    from positions.broker.ib import IbBroker

    send = IbBroker.send

    async def twice(self: Any, tickets: Any) -> None:
        from dataclasses import replace

        await send(self, tickets)
        await send(self, [replace(tickets[0], ib_order_id=tickets[0].ib_order_id + 50, transmit=True)])

    IbBroker.send = twice  # type: ignore[method-assign]


def lose_fills() -> None:
    """Executions are not heard, neither live nor by comparison."""
    from positions.domain.order_hearing import OrderHearing

    async def deaf(self: Any, report: Any, *, recovered: bool) -> bool:
        return False

    OrderHearing._execution = deaf  # type: ignore[method-assign]


def lose_fees() -> None:
    """Commissions are not joined to their executions."""
    from positions.domain.order_hearing import OrderHearing

    async def deaf(self: Any, report: Any) -> None:
        return None

    OrderHearing._commission = deaf  # type: ignore[method-assign]


def add_corrections() -> None:
    """A corrected execution counts beside the one it corrects."""
    from positions import store
    from positions.domain import ledger, order_hearing

    def as_new(exec_id: str) -> tuple[str, int]:
        return exec_id, 1

    for module in (store, ledger, order_hearing):
        module.split_exec_id = as_new  # type: ignore[attr-defined]


def record_fills_twice() -> None:
    """Stream and comparison both write the fill."""
    from positions import store

    columns = store._fill_columns

    def doubled(event: Any, epoch: int) -> dict[str, Any]:
        return columns(event, epoch) | {"exec_id": f"{event.fill_id}-{time.time_ns()}", "revision": time.time_ns() % 1_000_000_000}

    fills = store._store_fills

    def both(events: Any, epoch: int) -> None:
        fills(events, epoch)
        store._fill_upsert.rows([doubled(event, epoch) for event in events])

    setattr(store, "_store_fills", both)  # noqa: B010 - a planted defect has no business with types


def halve_stops() -> None:
    """Stops are sent for half of what the entry buys."""
    from dataclasses import replace

    from positions.broker.ib import IbBroker

    send = IbBroker.send

    async def halved(self: Any, tickets: Any) -> None:
        await send(self, [replace(t, quantity=t.quantity / 2) if t.order_ref.endswith("-S") else t for t in tickets])

    IbBroker.send = halved  # type: ignore[method-assign]
    watchdog_sleeps()


def watchdog_sleeps() -> None:
    """Nobody looks after missing stops."""
    from positions.domain.order_exits import OrderExits

    async def nothing(self: Any, left: Any = None) -> list[str]:
        return []

    OrderExits.keep = nothing  # type: ignore[method-assign]


def skip_comparison() -> None:
    """What happened while the worker was away is not asked for."""
    from positions.domain.order_reconcile import OrderReconcile

    async def nothing(self: Any, snapshot: Any) -> int:
        return 0

    OrderReconcile._learn = nothing  # type: ignore[method-assign]


def forget_positions() -> None:
    """Position events do not become rows."""
    from positions import store

    store._position_upsert.rows = lambda rows: None  # type: ignore[method-assign]


def forget_orders() -> None:
    """Order events do not become rows."""
    from positions import store

    store._order_upsert.rows = lambda rows: None  # type: ignore[method-assign]


def never_answer() -> None:
    """The outcome of a command is not written."""
    from events.inbox import Inbox

    Inbox._finish = lambda self, record, outcome: None  # type: ignore[method-assign]


def forge_the_journal() -> None:
    """The journal tells another price than the rows."""
    from events import journal
    from events.encoding import to_row as row_of

    def forged(event: Any) -> Any:
        row = row_of(event)
        return (*row[:9], row[9].replace(b'"fill_quantity":10', b'"fill_quantity":11')) if event.event_type == "FillEvent" else row

    setattr(journal, "to_row", forged)  # noqa: B010


def write_beside_the_journal() -> None:
    """A column is written that no event tells of."""
    from positions import store

    columns = store.order_columns

    def embellished(row: dict[str, Any], epoch: int) -> dict[str, Any]:
        return columns(row, epoch) | {"message": "all is well"}

    store.order_columns = embellished


def leave_stops_behind() -> None:
    """Closing neither joins the stop's group nor cancels it."""
    from positions.domain import families

    exit_order = families.exit_order
    families.exit_order = lambda intent, **options: exit_order(intent, **options | {"group": ""})
    watchdog_sleeps()


def oversell() -> None:
    """A close sells twice what is held."""
    from dataclasses import replace

    from positions.broker.ib import IbBroker

    send = IbBroker.send

    async def doubled(self: Any, tickets: Any) -> None:
        await send(self, [replace(t, quantity=t.quantity * 2) if t.order_ref.endswith("-X") else t for t in tickets])

    IbBroker.send = doubled  # type: ignore[method-assign]


def never_reconnect() -> None:
    """After a lost link nobody dials again."""
    import asyncio

    from tradingsite.worker.session import Session

    one = Session._one_session

    async def once(self: Any) -> None:
        await one(self)
        await asyncio.sleep(3600)

    Session._one_session = once  # type: ignore[method-assign]


def trust_silence() -> None:
    """An order the broker does not show at once is taken for never sent, and its ids are used up."""
    from positions.domain import order_reconcile
    from positions.domain.order_states import Trigger

    setattr(order_reconcile, "mentions", lambda snapshot, order: False)  # noqa: B010
    setattr(order_reconcile, "fate_of_absent", lambda order, *args, **options: Trigger.WIRE_CANCELED)  # noqa: B010


# defect → the scenario that must show it
DEFECTS: dict[Patch, str] = {
    forget_intents: "crash_after_sending",
    send_before_commit: "crash_after_sending",
    ignore_expiry: "late",
    send_twice: "approve",
    lose_fills: "approve",
    lose_fees: "approve",
    add_corrections: "correction",
    record_fills_twice: "approve",
    halve_stops: "approve",
    watchdog_sleeps: "lose_stop",
    skip_comparison: "filled_while_away",
    forget_positions: "approve",
    forget_orders: "approve",
    never_answer: "approve",
    forge_the_journal: "approve",
    write_beside_the_journal: "approve",
    leave_stops_behind: "close",
    oversell: "close",
    never_reconnect: "cut",
    trust_silence: "filled_while_away",
}


@contextmanager
def _as_manage(arguments: list[str]) -> Iterator[None]:
    sys.argv = ["manage.py", *arguments]
    yield


def main(name: str, *arguments: str) -> None:
    import os

    import django
    from django.core.management import execute_from_command_line

    if os.environ.get("TRADING_MODE", "simulated") != "simulated":
        raise SystemExit("A defect is planted only in simulated mode.")
    django.setup()
    {patch.__name__: patch for patch in DEFECTS}[name]()
    with _as_manage(list(arguments)):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main(*sys.argv[1:])
