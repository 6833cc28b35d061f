"""Repairs of a stop that cross other words on the wire, and repairs that the broker refuses: the real order manager, a plain broker."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from events.order import OrderRole, OrderType, PendingRequest
from events.position import PositionStatus
from events.system import ProtectionEvent
from positions.domain.ports import ErrorReport, OrderTicket
from positions.domain.position import Position
from tradingsite.tests.watched_desk import Watched


@pytest.fixture
async def desk() -> Watched:
    return await Watched().open()


def resting(desk: Watched) -> list[tuple[float, float | None]]:
    """(shares, price) of each stop at the broker."""
    book = desk.broker.book.values()
    return [(o.remaining, o.ticket.stop_price) for o in book if o.live and o.ticket.order_type is OrderType.STOP]


def wire(desk: Watched, kind: str) -> int:
    return sum(word == kind for word, _ in desk.broker.wire)


# --- what is still on its way ---


async def test_a_modification_on_its_way_is_not_repaired(desk: Watched) -> None:
    position = await desk.held()
    await desk.wait(60)
    desk.broker.mute = True  # the broker has it at once, its word of it comes late
    await desk.manager.change_stop(position.position_id, 96.0)
    await desk.guard(1.5)
    assert position.protection.bare_since is None
    assert desk.ours(OrderRole.STOP).pending is PendingRequest.REPLACE
    desk.broker.mute = False
    desk.broker.repeat()
    await desk.guard(10)
    await desk.watch()
    await desk.compared()
    assert (desk.sent_stops(), wire(desk, "modify"), wire(desk, "cancel")) == ([100], 1, 0)
    assert (position.stop_loss, resting(desk)) == (96.0, [(100, 96.0)])


async def test_a_modification_that_the_list_does_not_know_yet_is_not_undone_by_it(desk: Watched) -> None:
    """The list was made before the broker had the change: it shows the old price, which is no answer."""
    position = await desk.held()
    await desk.wait(60)
    desk.broker.deaf = True  # still on the wire
    await desk.manager.change_stop(position.position_id, 96.0)
    await desk.watch()
    await desk.compared()
    assert desk.ours(OrderRole.STOP).pending is PendingRequest.REPLACE
    desk.broker.deaf = False
    [ticket] = [ticket for kind, ticket in desk.broker.wire if kind == "modify"]
    await desk.broker.modify(ticket)
    await desk.guard(5)
    assert (desk.sent_stops(), position.stop_loss, resting(desk)) == ([100], 96.0, [(100, 96.0)])


async def test_the_stop_of_a_repair_is_not_sent_twice_while_its_answer_is_on_its_way(desk: Watched) -> None:
    position = await desk.held()
    await desk.wait(60)
    desk.broker._end(desk.broker.order("-S"))
    await desk.manager.drain()
    noticed = desk.clock.now()
    desk.broker.mute = True
    while len(desk.sent_stops()) < 2:
        await desk.guard(0.5)
        assert (desk.clock.now() - noticed).total_seconds() <= 2.0
    await desk.guard(1.5)
    assert position.stop_state == "pending"
    desk.broker.mute = False
    desk.broker.repeat()
    await desk.guard(20)
    assert desk.sent_stops() == [100, 100]
    assert (resting(desk), position.stop_state, position.protection.gaps) == ([(100, 95.0)], "resting", 1)


async def test_a_late_word_of_the_vanished_stop_neither_revives_it_nor_ends_the_new_one(desk: Watched) -> None:
    position = await desk.held()
    old = desk.broker.order("-S")
    before = desk.broker._report(old)
    desk.broker._end(old)
    await desk.guard(2)
    desk.manager.on_order(before)
    await desk.guard(10)
    await desk.watch()
    assert (desk.sent_stops(), resting(desk), position.stop_state) == ([100, 100], [(100, 95.0)], "resting")


async def test_a_stop_that_vanishes_while_it_is_moved_comes_back_once_where_it_was_confirmed(desk: Watched) -> None:
    position = await desk.held()
    await desk.wait(60)
    desk.broker.deaf = True
    await desk.manager.change_stop(position.position_id, 96.0)
    desk.broker.deaf = False
    desk.broker._end(desk.broker.order("-S"))
    await desk.guard(20)
    assert (desk.sent_stops(), resting(desk)) == ([100, 100], [(100, 95.0)])


async def test_a_stop_that_vanishes_while_the_target_fills_comes_back_for_the_rest(desk: Watched) -> None:
    await desk.held()
    await desk.wait(60)
    desk.broker.fill(desk.broker.order("-T"), 30, 110.0)
    desk.broker._end(desk.broker.order("-S"))
    await desk.guard(5)
    assert resting(desk) == [(70, 95.0)]
    assert [ticket.quantity for kind, ticket in desk.broker.wire if kind == "send" and ticket.order_ref.endswith("-S")] == [100, 70]


# --- what the broker refuses ---


class Refusing:
    """Stands before the broker's `send` and refuses stops with 201, while `times` last."""

    def __init__(self, desk: Watched, times: int) -> None:
        self.desk, self.times, self.send = desk, times, desk.broker.send
        self.refused = 0
        desk.broker.send = self  # type: ignore[method-assign, assignment]

    async def __call__(self, tickets: Sequence[OrderTicket]) -> None:
        if self.times <= self.refused or tickets[0].order_type is not OrderType.STOP:
            await self.send(tickets)
            return
        self.refused += 1
        broker = self.desk.broker
        broker.wire += [("send", ticket) for ticket in tickets]
        broker.next_id = max(broker.next_id, tickets[-1].ib_order_id + 1)
        for ticket in tickets:
            broker.listener.on_error(
                ErrorReport(code=201, message="Order rejected", ib_order_id=ticket.ib_order_id, received_at=self.desk.clock.now())
            )


