"""What happens to a world: wishes and failures, drawn by its seed, then healing, then the judge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from events import failpoints
from events.failpoints import POINTS
from tradingsite.chaos.oracle import Violation
from tradingsite.chaos.simulation.world import SYMBOLS, Desk

Step = Callable[[Desk, Random], Awaitable[None]]


@dataclass(slots=True)
class Told:
    """What came of a story."""

    steps: list[str] = field(default_factory=list)
    healed_in: float = 0.0
    by_hand: int = 0  # families in doubt that a person decided
    violations: list[Violation] = field(default_factory=list)


def story_of(seed: int, told: Told, steps: Sequence[str] = ()) -> Callable[[Desk], Awaitable[None]]:
    """Four to twelve steps, or the given ones; `told` is filled in while it is played."""

    async def story(desk: Desk) -> None:
        draw = Random(f"story|{seed}")  # noqa: S311 - a story, not a secret
        await desk.until(desk.ready, 20)
        drawn = draw.choices(list(STEPS), weights=[weight for _, weight in STEPS.values()], k=draw.randint(4, 12))
        for name in steps or drawn:
            told.steps.append(name)
            await STEPS[name][0](desk, draw)
            await asyncio.sleep(draw.uniform(0, 5))
        told.violations += desk.examine(settled=False)
        failpoints.arm("", {})
        desk.control(clear_faults=True)
        told.healed_in, found = await desk.healed()
        if found and "silent_drop" in desk.struck():
            told.by_hand = _decide(desk)
            _, found = await desk.healed(20.0)
        told.violations += found or await _works_again(desk)

    return story


def _decide(desk: Desk) -> int:
    """Whether IB swallowed an order can not be read from its lists: a person says so, family by family. How often."""
    doubtful = desk.rows("SELECT order_id, perm_id FROM positions_orderrecord WHERE state = 'in_doubt' AND role <> 'stop' ORDER BY 1")
    for order, number in doubtful:
        desk.wish("ResolveDoubt", order_id=order, verdict="over" if number else "never_sent", reason="IB shows no such order")
    return len(doubtful)


async def _works_again(desk: Desk) -> list[Violation]:
    """All is well: trading can be resumed, and one more approval becomes one more order."""
    if desk.rows("SELECT 1 FROM positions_tradingstate WHERE state <> 'active'"):
        desk.wish("ResumeTrading", reason="the failure is over")
        await asyncio.sleep(2)
    answer = await desk.approve(SYMBOLS[0], 1.0, patience=15.0)
    if "command" not in answer:
        return [Violation(invariant="I11", detail=f"an approval is still refused: {answer}")]
    await asyncio.sleep(5)
    [(state, reason)] = desk.rows(f"SELECT state, reason FROM events_commandrecord WHERE id = {answer['command']}")  # noqa: S608
    return [] if state == "done" else [Violation(invariant="I1", detail=f"a healthy desk left an approval {state}: {reason}")]


async def _approve(desk: Desk, draw: Random) -> None:
    symbol, quantity, through = draw.choice(SYMBOLS), float(draw.randint(1, 40)), draw.choice((0.005, 0.005, -0.02))
    await desk.approve(symbol, quantity, through=through, patience=6.0)


async def _close(desk: Desk, draw: Random) -> None:
    for position, _, _ in desk.open_positions()[:2]:
        desk.wish("ClosePosition", position_id=position)


async def _close_part(desk: Desk, draw: Random) -> None:
    for position, _, _ in desk.open_positions()[:1]:
        desk.wish("ClosePosition", position_id=position, quantity=1.0)


async def _move_stop(desk: Desk, draw: Random) -> None:
    for position, _, stop in desk.open_positions():
        if stop:
            desk.wish("ChangeStop", position_id=position, price=round(stop * draw.uniform(0.985, 1.005), 2))


async def _cancel(desk: Desk, draw: Random) -> None:
    for order in desk.resting_entries():
        desk.wish("CancelOrder", order_id=order)


async def _kill(desk: Desk, draw: Random) -> None:
    desk.kill_worker()
    desk.at_crash += desk.examine(settled=False)
    await asyncio.sleep(draw.uniform(0.5, 4))
    desk.revive()


async def _fail(desk: Desk, draw: Random) -> None:
    """Arms a failure in the living worker; a dead one is revived a little later."""
    point, kind = draw.choice(sorted(POINTS)), draw.choice(("exit", "exit", "cut", "raise", "stall"))
    failpoints.arm(f"{point}:{kind}:{draw.randint(1, 4)}", {})


async def _sleep(desk: Desk, draw: Random) -> None:
    await desk.sleep_worker(draw.uniform(1, 20))


async def _restart_gateway(desk: Desk, draw: Random) -> None:
    await desk.restart_gateway(draw.uniform(0.2, 3))


async def _cut(desk: Desk, draw: Random) -> None:
    desk.control(fault="drop_socket")


async def _silence(desk: Desk, draw: Random) -> None:
    desk.control(fault="ack_lost", match={"kind": draw.choice(("LMT", "STP"))}, times=1)


async def _disorder(desk: Desk, draw: Random) -> None:
    modes = ("status_first", "exec_only", "commission_first", "duplicate", "stale_submitted", "no_commission")
    desk.control(fault="disorder", mode=draw.choice(modes), times=draw.randint(1, 3))


async def _upstream(desk: Desk, draw: Random) -> None:
    desk.control(fault="upstream_lost", seconds=draw.uniform(0.5, 8), data_kept=draw.random() < 0.5)


async def _shift(desk: Desk, draw: Random) -> None:
    """A move through stops and targets."""
    desk.control(shift=draw.choice(SYMBOLS), pct=draw.uniform(-7, 7), seconds=draw.uniform(0.5, 4))


async def _steer(desk: Desk, draw: Random) -> None:
    """What else a position's page offers."""
    for position, _, stop in desk.open_positions()[:2]:
        wishes: list[tuple[str, dict[str, Any]]] = [
            ("ChangeTarget", {"price": round(max(stop, 1.0) * draw.uniform(1.06, 1.2), 2)}),
            ("SetTrailing", {"kind": "percent", "value": draw.choice((1.0, 3.0))}),
            ("SetBreakEven", {"at_r": draw.choice((0.1, 0.5))}),
            ("SetTimeStop", {"minutes": 1.0}),
            ("SetPartialTarget", {"at_r": draw.choice((0.1, 0.5)), "percent": 50.0}),
            ("ReversePosition", {"reason": "the story says so"}),
        ]
        name, fields = draw.choice(wishes)
        desk.wish(name, position_id=position, **fields)


