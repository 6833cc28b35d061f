"""Which comparisons with the broker the bus hears of: all but the light ones that say what the one before said."""

from __future__ import annotations

from events.system import ReconcileEvent
from positions.tests.domain.desk import Desk


async def test_a_light_comparison_is_told_once_and_again_when_it_says_something_else() -> None:
    desk = await Desk().open()
    for _ in range(5):
        desk.clock.advance(30)
        await desk.manager.reconcile(await desk.broker.snapshot(), light=True)
    assert len(desk.said(ReconcileEvent)) == 1

    await desk.held()  # stop and target rest now
    desk.broker.mute = True
    desk.broker.fill(desk.broker.order("-S"), 40, 94.0)
    desk.broker.mute = False
    for _ in range(5):
        desk.clock.advance(30)
        await desk.manager.reconcile(await desk.broker.snapshot(), light=True)
    assert [event.filled for event in desk.said(ReconcileEvent)] == [0, 1]

    desk.broker.executions.pop()
    for _ in range(5):
        desk.clock.advance(30)
        await desk.manager.reconcile(await desk.broker.snapshot(), light=True)
    assert [event.ok for event in desk.said(ReconcileEvent)] == [True, True, False]


async def test_every_other_comparison_is_told() -> None:
    desk = await Desk().open()
    for _ in range(3):
        await desk.manager.reconcile(await desk.broker.snapshot())
    assert len(desk.said(ReconcileEvent)) == 3
