"""A run over a whole desk from its start to the account: rounds, finale, replay, I1 to I12 each with its count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Error as PlaywrightError

from tradingsite.chaos import desk_judge
from tradingsite.chaos.desk_browser import Watcher
from tradingsite.chaos.desk_finale import Scales, replay, without_redis_and_celery
from tradingsite.chaos.desk_lane import DeskLane
from tradingsite.chaos.desk_rounds import Fire, Round
from tradingsite.chaos.desk_steps import is_failure
from tradingsite.chaos.desk_trader import Trader
from tradingsite.chaos.oracle import Violation

WARM_UP = 5.0  # seconds of quiet before processes are measured
Say = Callable[[str], object]


@dataclass(slots=True)
class Account:
    """What a run tells at its end. `unproven` are the invariants that were not looked at."""

    rounds: list[Round] = field(default_factory=list)
    afterwards: list[Violation] = field(default_factory=list)
    unproven: tuple[str, ...] = ()
    filed: int = 0
    finished: bool = False  # a run that was ended before its time has proven nothing

    def violations(self) -> list[Violation]:
        return [violation for told in self.rounds for violation in told.violations] + self.afterwards

    def tell(self, seconds: float, say: Say) -> bool:
        """True when the run came to its end and no invariant was violated."""
        violations = self.violations()
        found = Counter(violation.invariant for violation in violations)
        for name, words in desk_judge.INVARIANTS.items():
            say(f"{name:4} {words:66} {'not tried' if name in self.unproven else f'{found[name]} violations'}")
        healed, took = [told.healed_in for told in self.rounds], [told.took for told in self.rounds]
        failures = Counter(step.partition(":")[0] for told in self.rounds for step in told.story if is_failure(step.partition(":")[0]))
        say("failures: " + ", ".join(f"{name} {count}" for name, count in sorted(failures.items())))
        say(
            f"{len(self.rounds)} rounds, {self.filed} wishes filed, slowest healing {max(healed, default=0):.1f} s, "
            f"a round {sum(took) / max(1, len(took)):.1f} s, whole run {seconds:.0f} s"
        )
        if not self.finished:
            say(f"NOT PROVEN: ended before its time, {len(violations)} violations until then")
        else:
            say("PROVEN: no invariant was violated" if not violations else f"NOT PROVEN: {len(violations)} violations")
        return self.finished and not violations


def run(folder: Path, seed: int, numbers: list[int], database: str, say: Say, *, finale: bool = True) -> bool:
    """True when no invariant was violated. `numbers` are the rounds; `finale` adds I10 and I12."""
    began, lane, account = time.monotonic(), DeskLane(folder, database=database), Account()
    say(f"seed {seed}, {len(numbers)} rounds of a whole desk, {'PostgreSQL' if database else 'SQLite'}; reproduce: --seed {seed} --round N")
    try:
        lane.open()
        _rounds(lane, seed, numbers, account, say, finale=finale)
    except SystemExit:  # by SIGTERM: tell what there is
        account.unproven = ("I7", "I10", "I12")
        account.tell(time.monotonic() - began, say)
        raise
    finally:
        lane.close()
    account.afterwards += replay(lane)
    account.finished = True
    for violation in account.afterwards:
        say(f"    {violation}")
    return account.tell(time.monotonic() - began, say)


def _rounds(lane: DeskLane, seed: int, numbers: list[int], account: Account, say: Say, *, finale: bool) -> None:
    trader = Trader(lane)
    trader.log_in()
    with Watcher(lane, trader.cookies) as watcher:
        fire = Fire(lane, trader, watcher, seed)
        time.sleep(WARM_UP)
        scales = Scales(lane)
        for number in numbers:
            account.rounds.append(_told(fire, number))
            account.filed = trader.accepted
            say(str(account.rounds[-1]))
        if finale:
            account.rounds.append(without_redis_and_celery(fire))
            say(str(account.rounds[-1]))
            account.afterwards += scales.compare(say)
        else:
            account.unproven = ("I10", "I12")
    account.filed = trader.accepted


def _told(fire: Fire, number: int) -> Round:
    """A page that cannot even be read is what the round found, not the end of the run."""
    try:
        return fire.round(number)
    except PlaywrightError as error:
        return Round(number, violations=[Violation(invariant="I11", detail=f"a page could not be read: {str(error)[:200]}")])