async def _flatten(desk: Desk, draw: Random) -> None:
    desk.wish("FlattenAll", reason="the story says so")


async def _halt(desk: Desk, draw: Random) -> None:
    """And resume a little later."""
    desk.wish(draw.choice(("HaltTrading", "ReduceOnly")), reason="the story says so")
    await asyncio.sleep(draw.uniform(0.2, 4))
    desk.wish("ResumeTrading", reason="the story says so")


async def _partials(desk: Desk, draw: Random) -> None:
    """The next entry fills in pieces, perhaps not to its end."""
    sizes = [float(draw.randint(1, 6)) for _ in range(draw.randint(1, 6))]
    desk.control(fault="partials", match={"kind": "LMT", "symbol": draw.choice(SYMBOLS)}, sizes=sizes, delay=draw.uniform(0.05, 2))


async def _refuse(desk: Desk, draw: Random) -> None:
    fault = draw.choice(("reject", "inactive", "silent_drop", "cancel_race", "cancel_ignored"))
    desk.control(fault=fault, match={"kind": draw.choice(("LMT", "STP"))}, times=1)


async def _take_away(desk: Desk, draw: Random) -> None:
    """IB cancels what rests there, unasked."""
    desk.control(fault="unsolicited_cancel", match={"kind": draw.choice(("LMT", "STP")), "symbol": draw.choice(SYMBOLS)})


async def _revise(desk: Desk, draw: Random) -> None:
    """The last execution had another price; or all of the day are told once more."""
    if draw.random() < 0.5:
        desk.control(fault="correction", price=round(draw.uniform(90, 400), 2))
    else:
        desk.control(fault="repeat_executions")


async def _omit(desk: Desk, draw: Random) -> None:
    """The stream leaves out some executions, its heartbeat goes on."""
    desk.control(fault="omit", match={"symbol": draw.choice(SYMBOLS)}, every=draw.randint(1, 4), times=draw.randint(1, 3))


async def _bad_line(desk: Desk, draw: Random) -> None:
    desk.control(fault="transport", mode=draw.choice(("split", "merge", "trickle", "half_open")))
    await asyncio.sleep(draw.uniform(0.5, 12))
    desk.control(fault="transport", mode="normal")


async def _no_prices(desk: Desk, draw: Random) -> None:
    desk.control(fault="data", symbol=draw.choice(SYMBOLS), mode="stale", seconds=draw.uniform(1, 10))


async def _wait(desk: Desk, draw: Random) -> None:
    await asyncio.sleep(draw.uniform(2, 15))


# step → (what it does, how often)
STEPS: dict[str, tuple[Step, int]] = {
    "approve": (_approve, 9),
    "close": (_close, 4),
    "close-part": (_close_part, 2),
    "move-stop": (_move_stop, 3),
    "cancel": (_cancel, 2),
    "kill": (_kill, 3),
    "fail": (_fail, 5),
    "sleep": (_sleep, 1),
    "restart-gateway": (_restart_gateway, 1),
    "cut": (_cut, 2),
    "silence": (_silence, 1),
    "disorder": (_disorder, 2),
    "upstream": (_upstream, 2),
    "shift": (_shift, 2),
    "steer": (_steer, 3),
    "flatten": (_flatten, 1),
    "halt": (_halt, 1),
    "partials": (_partials, 2),
    "refuse": (_refuse, 2),
    "take-away": (_take_away, 1),
    "revise": (_revise, 2),
    "omit": (_omit, 1),
    "bad-line": (_bad_line, 1),
    "no-prices": (_no_prices, 1),
    "wait": (_wait, 4),
}
