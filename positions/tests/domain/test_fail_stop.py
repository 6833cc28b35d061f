"""An exception in the middle of a change: the manager does nothing more, and the rows told so far heal with the broker's lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from events import failpoints
from events.failstop import Breakdown, MemoryUntrusted, working_on
from events.order import FillEvent, OrderEvent, OrderRole, OrderSide, OrderState, OrderType
from events.position import PositionEvent, PositionStatus
from events.system import HandlerFailedEvent
from positions.domain.order import Order
from positions.domain.order_hearing import cause_of
from positions.domain.packing import CHANGED_FILLS, NEW_HISTORY, order_state, position_state
from positions.domain.ports import CommissionReport, PositionReport
from positions.tests.domain.desk import Desk

Story = Callable[[Desk], Awaitable[object]]


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


async def enter(desk: Desk) -> None:
    """Approve, be acknowledged, be filled, pay."""
    desk.quote()
    order = await desk.manager.submit(desk.intent())
    assert isinstance(order, Order), order
    await desk.manager.drain()
    desk.broker.fill(desk.broker.book[order.ib_order_id], order.quantity, 100.0)
    await desk.manager.drain()


async def close(desk: Desk) -> None:
    [position] = desk.tracker.active()
    await desk.manager.close_position(position.position_id, intent_id="command-7")
    await desk.manager.drain()
    desk.broker.fill(desk.broker.order("-X"), 100, 101.0)
    await desk.manager.drain()


async def close_a_part(desk: Desk) -> None:
    [position] = desk.tracker.active()
    await desk.manager.close_position(position.position_id, 40, intent_id="command-8")
    await desk.manager.drain()


async def move_the_stop(desk: Desk) -> None:
    [position] = desk.tracker.active()
    await desk.manager.change_stop(position.position_id, 96.0)
    await desk.manager.drain()


async def lose_the_stop(desk: Desk) -> None:
    desk.broker._end(desk.broker.order("-S"))
    await desk.wait(3)


async def cancel_the_entry(desk: Desk) -> None:
    desk.quote("MSFT")
    order = await desk.manager.submit(desk.intent(symbol="MSFT"))
    assert isinstance(order, Order), order
    await desk.manager.drain()
    await desk.manager.cancel_order(order.order_id)
    await desk.manager.drain()


async def compare(desk: Desk) -> None:
    await desk.manager.reconcile(await desk.broker.snapshot())


ENTERING = ["hear.begin", "ack.read", "ack.told", "fill.heard", "fill.booked", "fill.applied", "fill.told", "commission.booked"]
ENTERING += ["entry.judged", "entry.planned", "order.reserve", "order.claimed", "order.committed", "order.sent"]
HOLDING: list[tuple[str, Story]] = [
    *((point, close) for point in ("close.begin", "close.sent", "order.committed", "fill.applied", "ack.told", "commission.booked")),
    *((point, close_a_part) for point in ("modify.committed", "modify.sent", "order.committed", "order.sent", "close.sent")),
    *((point, move_the_stop) for point in ("modify.committed", "modify.sent")),
    *((point, lose_the_stop) for point in ("protect.begin", "order.committed")),
    *((point, cancel_the_entry) for point in ("cancel.committed", "cancel.sent")),
    ("reconcile.learned", compare),
]


async def breaks(desk: Desk, point: str, story: Story) -> Breakdown:
    """Carry out the story until it breaks at `point`; whatever is asked afterwards is refused and nothing is written."""
    heard: list[Breakdown] = []
    desk.manager.when_untrusted(heard.append)
    failpoints.arm(f"{point}:raise")
    with pytest.raises(MemoryUntrusted):
        await story(desk)
    wire, events = list(desk.broker.wire), list(desk.events)
    again: list[Callable[[], Awaitable[object]]] = [desk.manager.drain, desk.manager.tick, desk.manager.guard, desk.manager.flatten_all]
    for call in (*again, lambda: desk.manager.submit(desk.intent())):
        with pytest.raises(MemoryUntrusted):
            await call()
    assert (desk.broker.wire, desk.events) == (wire, events)
    [breakdown] = heard
    assert breakdown.error.startswith("FailpointReached")
    return breakdown


def told_positions(events: list[PositionEvent]) -> dict[str, dict[str, Any]]:
    """Whole rows: the last state of each, and all that was told of its history and fills."""
    history: dict[str, list[Any]] = {}
    fills: dict[str, dict[int, Any]] = {}
    for event in events:
        history.setdefault(event.position_id, []).extend(event.position_data.get(NEW_HISTORY, ()))
        fills.setdefault(event.position_id, {}).update(dict(event.position_data.get(CHANGED_FILLS, ())))
    states = {event.position_id: position_state(event) for event in events}
    return {key: state | {"history": history[key], "fills": [*fills[key].values()]} for key, state in states.items()}


async def reborn(desk: Desk) -> list[FillEvent]:
    """Another process, from what was told; returns the fills told so far."""
    orders = {e.order_id: order_state(e) for e in desk.events if isinstance(e, OrderEvent) and e.order_data}
    positions = told_positions(desk.said(PositionEvent))
    fills = desk.said(FillEvent)
    desk.events.clear()
    failpoints.arm("")
    await desk.open()
    alive = [row for row in positions.values() if row["status"] != PositionStatus.CLOSED.value]
    desk.manager.restore(orders.values(), alive)
    return fills


async def heal(desk: Desk) -> None:
    first = await desk.broker.snapshot()
    await desk.manager.reconcile(first)
    desk.clock.advance(11)
    desk.quote()
    await desk.manager.reconcile(first, await desk.broker.snapshot())
    await desk.manager.drain()
    await desk.wait(4)


async def is_whole(desk: Desk, told: list[FillEvent]) -> None:
    """Our book is the broker's, everything was told, every share has its stop, and comparing again changes nothing."""
    held: dict[str, float] = {}
    for position in desk.tracker.active():
        if position.held:
            held[position.symbol] = held.get(position.symbol, 0) + position.held
    assert held == desk.broker.held()
    assert {fill.fill_id for fill in [*told, *desk.said(FillEvent)]} == {e.exec_id for e in desk.broker.executions}
    for execution in desk.broker.executions:
        order = desk.manager.core.book.of_execution(execution.exec_id)
        assert order is not None
        assert order.ledger.knows(execution.exec_id)
    assert not [o for o in desk.manager.orders.values() if o.state in (OrderState.SENDING, OrderState.IN_DOUBT, OrderState.PLANNED)]
    assert all(p.held or desk.manager.core.book.live(p.position_id, OrderRole.ENTRY) for p in desk.tracker.active())
    for symbol, quantity in held.items():
        out = [o for o in desk.broker.book.values() if o.live and (o.ticket.order_type is OrderType.STOP or not o.ticket.oca_group)]
        assert sum(order.remaining for order in out if order.ticket.contract.symbol == symbol) == abs(quantity)
    written = len(desk.broker.wire)
    await compare(desk)
    assert len(desk.broker.wire) == written
    references = [ticket.order_ref for what, ticket in desk.broker.wire if what == "send"]
    assert len(set(references)) == len(references)


