"""The watchdog of stops on the real order manager, a plain broker and a clock of the test's own: no process, no socket."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import time_machine

from positions.domain.ports import OrderReport
from positions.tests.domain.desk import Desk
from tradingsite.worker.protection import Protection


class Watched(Desk):
    """`protection` watches the desk; references in `unlisted` are left out of the broker's lists of open orders."""

    def __init__(self) -> None:
        super().__init__()
        self.unlisted: set[str] = set()

    async def open(self) -> Watched:
        await super().open()
        self.broker.open_orders = self._open_orders
        self.protection = Protection(
            bus=self.bus, broker=self.broker, manager=self.manager, tracker=self.tracker, database=None,
            session=SimpleNamespace(link_up=True), session_end=lambda: None, fence=lambda: None, bind=None,
        )  # fmt: skip
        return self

    async def watch(self) -> None:
        with time_machine.travel(self.clock.now(), tick=False):
            await self.protection.watch()

    async def _open_orders(self) -> tuple[OrderReport, ...]:
        listed = (await self.broker.snapshot()).open_orders
        return tuple(replace(row, received_at=self.clock.now()) for row in listed if row.order_ref not in self.unlisted)

    def stop_ref(self) -> str:
        return str(self.broker.order("-S").ticket.order_ref)


@pytest.fixture
async def desk() -> Watched:
    return await Watched().open()


async def test_a_stop_that_was_modified_a_moment_ago_is_judged_by_the_modification(desk: Watched) -> None:
    position = await desk.held()
    await desk.wait(100)  # it was sent long ago
    await desk.manager.change_stop(position.position_id, 96.0)
    await desk.manager.drain()
    desk.clock.advance(1.0)
    desk.unlisted = {desk.stop_ref()}  # between two places of IB's, as a modified order may be
    await desk.watch()
    assert not desk.manager.needs_reconcile
    desk.clock.advance(1.5)
    await desk.watch()
    assert desk.manager.needs_reconcile


async def test_a_stop_that_was_answered_long_ago_and_is_not_listed_is_asked_about(desk: Watched) -> None:
    await desk.held()
    await desk.wait(3)
    await desk.watch()
    assert not desk.manager.needs_reconcile
    desk.unlisted = {desk.stop_ref()}
    await desk.watch()
    assert "stop" in desk.manager.needs_reconcile
