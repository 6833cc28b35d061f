"""What happens to a world: wishes and failures, drawn by its seed, then healing, then the judge.

There is no Redis in any world: what it would carry has to arrive without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from tradingsite.chaos.oracle import Violation
from tradingsite.chaos.simulation import failures, wishes
from tradingsite.chaos.simulation.world import SYMBOLS, Desk

Step = Callable[[Desk, Random], Awaitable[None]]
PAUSE = 0.6  # seconds between two steps, on average
MORE_TASKS = 12  # than a fresh worker has, at most, when all is over
# A page's price is up to three seconds old, the worker's is not: a person reads why and approves again.
MARKET_MOVED = ("price_collar", "crossed_quote", "stale_quote", "no_quote", "moved_price", "moved_position", "clock_skew")
PATIENCE = 40.0  # virtual seconds a person tries with one symbol
SWALLOWS = frozenset({"silent_drop"})  # after these IB's lists prove nothing


@dataclass(slots=True)
class Told:
    """What came of a story."""

    steps: list[str] = field(default_factory=list)
    healed_in: float = 0.0
    by_hand: int = 0  # times a person had to decide
    violations: list[Violation] = field(default_factory=list)


def story_of(seed: int, told: Told, steps: Sequence[str] = ()) -> Callable[[Desk], Awaitable[None]]:
    """Four to fourteen steps, or the given ones; `told` is filled in while it is played."""

    async def story(desk: Desk) -> None:
        draw = Random(f"story|{seed}")  # noqa: S311 - a story, not a secret
        await desk.until(desk.ready, 20)
        fresh = desk.tasks()
        drawn = draw.choices(list(STEPS), weights=[weight for _, weight in STEPS.values()], k=draw.randint(4, 14))
        for name in steps or drawn:
            told.steps.append(name)
            await STEPS[name][0](desk, draw)
            await asyncio.sleep(draw.expovariate(1 / PAUSE))
        told.violations += desk.examine(settled=False)
        await desk.end_failures()
        told.healed_in, found = await desk.healed()
        if found and (desk.swallowed or desk.struck() & SWALLOWS or desk.passed_over()):
            told.by_hand = _decide(desk)
            _, found = await desk.healed(20.0)
        if found and (put_right := _put_right(desk)):
            told.by_hand += put_right
            _, found = await desk.healed(20.0)
        told.violations += found or await _works_again(desk)
        told.violations += _grown(desk, fresh)

    return story


def _decide(desk: Desk) -> int:
    """Whether IB swallowed an order, or never read one before it took a later number, can not be read from its lists: a person says
    so, family by family. How often."""
    doubtful = desk.doubtful()
    for order, number in doubtful:
        desk.wish("ResolveDoubt", order_id=order, verdict="over" if number else "never_sent", reason="IB shows no such order")
    return len(doubtful)


def _put_right(desk: Desk) -> int:
    """What pages call for: shares held elsewhere (released, filled too late) are taken back, and a position that nobody meant to
    open, because its exit filled after its entry was busted, has no stop and is closed. Adopted shares whose purchase was busted
    are let go. How many."""
    elsewhere = desk.held_elsewhere()
    for symbol in elsewhere:
        wishes.take_back(desk, symbol, 0.0)
    bare = [position for position, _, stop, _ in desk.open_positions() if not stop]
    for position in bare:
        desk.wish("ClosePosition", position_id=position)
    gone = desk.adopted_and_gone()
    for position, held in gone:
        desk.wish("ReleasePosition", position_id=position, quantity=held, reason=wishes.WHY)
    return len(elsewhere) + len(bare) + len(gone)


async def _works_again(desk: Desk) -> list[Violation]:
    """All is well: trading can be resumed, one more approval becomes one more order, and all is well after it too."""
    await asyncio.sleep(2.5)  # a state that could not be written is written with the next look at it
    if desk.rows("SELECT 1 FROM positions_tradingstate WHERE state <> 'active'"):
        desk.wish("ResumeTrading", reason="the failure is over")
        await asyncio.sleep(2)
    held, until = [name for name, _ in desk.sides()], desk.loop.time() + PATIENCE
    symbols = sorted(SYMBOLS, key=held.count)
    state, code, reason = "refused", "", ""
    while state == "refused" and code in ("", *MARKET_MOVED) and desk.loop.time() < until:
        direction = dict(desk.sides()).get(symbols[0], 1)  # a reversal may just be opening the other side
        answer = await desk.approve(symbols[0], 1.0, direction=direction, patience=until - desk.loop.time())
        if "command" in answer:
            state, code, reason = await _end_of_wish(desk, answer["command"])
        elif symbols[1:] and _rightly(desk, str(answer.get("refused")), symbols[0], direction):
            del symbols[0]
            until = desk.loop.time() + PATIENCE
        else:
            return [Violation(invariant="I11", detail=f"an approval is still refused: {answer}")]
    if state != "done":
        return [Violation(invariant="I1", detail=f"a healthy desk left an approval {state}: {reason}")]
    await asyncio.sleep(1)
    return (await desk.healed(15.0))[1]


def _rightly(desk: Desk, code: str, symbol: str, direction: int) -> bool:
    """Refused with reason: an exit of ours rests where this entry would trade, or the other side is held; both, when an entry filled
    after its reversal."""
    return code == "self_cross" or (code == "opposite_position" and (symbol, -direction) in desk.sides())


async def _end_of_wish(desk: Desk, command: int) -> tuple[str, str, str]:
    """State, refusal code and reason of a wish, in eight seconds at most."""
    query = f"SELECT state, code, reason FROM events_commandrecord WHERE id = {command}"  # noqa: S608 - a number
    await desk.until(lambda: desk.rows(query)[0][0] not in ("pending", "claimed"), 8)
    [(state, code, reason)] = desk.rows(query)
    return state, code, reason


def _grown(desk: Desk, fresh: dict[str, int]) -> Iterator[Violation]:
    """I12: nothing was left behind in memory."""
    now = desk.tasks()
    if sum(now.values()) > sum(fresh.values()) + MORE_TASKS:
        more = {name: count for name, count in now.items() if count > fresh.get(name, 0)}
        yield Violation(invariant="I12", detail=f"{sum(now.values())} tasks, {sum(fresh.values())} at first; more of {more}")
    sockets = desk.control(query="sockets")["rows"]["open"]
    if sockets > 1:
        yield Violation(invariant="I12", detail=f"{sockets} connections to the gateway")


# step → (what it does, how often)
STEPS: dict[str, tuple[Step, int]] = {
    "approve": (wishes.approve, 12),
    "close": (wishes.close, 4),
    "close-part": (wishes.close_part, 2),
    "move-stop": (wishes.move_stop, 3),
    "cancel": (wishes.cancel, 2),
    "steer": (wishes.steer, 5),
    "flatten": (wishes.flatten, 1),
    "halt": (wishes.halt, 1),
    "release": (wishes.release, 1),
    "acknowledge": (wishes.acknowledge, 1),
    "resolve": (wishes.resolve, 1),
    "wait": (wishes.wait, 4),
    "kill": (failures.kill, 2),
    "kill-anywhere": (failures.kill_anywhere, 3),
    "freeze-anywhere": (failures.freeze_anywhere, 1),
    "fail": (failures.fail, 5),
    "sleep": (failures.sleep, 1),
    "restart-gateway": (failures.restart_gateway, 1),
    "daily-restart": (failures.daily_restart, 1),
    "bad-disk": (failures.bad_disk, 2),
    "wrong-clock": (failures.wrong_clock, 1),
    "night": (failures.night, 1),
    "cut": (failures.cut, 2),
    "bad-line": (failures.bad_line, 1),
    "upstream": (failures.upstream, 2),
    "flap": (failures.flap, 1),
    "busy": (failures.busy, 1),
    "notice": (failures.notice, 1),
    "silence": (failures.silence, 1),
    "refuse": (failures.refuse, 3),
    "take-away": (failures.take_away, 1),
    "partials": (failures.partials, 2),
    "late-fill": (failures.late_fill, 1),
    "disorder": (failures.disorder, 2),
    "omit": (failures.omit, 1),
    "revise": (failures.revise, 2),
    "shift": (failures.shift, 3),
    "bad-prices": (failures.bad_prices, 1),
}
