"""Rounds of a whole desk: one seed, one story of a trader's acts and of failures, then healing, then the judge.

No proxy stands in the way of a connection here: `desk` starts its own Redis and gateway only where it is told no address of
others. Links are cut at the gateway's end instead.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tradingsite.chaos import desk_judge
from tradingsite.chaos.desk_browser import Watcher
from tradingsite.chaos.desk_lane import CHILDREN, DeskLane, Size
from tradingsite.chaos.desk_trader import Trader
from tradingsite.chaos.lane import HEAL_SECONDS, SYMBOLS
from tradingsite.chaos.oracle import Violation

WARM_UP = 10.0  # seconds of quiet before processes are measured
ACT_SECONDS = 15.0  # a cancel, a close or a halt without Redis and Celery
Say = Callable[[str], object]


@dataclass(slots=True)
class Round:
    """One story and what became of it."""

    number: int
    story: list[str] = field(default_factory=list)  # each step with what came of it
    healed_in: float = 0.0
    marks: list[str] = field(default_factory=list)  # how soon pages said that they were stale
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        word = "VIOLATED" if self.violations else "ok"
        told = f"{word:9} round {self.number:3} healed in {self.healed_in:5.1f} s  {', '.join(self.story)}"
        told += f"  [{'; '.join(self.marks)}]" if self.marks else ""
        return told + "".join(f"\n    {violation}" for violation in self.violations)


class Fire:
    """The desk, its watcher and its trader, over all rounds."""

    def __init__(self, lane: DeskLane, trader: Trader, watcher: Watcher, seed: int) -> None:
        self.lane, self.trader, self.watcher, self.seed = lane, trader, watcher, seed
        self.loaded_at = watcher.take()["positions"].loaded_at
        self._next = 0

    def symbol(self) -> str:
        """The next one that is not held; the next one when all are."""
        taken = {name for (name,) in self.lane.rows("SELECT symbol FROM positions_positionrecord WHERE status <> 'closed'")}
        for _ in SYMBOLS:
            self._next += 1
            if SYMBOLS[self._next % len(SYMBOLS)] not in taken:
                break
        return SYMBOLS[self._next % len(SYMBOLS)]

    def held(self) -> list[tuple[str, float, float, float]]:
        """(position, quantity, stop, price) of every open position."""
        sql = (
            "SELECT position_id, quantity, stop_loss, current_price FROM positions_positionrecord "
            "WHERE status = 'open' AND quantity <> 0 AND stop_loss IS NOT NULL AND current_price IS NOT NULL ORDER BY created_at"
        )
        return [(key, float(quantity), float(stop), float(price)) for key, quantity, stop, price in self.lane.rows(sql)]

    def round(self, number: int) -> Round:
        random, told = Random(f"{self.seed}|{number}|moments"), Round(number)  # noqa: S311 - a story, not a secret
        self.make_active()
        self.watcher.renew_signals()
        self.watcher.take()
        self.lane.outages.clear()
        for step in told_by(self.seed, number):
            told.story.append(f"{step}: {came}" if (came := _do(self, step, random)) else step)
            time.sleep(random.uniform(0, 1.5))
        while self.lane.stopped():
            time.sleep(0.1)
        told.violations += self.lane.examine(settled=False)
        self.lane.control(clear_faults=True)
        told.healed_in, found = self.heal()
        told.violations += found
        self._judge_pages(told)
        return told

    def heal(self) -> tuple[float, list[Violation]]:
        """(seconds it took, what is still wrong after 30 of them)."""
        began, found = time.monotonic(), list[Violation]()

        def well() -> bool:
            nonlocal found
            unfit = self.lane.unfit_because()
            found = [Violation(invariant="I11", detail=unfit)] if unfit else []
            found += self.lane.examine()
            found += desk_judge.shown(self.watcher.rows(), self.lane.ledger, self.lane.database)
            found += [] if self.watcher.live() else [Violation(invariant="I11", detail="a page still says that it is stale")]
            return not found

        self.lane.wait(well, HEAL_SECONDS)
        return time.monotonic() - began, found

    def _judge_pages(self, told: Round) -> None:
        taken = self.watcher.take()
        for page, notes in taken.items():
            first = self.loaded_at if page == "positions" else notes.loaded_at
            told.violations += desk_judge.noted(page, notes, self.lane.outages, first)
        for outage in self.lane.outages:
            if outage.child in ("ibworker", "web"):
                took = desk_judge.seconds_to_stale(taken["positions"], outage)
                words = "never" if took is None else f"after {took:.1f} s"
                cards = max((mark.buttons for mark in taken["signals"].marks if outage.began <= mark.at <= outage.ended), default=0)
                told.marks.append(f"{outage.child} stood {outage.ended - outage.began:.1f} s, stale {words}, {cards} approve buttons")

    def make_active(self) -> None:
        if self.state() != "active":
            self.trader.resume()
            self.lane.wait(lambda: self.state() == "active", ACT_SECONDS)

    def state(self) -> str:
        return str(next(iter(self.lane.rows("SELECT state FROM positions_tradingstate")), ["active"])[0])


def told_by(seed: int, number: int) -> list[str]:
    """Three to six steps, at least one approval and one failure."""
    random = Random(f"{seed}|{number}|steps")  # noqa: S311 - a story, not a secret
    names, weights = list(STEPS), [weight for _, weight in STEPS.values()]
    failures = [name for name in names if name.split()[0] in ("kill", "stop", "gateway")]
    steps = ["approve", *random.choices(names, weights=weights, k=random.randint(1, 4))]
    steps.insert(random.randint(0, len(steps)), random.choice(failures))
    return steps


def _do(fire: Fire, step: str, random: Random) -> str:
    return STEPS[step][0](fire, random)


def _approve(fire: Fire, random: Random) -> str:
    return fire.trader.approve(fire.symbol(), random)


def _close(fire: Fire, random: Random) -> str:
    held = fire.held()
    return fire.trader.close(random.choice(held)[0]) if held else "nothing held"


def _move_stop(fire: Fire, random: Random) -> str:
    held = fire.held()
    if not held:
        return "nothing held"
    position, _, stop, price = random.choice(held)
    return fire.trader.move_stop(position, stop + 0.2 * (price - stop))


def _halt_and_resume(fire: Fire, random: Random) -> str:
    return f"{fire.trader.halt()}, {fire.trader.resume()}"


def _kill(child: str) -> Callable[[Fire, Random], str]:
    def step(fire: Fire, random: Random) -> str:
        return "" if fire.lane.kill(child) else "dead already"

    return step


def _stop(child: str) -> Callable[[Fire, Random], str]:
    def step(fire: Fire, random: Random) -> str:
        seconds = random.uniform(1, 15)
        fire.lane.pause(child, seconds)
        return f"{seconds:.1f} s"

    return step


def _cut(fire: Fire, random: Random) -> str:
    return _said(fire.lane.control(fault="drop_socket"))


def _upstream(fire: Fire, random: Random) -> str:
    return _said(fire.lane.control(fault="upstream_lost", seconds=random.uniform(0.5, 4), data_kept=random.random() < 0.5))


def _silence(fire: Fire, random: Random) -> str:
    return _said(fire.lane.control(fault="ack_lost", match={"kind": random.choice(("LMT", "STP"))}, times=1))


def _said(answer: dict[str, object]) -> str:
    return "" if answer.get("ok") else "not heard"


# step → (what it does, how often); "stop CHILD" is SIGSTOP for 1 to 15 s
STEPS: dict[str, tuple[Callable[[Fire, Random], str], float]] = {
    "approve": (_approve, 8), "close": (_close, 5), "move-stop": (_move_stop, 3), "halt+resume": (_halt_and_resume, 1),
    **{f"kill {child}": (_kill(child), 0.6) for child in CHILDREN},
    **{f"stop {child}": (_stop(child), 0.6) for child in CHILDREN},
    "kill ibworker": (_kill("ibworker"), 1.5), "stop ibworker": (_stop("ibworker"), 1.5),
    "gateway cut": (_cut, 1), "gateway upstream": (_upstream, 1), "gateway silent": (_silence, 1),
}  # fmt: skip


def without_redis_and_celery(fire: Fire) -> Round:
    """Redis dies as often as it comes back, Celery stands still: cancel, close and halt must reach the gateway all the same."""
    told, random, lane = Round(-1, ["without Redis and Celery"]), Random(fire.seed), fire.lane  # noqa: S311 - a story
    fire.make_active()
    for seen, passive in ((fire.held, False), (lambda: _working(lane), True)):
        for _ in range(4):
            if lane.wait(seen, 3):
                break
            told.story.append(f"approve: {fire.trader.approve(fire.symbol(), random, passive=passive)}")
    held, working = fire.held(), _working(lane)
    if not held or not working:
        told.violations.append(Violation(invariant="I10", detail=f"could not be tried: {len(held)} held, {len(working)} entries working"))
        return told
    over = threading.Event()
    killer = threading.Thread(target=_keep_dead, args=(lane, "redis", over), daemon=True)
    killer.start()
    lane.pause("celery", 120)
    lane.pause("beat", 120)
    try:
        for name, act, done in (
            ("cancel", lambda: fire.trader.cancel(working[0]), lambda: working[0] not in _working(lane)),
            ("close", lambda: fire.trader.close(held[0][0]), lambda: held[0][0] not in [key for key, *_ in fire.held()]),
            ("halt", fire.trader.halt, lambda: fire.state() == "halted"),
        ):
            began, said = time.monotonic(), act()
            carried_out = lane.wait(done, ACT_SECONDS)
            told.story.append(f"{name}: {said}, {time.monotonic() - began:.1f} s")
            if not carried_out:
                told.violations.append(Violation(invariant="I10", detail=f"{name} was not carried out: {said}"))
    finally:
        over.set()
        killer.join(5)
        lane.wake_all()
    told.healed_in, found = fire.heal()
    told.violations += found
    return told


def _working(lane: DeskLane) -> list[str]:
    return [key for (key,) in lane.rows("SELECT order_id FROM positions_orderrecord WHERE role = 'entry' AND state = 'working'")]


def _keep_dead(lane: DeskLane, child: str, over: threading.Event) -> None:
    while not over.wait(0.1):
        lane.kill(child)


def run(folder: Path, seed: int, numbers: list[int], database: str, say: Say, *, finale: bool = True) -> bool:
    """True when no invariant was violated. `numbers` are the rounds; `finale` adds I10 and I12."""
    began, lane = time.monotonic(), DeskLane(folder, database=database)
    say(f"seed {seed}, {len(numbers)} rounds of a whole desk, {'PostgreSQL' if database else 'SQLite'}; reproduce: --seed {seed} --round N")
    rounds: list[Round] = []
    try:
        lane.open()
        trader = Trader(lane)
        trader.log_in()
        with Watcher(lane, trader.cookies) as watcher:
            fire = Fire(lane, trader, watcher, seed)
            time.sleep(WARM_UP)
            before = lane.sizes()
            for number in numbers:
                rounds.append(fire.round(number))
                say(str(rounds[-1]))
            if finale:
                rounds.append(without_redis_and_celery(fire))
                say(str(rounds[-1]))
                time.sleep(WARM_UP)
                rounds[-1].violations += _sized(before, lane, say)
        filed = trader.accepted
    finally:
        lane.close()
    return _tell(rounds, filed, time.monotonic() - began, say)


def _sized(before: dict[str, Size], lane: DeskLane, say: Say) -> list[Violation]:
    after = lane.sizes()
    for child, old in before.items():
        say(f"{child:10} {old} → {after.get(child)}")
    return list(desk_judge.grown(before, after))


def _tell(rounds: list[Round], filed: int, seconds: float, say: Say) -> bool:
    violations = [violation for told in rounds for violation in told.violations]
    found = Counter(violation.invariant for violation in violations)
    for name, words in desk_judge.INVARIANTS.items():
        say(f"{name:4} {words:66} {found[name]} violations")
    slowest = max((told.healed_in for told in rounds), default=0.0)
    say(f"{len(rounds)} rounds, {filed} wishes filed, slowest healing {slowest:.1f} s, whole run {seconds:.0f} s")
    say("PROVEN: no invariant was violated" if not violations else f"NOT PROVEN: {len(violations)} violations")
    return not violations
