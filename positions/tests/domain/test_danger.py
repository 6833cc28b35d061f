"""More stops to send than the line takes at once: the most endangered first, by the newest price, and nobody waits for all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from events.market import PriceEvent
from events.order import OrderRole
from positions.domain import danger
from positions.domain.exit_rules import ExitRules, Pace, Trail, TrailKind
from positions.domain.exit_runner import ExitRunner
from positions.domain.order import Order
from positions.domain.position import Position
from positions.domain.risk import RiskLimits
from positions.tests.domain.desk import Desk
from positions.tests.domain.naive_broker import NaiveBroker


class SlowDesk(Desk):
    """It remembers how much had left at each commit, and what happens while it waits for room on the line."""

    def __init__(self) -> None:
        wide = {"max_open_positions": 100, "max_open_risk": 1e9, "max_symbol_risk": 1e9}
        super().__init__(limits=RiskLimits(**wide))  # type: ignore[arg-type]
        self.broker = NarrowBroker(now=self.clock.now)
        self.left_at_commit: list[int] = []

    async def _commit(self) -> None:
        self.left_at_commit.append(len(self.broker.wire))
        await super()._commit()


class NarrowBroker(NaiveBroker):
    """The line takes `most` messages, then somebody waits; `meanwhile` happens then."""

    most = 1_000
    waits = 0

    def line_room(self, *, routine: bool = False) -> int:
        return self.most

    async def line_free(self, *, routine: bool = False) -> None:
        self.waits += 1
        await self.meanwhile(self.waits)

    async def meanwhile(self, number: int) -> None:
        await asyncio.sleep(0)


@pytest.fixture
async def desk() -> SlowDesk:
    desk = SlowDesk()
    await desk.open()
    return desk


async def hold(desk: Desk, **shares: int) -> dict[str, Position]:
    return {symbol: await desk.held(symbol=symbol, quantity=quantity, take_profit=None) for symbol, quantity in shares.items()}


def lose(desk: Desk, symbol: str, *, leave: float = 0) -> None:
    """The broker ends the stop of a symbol, or lets it protect fewer shares."""
    resting = [order for order in desk.broker.book.values() if order.live and order.ticket.contract.symbol == symbol]
    stop = next(order for order in resting if order.ticket.order_ref.endswith("-S"))
    if leave:
        stop.quantity = leave
        desk.broker.say(stop)
    else:
        desk.broker._end(stop)


def sent(desk: Desk, what: str) -> list[str]:
    return [row.contract.symbol for kind, row in desk.broker.wire if kind == what]


async def test_what_is_bare_gets_its_stop_before_what_is_covered_in_part_and_the_dearest_first(desk: SlowDesk) -> None:
    await hold(desk, AA=50, BB=100, CC=300, DD=200, EE=100)
    desk.broker.wire.clear()
    lose(desk, "EE", leave=10)
    lose(desk, "BB", leave=60)
    for symbol in ("AA", "CC", "DD"):
        lose(desk, symbol)
    await desk.manager.drain()
    for _ in range(3):
        desk.clock.advance(1)
        await desk.manager.guard()
    assert sent(desk, "send") == ["CC", "DD", "AA"]
    kinds = [(kind, row.contract.symbol) for kind, row in desk.broker.wire]
    assert [row for row in kinds if row[0] == "modify"] == [("modify", "EE"), ("modify", "BB")]
    assert kinds.index(("modify", "EE")) > kinds.index(("send", "AA")) or ("modify", "EE") in kinds[:2], kinds


def on_tick(desk: Desk, symbol: str, price: float) -> None:
    desk.quote(symbol, price)
    desk.tracker.on_price(PriceEvent(symbol=symbol, price=price, price_time=desk.clock.now(), timestamp=desk.clock.now()))


async def trailing(desk: SlowDesk, **shares: int) -> tuple[dict[str, Position], ExitRunner]:
    positions = await hold(desk, **shares)
    run = ExitRunner(desk.manager, desk.tracker, desk.clock.now, pace=Pace(seconds=5))
    for position in positions.values():
        await run.arm(position, ExitRules(trail=Trail(kind=TrailKind.PERCENT, value=2)), "armed", by="a trader")
    desk.broker.wire.clear()
    desk.left_at_commit.clear()
    return positions, run


async def test_of_many_trailing_stops_the_one_with_the_most_money_moves_first(desk: SlowDesk) -> None:
    _, run = await trailing(desk, AA=10, BB=30, CC=20, DD=40)
    prices = {"AA": 110.0, "BB": 110.0, "CC": 130.0, "DD": 101.0}
    for symbol, price in prices.items():
        on_tick(desk, symbol, price)
    await run.run_once()
    assert sent(desk, "modify") == ["CC", "BB", "DD", "AA"]


async def test_a_stop_whose_price_moved_on_while_others_were_sent_is_moved_once_to_the_newest_level(desk: SlowDesk) -> None:
    positions, run = await trailing(desk, AA=10, BB=30)
    desk.broker.most = 1
    for symbol in positions:
        on_tick(desk, symbol, 110.0)

    async def meanwhile(number: int) -> None:
        if number == 2:
            on_tick(desk, "AA", 120.0)

    desk.broker.meanwhile = meanwhile  # type: ignore[method-assign]
    await run.run_once()
    moves = [(row.contract.symbol, row.stop_price) for kind, row in desk.broker.wire if kind == "modify"]
    assert moves == [("BB", 107.8), ("AA", 117.6)]


async def test_several_moves_are_durable_with_one_commit_before_the_first_of_them_leaves(desk: SlowDesk) -> None:
    _, run = await trailing(desk, **{f"S{number}": 10 for number in range(danger.MOVES_AT_ONCE)})
    for number in range(danger.MOVES_AT_ONCE):
        on_tick(desk, f"S{number}", 110.0)
    await run.run_once()
    assert len(sent(desk, "modify")) == danger.MOVES_AT_ONCE
    assert desk.left_at_commit == [0]


async def test_moves_that_are_not_durable_do_not_leave(desk: SlowDesk) -> None:
    positions, run = await trailing(desk, AA=10, BB=30)
    for symbol in positions:
        on_tick(desk, symbol, 110.0)
    desk.commit_fails = True
    await run.run_once()
    assert desk.broker.wire == []
    assert [order.pending for order in desk.manager.orders.values() if order.role is OrderRole.STOP] == ["none", "none"]


@pytest.mark.parametrize("bare", [False, True], ids=["while stops trail", "while stops are put back"])
async def test_a_close_that_a_person_asks_for_does_not_wait_for_all_stops(desk: SlowDesk, bare: bool) -> None:
    names = {f"S{number:02d}": 10 for number in range(20)}
    positions, run = await trailing(desk, **names)
    desk.broker.most = 4
    asked: list[asyncio.Task[Any]] = []

    async def meanwhile(number: int) -> None:
        if not asked:
            asked.append(asyncio.create_task(desk.manager.close_position(positions["S00"].position_id, reason="out")))
        await asyncio.sleep(0)

    for symbol in names:
        if bare and symbol != "S00":
            lose(desk, symbol)
        on_tick(desk, symbol, 110.0)
    await desk.manager.drain()
    desk.broker.meanwhile = meanwhile  # type: ignore[method-assign]
    desk.clock.advance(1)
    await (desk.manager.guard() if bare else run.run_once())
    assert isinstance(await asked[0], Order)
    refs = [row.order_ref[-2:] for kind, row in desk.broker.wire if kind in ("send", "modify")]
    assert refs.count("-S") >= 19
    assert refs.index("-X") <= 9, refs