async def lost_and_refused(desk: Watched, times: int) -> tuple[Position, Refusing]:
    """A stop that is gone without a word, found by the watchdog and a reading; the broker takes no other one."""
    position = await desk.held()
    await desk.wait(60)
    refusing = Refusing(desk, times)
    del desk.broker.book[desk.broker.order("-S").ticket.ib_order_id]
    await desk.watch()
    desk.clock.advance(0.5)
    await desk.compared()
    await desk.guard(8)
    assert refusing.refused >= 2
    return position, refusing


def told(desk: Watched) -> list[tuple[str, str]]:
    return [(event.state, event.rule) for event in desk.said(ProtectionEvent)]


async def test_a_lost_stop_refused_twice_is_an_alarm_and_holding_tries_until_it_is_taken(desk: Watched) -> None:
    position, refusing = await lost_and_refused(desk, times=3)
    assert told(desk) == [("alarm", "hold")]
    [alarm] = desk.manager.protection_alarms.values()
    assert (alarm.position_id, "Order rejected" in alarm.detail) == (position.position_id, True)
    await desk.guard(40)
    assert refusing.refused == 3
    assert resting(desk) == [(100, 95.0)]
    assert told(desk) == [("alarm", "hold"), ("restored", "")]
    assert desk.manager.protection_alarms == {}
    assert not [o for o in desk.manager.orders.values() if o.role is OrderRole.EXIT]
    assert position.protection.bare_since is None
    assert position.protection.longest > 10


async def test_a_lost_stop_refused_twice_is_flattened_once_where_that_is_the_rule(desk: Watched) -> None:
    desk.manager.set_protection_rule("flatten")
    position, refusing = await lost_and_refused(desk, times=99)
    assert told(desk)[0] == ("alarm", "flatten")
    assert position.status is PositionStatus.CLOSING
    leaving = desk.broker.order("-X")
    await desk.guard(40)  # it takes its time: no second one meanwhile, and no more stops
    assert [ticket.quantity for kind, ticket in desk.broker.wire if kind == "send" and ticket.order_ref.endswith("-X")] == [100]
    assert refusing.refused == 2
    desk.broker.fill(leaving, 100, 94.0)
    await desk.guard(3)
    assert (position.status, position.reason) == (PositionStatus.CLOSED, "no stop could be placed")
    assert (desk.broker.held(), desk.manager.protection_alarms) == ({}, {})
    assert not [order for order in desk.broker.book.values() if order.live]


async def test_a_rule_that_changes_while_the_alarm_stands_is_followed_from_then_on(desk: Watched) -> None:
    position, _ = await lost_and_refused(desk, times=99)
    await desk.guard(20)
    assert told(desk) == [("alarm", "hold")]
    desk.manager.set_protection_rule("flatten")
    await desk.guard(20)
    assert position.status is PositionStatus.CLOSING
    assert desk.broker.order("-X").quantity == 100
