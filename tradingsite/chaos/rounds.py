"""Random rounds: one seed, one story of wishes and failures, then healing, then the judge."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from events.failpoints import POINTS
from tradingsite.chaos.lane import Lane
from tradingsite.chaos.oracle import Violation
from tradingsite.testing.processes import ROOT, clean_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    number: int
    story: list[str]
    healed_in: float
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        word = "VIOLATED" if self.violations else "ok"
        told = f"{word:11} round {self.number:4} {' '.join(self.story):60} healed in {self.healed_in:5.1f} s"
        return told + "".join(f"\n    {v}" for v in self.violations)


def run_round(lane: Lane, seed: int, number: int) -> Outcome:
    """Three to six steps, wishes and failures mixed; the same (seed, number) gives the same story."""
    story, random = told_by(seed, number), _random(seed, number, "moments")
    if not lane.worker.running or lane.rows("SELECT 1 FROM positions_tradingstate WHERE state <> 'active'"):
        lane.revive_worker()
        lane.ask(do="wish", name="ResumeTrading", reason="the failure is over")
    for name in story:
        STEPS[name][0](lane, random)
        time.sleep(random.uniform(0, 1.5))
    at_failure = lane.examine(settled=False)
    lane.signal_worker(signal.SIGCONT)
    lane.control(clear_faults=True)
    healed_in, found = lane.healed()
    return Outcome(number=number, story=story, healed_in=healed_in, violations=[*at_failure, *found])


def told_by(seed: int, number: int) -> list[str]:
    """The steps of a round."""
    random = _random(seed, number, "steps")
    return random.choices(list(STEPS), weights=[weight for _, weight in STEPS.values()], k=random.randint(3, 6))


def _random(seed: int, number: int, what: str) -> Random:
    return Random(f"{seed}|{number}|{what}")  # noqa: S311 - a story, not a secret


def _approve(lane: Lane, random: Random) -> None:
    lane.revive_worker()
    lane.ask(do="approve", symbol=lane.next_symbol(), quantity=float(random.randint(1, 40)), through=random.choice((0.005, 0.005, -0.02)))


def _close(lane: Lane, random: Random) -> None:
    for position in lane.open_positions()[:2]:
        lane.ask(do="wish", name="ClosePosition", position_id=position)


def _cancel(lane: Lane, random: Random) -> None:
    for (order,) in lane.rows("SELECT order_id FROM positions_orderrecord WHERE role = 'entry' AND state = 'working'"):
        lane.ask(do="wish", name="CancelOrder", order_id=order)


def _kill(lane: Lane, random: Random) -> None:
    lane.worker.kill()


def _fail(lane: Lane, random: Random) -> None:
    worker_points = [point for point in POINTS if not point.startswith("approve.")]
    lane.start_worker(f"{random.choice(worker_points)}:{random.choice(('exit', 'cut', 'raise'))}:{random.randint(1, 3)}")


def _sleep(lane: Lane, random: Random) -> None:
    """The whole process stands still, as a laptop that was closed."""
    lane.signal_worker(signal.SIGSTOP)
    time.sleep(random.uniform(1, 9))
    lane.signal_worker(signal.SIGCONT)


def _restart_gateway(lane: Lane, random: Random) -> None:
    lane.restart_gateway()


def _cut(lane: Lane, random: Random) -> None:
    lane.control(fault="drop_socket")


def _silence(lane: Lane, random: Random) -> None:
    lane.control(fault="ack_lost", match={"kind": random.choice(("LMT", "STP"))}, times=1)


def _disorder(lane: Lane, random: Random) -> None:
    modes = ("status_first", "exec_only", "commission_first", "duplicate", "stale_submitted", "no_commission")
    lane.control(fault="disorder", mode=random.choice(modes), times=1)


def _upstream(lane: Lane, random: Random) -> None:
    lane.control(fault="upstream_lost", seconds=random.uniform(0.5, 4), data_kept=random.random() < 0.5)


# step → (what it does, how often)
STEPS: dict[str, tuple[Callable[[Lane, Random], None], int]] = {
    "approve": (_approve, 8),
    "close": (_close, 4),
    "cancel": (_cancel, 2),
    "kill": (_kill, 3),
    "fail": (_fail, 4),
    "sleep": (_sleep, 1),
    "restart-gateway": (_restart_gateway, 1),
    "cut": (_cut, 2),
    "silence": (_silence, 1),
    "disorder": (_disorder, 2),
    "upstream": (_upstream, 1),
}


def replay(lane: Lane) -> list[Violation]:
    command = [sys.executable, str(ROOT / "manage.py"), "replay", "--verify"]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(lane.environment), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    return [Violation(invariant="I7", detail=line.strip()) for line in done.stdout.splitlines()[-12:]] or [
        Violation(invariant="I7", detail=done.stderr[-300:])
    ]
