"""Ending an order in doubt by a person's word, only where the evidence does not speak against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from events.order import OrderRole, OrderState
from events.position import PositionStatus
from positions.domain.broker_check import OurBook, order_rows
from positions.domain.intent import Denied
from positions.domain.order import Order
from positions.domain.ports import OrderReport
from positions.tests.domain.desk import Desk

WHO = {"reason": "not in TWS", "by": "ann"}


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


async def swallowed(desk: Desk) -> Order:
    """The gateway has used up all ids of a bracket and shows none of it."""
    desk.broker.deaf = True
    entry = await desk.entered(expires_at=desk.clock.now() + timedelta(seconds=120))
    desk.broker.deaf = False
    desk.broker.next_id = desk.ours(OrderRole.TARGET).ib_order_id + 1
    first = await desk.broker.snapshot()
    await desk.wait(12)
    await desk.manager.reconcile(first, await desk.broker.snapshot())
    assert entry.state is OrderState.IN_DOUBT
    return entry


async def code_of(desk: Desk, order: Order, verdict: str) -> str:
    answer = await desk.manager.resolve_doubt(order.order_id, verdict, **WHO)
    return answer.code if isinstance(answer, Denied) else ""


async def test_a_family_that_never_reached_ib_ends_by_a_persons_word_with_name_and_reason(desk: Desk) -> None:
    entry = await swallowed(desk)
    assert await code_of(desk, entry, "over") == "never_seen"
    assert await code_of(desk, entry, "never_sent") == ""
    family = list(desk.manager.orders.values())
    assert {(o.state, o.code) for o in family} == {(OrderState.CANCELED, "never_sent")}
    assert {o.message for o in family} == {"It never reached IB, says ann: not in TWS"}
    assert [what for what in desk.broker.wire if what[0] == "cancel"] == [("cancel", o.ib_order_id) for o in family]
    assert desk.tracker.position(entry.position_id).status is PositionStatus.CLOSED
    await desk.manager.drain()
    assert {o.code for o in family} == {"never_sent"}
    assert isinstance(await desk.entered(), Order)  # the symbol is free again
    assert await code_of(desk, entry, "never_sent") == "not_in_doubt"


async def test_the_evidence_comes_before_the_word(desk: Desk) -> None:
    desk.broker.deaf = True
    entry = await desk.entered()
    desk.broker.deaf = False
    assert await code_of(desk, entry, "never_sent") == "not_in_doubt"
    await desk.wait(11)
    assert entry.state is OrderState.IN_DOUBT
    assert await code_of(desk, entry, "never_sent") == "not_compared"
    assert await code_of(desk, Order.from_dict(entry.to_dict() | {"order_id": "nobody"}), "never_sent") == "unknown_order"


async def test_an_order_that_ib_lists_is_not_ended_by_a_word(desk: Desk) -> None:
    entry = await swallowed(desk)
    last = desk.manager._reconcile.last
    assert last is not None
    desk.manager._reconcile.last = replace(last, open_orders=(_listed(desk, entry),))
    assert await code_of(desk, entry, "never_sent") == "listed"


async def test_a_clock_that_was_set_back_by_an_hour_holds_up_neither_the_word_nor_the_lists(desk: Desk) -> None:
    true_time = desk.clock.now()
    desk.clock.set_wall(true_time + timedelta(hours=1))
    entry = await swallowed(desk)
    desk.clock.set_wall(true_time + timedelta(seconds=30))
    assert await code_of(desk, entry, "never_sent") == "not_compared", "a reading of the wrong clock proves nothing"
    assert desk.manager.needs_reconcile
    await desk.wait(11)
    first = await desk.broker.snapshot()
    assert (await desk.manager.reconcile(first)).in_doubt
    assert await code_of(desk, entry, "never_sent") == ""


def _listed(desk: Desk, order: Order) -> OrderReport:
    return OrderReport(
        order_ref=order.order_ref, ib_order_id=order.ib_order_id, client_id=17, perm_id=5, status="Submitted", received_at=desk.clock.now()
    )


async def test_an_order_that_ib_had_can_only_be_over(desk: Desk) -> None:
    entry = await desk.entered()
    del desk.broker.book[entry.ib_order_id]
    entry.short_since = desk.clock.now()  # IB reported fills that never came
    await desk.wait(12)
    assert entry.state is OrderState.IN_DOUBT
    first = await desk.broker.snapshot()
    await desk.manager.reconcile(first)
    if entry.state is OrderState.IN_DOUBT:
        assert await code_of(desk, entry, "never_sent") == "was_seen"
        assert await code_of(desk, entry, "over") == ""
    assert entry.state is OrderState.CANCELED
    assert entry.code == "resolved"


async def test_an_order_that_appears_at_ib_after_all_lives_again(desk: Desk) -> None:
    entry = await swallowed(desk)
    assert await code_of(desk, entry, "never_sent") == ""
    report = replace(_listed(desk, entry), from_query=True, symbol="AAPL", received_at=desk.clock.now() + timedelta(seconds=1))
    desk.manager.on_order(report)
    await desk.manager.drain()
    assert entry.state is OrderState.WORKING


async def test_the_page_offers_the_word_that_the_evidence_allows(desk: Desk) -> None:
    await swallowed(desk)
    book = OurBook(orders=desk.manager.core.book, positions=[], elsewhere={}, ref_prefix="T", known_by={})
    rows = order_rows(book, await desk.broker.snapshot())
    assert {row["verdict"] for row in rows} == {"never_sent"}


async def test_only_the_client_that_made_an_order_may_cancel_it(desk: Desk) -> None:
    entry = await desk.entered()
    theirs = replace(_listed(desk, entry), order_ref="by hand", ib_order_id=900, perm_id=77, client_id=5, symbol="MSFT", side=entry.side)
    ours = replace(theirs, ib_order_id=901, perm_id=78, client_id=17)
    for report in (theirs, ours):
        desk.manager.on_order(report)
    await desk.manager.drain()
    refused = await desk.manager.cancel_order("ext-77")
    assert isinstance(refused, Denied)
    assert refused.code == "external"
    assert isinstance(await desk.manager.cancel_order("ext-78"), Order)
    assert [what for what in desk.broker.wire if what[0] == "cancel"] == [("cancel", 901)]