@pytest.mark.parametrize("point", ENTERING)
async def test_an_entry_broken_anywhere_heals_from_what_was_told(desk: Desk, point: str) -> None:
    await breaks(desk, point, enter)
    told = await reborn(desk)
    await heal(desk)
    await is_whole(desk, told)


@pytest.mark.parametrize(("point", "story"), HOLDING, ids=lambda value: value if isinstance(value, str) else value.__name__)
async def test_what_changes_a_held_position_heals_from_what_was_told(desk: Desk, point: str, story: Story) -> None:
    await enter(desk)
    await breaks(desk, point, story)
    told = await reborn(desk)
    await heal(desk)
    await is_whole(desk, told)


async def test_a_holding_that_cannot_be_taken_over_stops_the_manager(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.quote("MSFT")
    snapshot = await desk.broker.snapshot()
    elsewhere = PositionReport(account="DU1", symbol="MSFT", con_id=1, quantity=60, average_cost=99.0)
    await desk.manager.reconcile(type(snapshot)(positions=(elsewhere,), taken_at=desk.clock.now()))

    async def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("symbol")

    monkeypatch.setattr(desk.tracker, "create_stock_position", broken)
    with pytest.raises(MemoryUntrusted), working_on("command 4"):
        await desk.manager.adopt_holding("MSFT", 60, stop_loss=90.0, reason="mine", by="me")
    assert desk.manager.core.untrusted == Breakdown(section="adopt_holding", cause="command 4", error="KeyError: 'symbol'")


async def test_the_cause_is_the_report_in_hand_and_else_the_wish_and_else_the_section(desk: Desk) -> None:
    assert (await breaks(desk, "fill.applied", enter)).cause == "execution 0001.0001.01.01"
    other = await Desk().open()
    with working_on("command 3"):
        assert (await breaks(other, "order.committed", enter)).cause == "command 3"
    third = await Desk().open()
    await enter(third)
    assert (await breaks(third, "protect.begin", lose_the_stop)).cause == "section tick"


async def test_a_report_that_was_set_aside_is_skipped_and_the_rest_goes_on(desk: Desk) -> None:
    entry = await desk.entered()
    desk.broker.mute = True
    execution = desk.broker.fill(desk.broker.book[entry.ib_order_id], 40, 100.0)
    desk.manager.when_untrusted(lambda breakdown: None, set_aside=[cause_of(execution)])
    desk.manager.on_execution(execution)
    desk.broker.mute = False
    desk.broker.fill(desk.broker.book[entry.ib_order_id], 60, 100.0)
    await desk.manager.drain()
    assert [fill.fill_quantity for fill in desk.said(FillEvent)] == [60]
    report = await desk.manager.reconcile(await desk.broker.snapshot())
    desk.clock.advance(3)
    report = await desk.manager.reconcile(await desk.broker.snapshot())
    assert (report.ok, [row["symbol"] for row in report.differences]) == (False, ["AAPL"])  # nothing hides what was skipped


async def test_a_section_that_was_set_aside_fails_as_an_ordinary_error_and_says_so(desk: Desk) -> None:
    await enter(desk)
    desk.manager.when_untrusted(lambda breakdown: None, set_aside=["section tick"])
    failpoints.arm("protect.begin:raise")
    with pytest.raises(failpoints.FailpointReached):
        await lose_the_stop(desk)
    assert desk.manager.needs_reconcile == "tick failed"
    await desk.wait(3)
    assert [event.handler for event in desk.said(HandlerFailedEvent)] == ["orders: tick"]
    assert desk.broker.order("-S").live


async def test_a_link_that_goes_down_while_ids_are_taken_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.quote()

    def gone(count: int, *, above: int = 0) -> list[int]:
        desk.broker._need_link()
        return []

    desk.broker.down = False
    monkeypatch.setattr(desk.broker, "reserve_ids", lambda count, above=0: (setattr(desk.broker, "down", True), gone(count))[1])
    denied = await desk.manager.submit(desk.intent())
    assert denied.code == "link_down"  # type: ignore[union-attr]
    assert desk.manager.core.untrusted is None
    assert not desk.tracker.active()


async def test_an_event_that_never_reached_the_journal_is_the_end_of_trust(desk: Desk) -> None:
    entry = await desk.entered()
    event = desk.said(OrderEvent)[-1]
    desk.manager.event_lost(HandlerFailedEvent(handler="x"), ValueError("not ours"))
    assert desk.manager.core.untrusted is None
    desk.manager.event_lost(event, ValueError("too long"))
    with pytest.raises(MemoryUntrusted):
        await desk.manager.cancel_order(entry.order_id)


async def test_an_execution_told_of_the_order_and_not_of_the_position_is_taken_in_once(desk: Desk) -> None:
    position = await desk.held()
    rows = [order.to_dict() for order in desk.manager.orders.values()]
    before = next(position_state(e) for e in desk.said(PositionEvent) if e.position_id == position.position_id)
    assert before["status"] == PositionStatus.OPENING.value
    desk.events.clear()
    await desk.open()
    desk.manager.restore(rows, [before])
    await compare(desk)
    [mended] = desk.tracker.active()
    assert (mended.held, mended.commission) == (100, 1.0)
    assert [fill.side for fill in desk.said(FillEvent)] == [OrderSide.BUY]
    assert await desk.manager._mending.run() == 0


async def test_a_lower_revision_in_the_position_is_replaced_and_not_added(desk: Desk) -> None:
    position = await desk.held()
    before = position.to_dict()
    desk.broker.correct(0, price=99.0)
    await desk.manager.drain()
    rows = [order.to_dict() for order in desk.manager.orders.values()]
    await desk.open()
    desk.manager.restore(rows, [before])
    await compare(desk)
    [mended] = desk.tracker.active()
    assert (mended.held, mended.entry_price) == (100, 99.0)


async def test_a_commission_has_a_name_of_its_own(desk: Desk) -> None:
    report = CommissionReport(exec_id="a.01", commission=1.0, currency="USD", received_at=desk.clock.now())
    assert cause_of(report) == "commission a.01"
