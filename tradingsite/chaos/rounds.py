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


def _restart(lane: Lane, random: Random) -> None:
    """As a supervisor does it: SIGTERM, and a new one at once."""
    if lane.worker.running:
        lane.worker.terminate()
    lane.start_worker()


def _fail(lane: Lane, random: Random) -> None:
    """At any failpoint, from the process's first step on or in the middle of its life."""
    worker_points = [point for point in POINTS if not point.startswith("approve.")]
    failpoint = f"{random.choice(worker_points)}:{random.choice(('exit', 'cut', 'raise', 'stall'))}:{random.randint(1, 3)}"
    if random.random() < 0.5 and lane.worker.running:
        lane.arm(failpoint)
    else:
        lane.start_worker(failpoint)


def _sleep(lane: Lane, random: Random) -> None:
    """The whole process stands still, as a laptop that was closed."""
    lane.signal_worker(signal.SIGSTOP)
    time.sleep(random.uniform(1, 9))
    lane.signal_worker(signal.SIGCONT)


def _freeze_gateway(lane: Lane, random: Random) -> None:
    lane.gateway.signal(signal.SIGSTOP)
    time.sleep(random.uniform(1, 9))
    lane.gateway.signal(signal.SIGCONT)


def _restart_gateway(lane: Lane, random: Random) -> None:
    lane.restart_gateway()


def _cut(lane: Lane, random: Random) -> None:
    lane.control(fault="drop_socket")


def _silence(lane: Lane, random: Random) -> None:
    lane.control(fault="ack_lost", match={"kind": random.choice(("LMT", "STP"))}, times=1)


def _slow(lane: Lane, random: Random) -> None:
    """A bad network: bytes by the handful, held back, or two thousand a second; until the round ends or the link does."""
    lane.control(fault="transport", mode=random.choice(("split", "merge", "trickle")))


def _deafen(lane: Lane, random: Random) -> None:
    """Nothing comes through for a while; then the network is back, and the old connection is gone."""
    lane.control(fault="transport", mode="half_open")
    time.sleep(random.uniform(1, 6))
    lane.control(fault="drop_socket")


def _disorder(lane: Lane, random: Random) -> None:
    modes = ("status_first", "exec_only", "commission_first", "stale_submitted", "no_commission")
    lane.control(fault="disorder", mode=random.choice(modes), times=1)


def _duplicate(lane: Lane, random: Random) -> None:
    """The next execution is told twice, and all of the day are told again."""
    lane.control(fault="disorder", mode="duplicate", times=2)
    lane.control(fault="repeat_executions")


def _parts(lane: Lane, random: Random) -> None:
    """The next order is filled in parts."""
    lane.control(fault="partials", sizes=[1.0, 2.0, 3.0, 100.0], delay=random.uniform(0, 0.5), times=1)


def _correct(lane: Lane, random: Random) -> None:
    """An execution of today happened at another price."""
    executions = lane.control(query="executions")["rows"]
    if executions:
        chosen = random.choice(executions[-4:])
        base = chosen["exec_id"].rpartition(".")[0]
        newest = [row["exec_id"] for row in executions if row["exec_id"].rpartition(".")[0] == base][-1]
        lane.control(fault="correction", exec_id=newest, price=round(chosen["price"] * random.uniform(0.99, 1.01), 2))


def _upstream(lane: Lane, random: Random) -> None:
    lane.control(fault="upstream_lost", seconds=random.uniform(0.5, 4), data_kept=random.random() < 0.5)


# step → (what it does, how often)
STEPS: dict[str, tuple[Callable[[Lane, Random], None], int]] = {
    "approve": (_approve, 8),
    "close": (_close, 4),
    "cancel": (_cancel, 2),
    "kill": (_kill, 3),
    "fail": (_fail, 4),
    "restart": (_restart, 1),
    "sleep": (_sleep, 1),
    "freeze-gateway": (_freeze_gateway, 1),
    "restart-gateway": (_restart_gateway, 1),
    "cut": (_cut, 2),
    "slow": (_slow, 2),
    "deafen": (_deafen, 1),
    "silence": (_silence, 1),
    "disorder": (_disorder, 2),
    "duplicate": (_duplicate, 1),
    "parts": (_parts, 1),
    "correct": (_correct, 2),
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
