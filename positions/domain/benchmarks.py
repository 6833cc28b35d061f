"""How fast marks and fills go through the domain, beside the least that could do the work at all.

`rows()` gives dictionaries of name, ours, peer, ratio and unit; a ratio is ours / peer of the same run, so that it says
something on any machine. Nothing here is a test, and nothing waits for a clock.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from time import perf_counter
from typing import Any

from events.bus import EventBus
from events.market import PriceEvent
from positions.domain.ledger import Execution, FillLedger
from positions.domain.tracker import PositionTracker

POSITIONS = 500
TICKS = 200_000
ROUNDS = 5


def rows() -> list[dict[str, Any]]:
    """All rows of this folder."""
    through = ticks_through_the_bus()
    a_million = through | {"peer": 1_000_000.0, "peer_name": "1 M/s", "ratio": through["ours"] / 1_000_000}
    return [through, a_million, ticks_into_the_tracker(), executions_into_the_ledger()]


def ticks_through_the_bus() -> dict[str, Any]:
    """Tick → bus → tracker, 500 positions with stop and target, conflated; the peer is an inline loop over plain lists."""
    return asyncio.run(_ticks("tick → bus → tracker, 500 positions", through_bus=True))


def ticks_into_the_tracker() -> dict[str, Any]:
    """The tracker's own part of it."""
    return asyncio.run(_ticks("tick → tracker, 500 positions", through_bus=False))


def executions_into_the_ledger() -> dict[str, Any]:
    """New executions per second with revisions and Decimal, against a dictionary of floats."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    executions = [
        Execution(exec_id=f"0001.{number:06x}.01.01", quantity=Decimal(100), price=Decimal("150.25"), time=at) for number in range(20_000)
    ]

    def ours() -> None:
        ledger = FillLedger()
        for execution in executions:
            ledger.add(execution)

    def peer() -> None:
        known: dict[str, float] = {}
        for execution in executions:
            if execution.exec_id not in known:
                known[execution.exec_id] = 100.0

    return _row("execution → ledger", ours, peer, len(executions), "executions/s") | {"peer_name": "a dictionary"}


async def _ticks(name: str, *, through_bus: bool) -> dict[str, Any]:
    bus = EventBus()
    tracker = PositionTracker(bus)
    for number in range(POSITIONS):
        await tracker.create_stock_position(f"S{number}", 100, 100.0, stop_loss=95.0, take_profit=110.0)
    events = _walk()
    for event in events:  # the extremes of the walk are made once, as in a session that has been running
        tracker.on_price(event)
    mark = {symbol: index for index, symbol in enumerate(f"S{number}" for number in range(POSITIONS))}
    last, low, high = [100.0] * POSITIONS, [95.0] * POSITIONS, [110.0] * POSITIONS

    def peer() -> None:
        for event in events:
            index = mark[event.symbol]
            price = event.price or 0.0
            if low[index] <= price <= high[index]:
                last[index] = price

    if not through_bus:

        def direct() -> None:
            for event in events:
                tracker.on_price(event)

        return _row(name, direct, peer, len(events), "ticks/s")

    times: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        start = perf_counter()
        for event in events:
            await bus.emit(event)
        middle = perf_counter()
        peer()
        times.append((middle - start, perf_counter() - middle))
    return _rates(name, times, len(events), "ticks/s")


def _walk() -> list[PriceEvent]:
    """A bounded walk of every symbol in turn, made before the clock starts."""
    cents = [10_000] * POSITIONS
    events = []
    for number in range(TICKS):
        index = number % POSITIONS
        cents[index] += (number * 7919) % 21 - 10
        cents[index] = min(10_400, max(9_700, cents[index]))
        events.append(PriceEvent(symbol=f"S{index}", price=cents[index] / 100))
    return events


def _row(name: str, ours: Callable[[], None], peer: Callable[[], None], count: int, unit: str) -> dict[str, Any]:
    times = []
    for _ in range(ROUNDS):  # in turn, so that a busy machine is busy for both
        start = perf_counter()
        ours()
        middle = perf_counter()
        peer()
        times.append((middle - start, perf_counter() - middle))
    return _rates(name, times, count, unit)


def _rates(name: str, times: list[tuple[float, float]], count: int, unit: str, peer_name: str = "an inline loop") -> dict[str, Any]:
    ours = count / statistics.median(mine for mine, _ in times)
    peer = count / statistics.median(theirs for _, theirs in times)
    return {"name": name, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ours / peer, "unit": unit}
