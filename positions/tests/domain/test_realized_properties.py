"""Whatever is filled, corrected and busted: what the rows of fills say was realized is what the fills that remain give, in order."""

from __future__ import annotations

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.order import OrderSide
from positions.domain.ledger import fold_all
from positions.tests.domain.desk import Desk
from positions.tests.domain.test_corrections import realized

STEPS = st.one_of(
    st.tuples(st.just("buy"), st.integers(1, 60), st.integers(90, 110)),
    st.tuples(st.just("sell"), st.integers(1, 60), st.integers(90, 110)),
    st.tuples(st.just("bust"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("quantity"), st.integers(0, 9), st.integers(1, 60)),
    st.tuples(st.just("price"), st.integers(0, 9), st.integers(90, 110)),
)


async def play(steps: list[tuple[str, int, int]]) -> tuple[float, float, float, float]:
    """(realized by the rows of fills, realized by the fills that remain, held by our book, held by those fills)"""
    desk = await Desk().open()
    order = await desk.entered(quantity=100, stop_loss=80.0, take_profit=120.0)
    entry, stop = desk.broker.book[order.ib_order_id], desk.broker.order("-S")
    for kind, first, second in steps:
        made = desk.broker.executions
        if kind in ("buy", "sell"):
            resting = entry if kind == "buy" else stop
            quantity = min(first, desk.broker.room(resting) if resting.live else 0)
            if quantity > 0:
                desk.broker.fill(resting, quantity, float(second))
        elif first < len(made) and not made[first].liquidation:  # a bust is the last word
            change = {"bust": {"bust": True}, "quantity": {"quantity": second}, "price": {"price": float(second)}}[kind]
            desk.broker.correct(first, **change)
        await desk.manager.drain()
        if desk.manager.needs_reconcile:  # a sale of what is not known to be held waits for a reading
            desk.clock.advance(3)
            await desk.manager.reconcile(await desk.broker.snapshot())
    remaining = [e for e in desk.broker.executions if not e.liquidation]
    truth = fold_all((e.quantity if e.side is OrderSide.BUY else -e.quantity, e.price) for e in remaining)
    ours = sum(position.held for position in desk.tracker.active())
    return sum(realized(desk).values()), float(truth.realized), ours, float(truth.quantity)


@example([("buy", 60, 100), ("buy", 40, 100), ("sell", 60, 94), ("sell", 40, 94), ("bust", 0, 0)])
@example([("buy", 60, 100), ("sell", 60, 110), ("bust", 0, 0), ("quantity", 1, 30)])
@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=9))
def test_the_rows_of_fills_say_what_the_fills_that_remain_give(steps: list[tuple[str, int, int]]) -> None:
    by_rows, by_fills, ours, held = asyncio.run(play(steps))
    assert abs(ours - held) < 1e-9
    assert abs(by_rows - by_fills) < 0.005
