"""The test desk of the order manager with the worker's watchdog over it, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import time_machine

from positions.domain.ports import OrderReport
from positions.tests.domain.desk import Desk
from tradingsite.worker.protection import Protection


class Watched(Desk):
    """`protection` watches the desk; references in `unlisted` are left out of the broker's lists of open orders."""

    def __init__(self) -> None:
        super().__init__()
        self.unlisted: set[str] = set()
        self.reading = False  # another reading is under way: no list of open orders

    async def open(self) -> Watched:
        await super().open()
        self.broker.open_orders = self._open_orders
        self.protection = Protection(
            bus=self.bus, broker=self.broker, manager=self.manager, tracker=self.tracker, database=None,
            session=SimpleNamespace(link_up=True), session_end=lambda: None, fence=lambda: None, bind=None,
            on_command=lambda row: None,
        )  # fmt: skip
        self.protection.runner = SimpleNamespace(run_once=_nothing)
        return self

    async def watch(self) -> None:
        with time_machine.travel(self.clock.now(), tick=False):
            await self.protection.watch()

    async def guard(self, seconds: float) -> None:
        """As the rhythm does it: twice a second, with a look at the broker when one picture left a doubt."""
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            with time_machine.travel(self.clock.now(), tick=False):
                await self.protection.guard()

    async def compared(self) -> None:
        """One reading of all lists."""
        whole = await self.broker.snapshot()
        listed = tuple(row for row in whole.open_orders if row.order_ref not in self.unlisted)
        await self.manager.reconcile(replace(whole, open_orders=listed))

    def sent_stops(self) -> list[float]:
        """Quantities of all stops that were ever sent."""
        return [ticket.quantity for kind, ticket in self.broker.wire if kind == "send" and ticket.order_ref.endswith("-S")]

    async def _open_orders(self) -> tuple[OrderReport, ...] | None:
        if self.reading:
            return None
        listed = (await self.broker.snapshot()).open_orders
        return tuple(replace(row, received_at=self.clock.now()) for row in listed if row.order_ref not in self.unlisted)

    def stop_ref(self) -> str:
        return str(self.broker.order("-S").ticket.order_ref)


async def _nothing() -> None:
    return None
