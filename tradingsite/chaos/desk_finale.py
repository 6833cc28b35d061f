"""What ends a run over a whole desk: people act without Redis and Celery, processes are measured, the journal is replayed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from random import Random

from tradingsite.chaos import desk_judge
from tradingsite.chaos.desk_lane import DeskLane
from tradingsite.chaos.desk_rounds import Fire, Round
from tradingsite.chaos.desk_sizes import Size, database_connections, sizes
from tradingsite.chaos.oracle import Violation
from tradingsite.testing.processes import ROOT, clean_environment

CARRIED_OUT = 15.0  # seconds for a cancel, a close or a halt without Redis and Celery
SETTLE_SECONDS = 30.0  # for processes to give back what the last round made them hold
Act = tuple[str, Callable[[], str], Callable[[], bool]]


def without_redis_and_celery(fire: Fire) -> Round:
    """Redis dies as often as it comes back, Celery stands still: cancel, close and halt must reach the gateway all the same."""
    told, began = Round(-1, ["without Redis and Celery"]), time.monotonic()
    fire.begin()
    told.story += _something_to_lose(fire)
    held, working = fire.held(), fire.working()
    if not held or not working:
        words = f"could not be tried: {len(held)} held, {len(working)} entries working"
        told.violations.append(Violation(invariant="I10", detail=words))
        return told
    acts: list[Act] = [
        ("cancel", lambda: fire.trader.cancel(working[0]), lambda: working[0] not in fire.working()),
        ("close", lambda: fire.trader.close(held[0][0]), lambda: held[0][0] not in [key for key, *_ in fire.held()]),
        ("halt", fire.trader.halt, lambda: fire.state() == "halted"),
    ]
    over = threading.Event()
    killer = threading.Thread(target=_keep_dead, args=(fire, "redis", over), daemon=True)
    killer.start()
    for child in ("celery", "beat"):
        fire.breaker.pause(child, 120)
    try:
        for act in acts:
            _try(fire.lane, act, told)
    finally:
        over.set()
        killer.join(5)
        fire.breaker.wake_all()
    told.healed_in, found = fire.heal()
    told.violations += found
    told.took = time.monotonic() - began
    return told


def _something_to_lose(fire: Fire) -> list[str]:
    """One position and one entry that rests; what was approved on the way."""
    said, random = [], Random(fire.seed)  # noqa: S311 - a story
    for seen, passive in ((fire.held, False), (fire.working, True)):
        for _ in range(4):
            if fire.lane.wait(seen, 3):
                break
            said.append(f"approve: {fire.trader.approve(fire.symbol(), random, passive=passive)}")
    return said


def _try(lane: DeskLane, act: Act, told: Round) -> None:
    name, do, done = act
    began, said = time.monotonic(), do()
    carried_out = lane.wait(done, CARRIED_OUT)
    told.story.append(f"{name}: {said}, {time.monotonic() - began:.1f} s")
    if not carried_out:
        told.violations.append(Violation(invariant="I10", detail=f"{name} was not carried out: {said}"))


def _keep_dead(fire: Fire, child: str, over: threading.Event) -> None:
    while not over.wait(0.1):
        fire.breaker.kill(child)


class Scales:
    """What the desk held at the start, and whether it is back there."""

    def __init__(self, lane: DeskLane) -> None:
        self._lane = lane
        self._before, self._connections = self._weigh()

    def _weigh(self) -> tuple[dict[str, Size], int]:
        pids = self._lane.pids()
        return sizes(pids), database_connections(pids, self._lane.database)

    def compare(self, say: Callable[[str], object]) -> list[Violation]:
        """Against the start, as soon as all is in its band, at the latest after SETTLE_SECONDS."""
        found: list[Violation] = []
        after, connections = self._weigh()

        def back() -> bool:
            nonlocal found, after, connections
            after, connections = self._weigh()
            found = [*desk_judge.grown(self._before, after), *desk_judge.connections_grown(self._connections, connections)]
            return not found

        self._lane.wait(back, SETTLE_SECONDS, every=1)
        for child, old in self._before.items():
            say(f"{child:10} {old} → {after.get(child)}")
        say(f"database   {self._connections} connections → {connections}")
        return found


def replay(lane: DeskLane) -> list[Violation]:
    """I7, with the desk at rest: folding the journal gives the tables row for row, and its chain of hashes holds."""
    command = [sys.executable, str(ROOT / "manage.py"), "replay", "--verify"]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(lane.environment), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    lines = done.stdout.splitlines()[-12:] or [done.stderr[-300:]]
    return [Violation(invariant="I7", detail=line.strip()) for line in lines]
