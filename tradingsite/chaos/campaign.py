"""A whole run: lanes side by side, the matrix, the random rounds, and the account of it."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Queue
from typing import TypeVar

from events.failpoints import Kind
from tradingsite.chaos import matrix, oracle, rounds
from tradingsite.chaos import museum as exhibits
from tradingsite.chaos.lane import Lane
from tradingsite.chaos.matrix import Case
from tradingsite.chaos.oracle import Violation
from tradingsite.chaos.sabotage import run_all

# What these lanes have no page, no Redis and no time for.
JUDGED_ELSEWHERE = {
    "I6": "no old number without a mark: by --desk-rounds",
    "I9": "the page never goes back: by --desk-rounds",
    "I10": "cancel, close and halt without Redis: by --desk-rounds",
    "I12": "memory, sockets, threads in their band: by --desk-rounds",
}
T = TypeVar("T")
Say = Callable[[str], object]
SHORT_POINTS = (
    "approve.committed",
    "claim.committed",
    "journal.rows",
    "order.committed",
    "wire.leg",
    "order.sent",
    "fill.booked",
    "close.sent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    folder: Path
    seed: int
    rounds: int = 0
    kinds: tuple[Kind, ...] = tuple(Kind)
    points: tuple[str, ...] = ()  # beginnings of names; empty for all
    lanes: int = 2
    postgres: bool = False
    only: tuple[str, ...] = ()  # scenarios of the museum or defects, by name; empty for all

    def short(self) -> Plan:
        return replace(self, rounds=4, kinds=(Kind.EXIT,), points=SHORT_POINTS)

    def cases(self) -> list[Case]:
        return [case for case in matrix.all_cases(self.kinds) if not self.points or case.point.startswith(self.points)]


class Account:
    """Counts of everything that was done and found; lanes write into it side by side."""

    def __init__(self, say: Say) -> None:
        self._say, self._lock = say, threading.Lock()
        self.done: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.slowest = 0.0

    def add(self, kind: str, text: str, violations: Iterable[Violation], healed_in: float) -> None:
        with self._lock:
            self.done[kind] += 1
            self.violations += violations
            self.slowest = max(self.slowest, healed_in)
            self._say(text)


def run(plan: Plan, say: Say) -> bool:
    """True when no invariant was violated and every planned point was reached."""
    began, account = time.monotonic(), Account(say)
    cases: Queue[Case] = Queue()
    for case in plan.cases():
        cases.put(case)
    numbers: Queue[int] = Queue()
    for number in range(plan.rounds):
        numbers.put(number)
    database = "PostgreSQL" if plan.postgres else "SQLite"
    say(f"seed {plan.seed}, {cases.qsize()} cases, {plan.rounds} random rounds, {plan.lanes} lanes, {database}")
    template = _template(plan)
    with ThreadPoolExecutor(plan.lanes) as pool:
        for future in [pool.submit(_work, plan, number, template, cases, numbers, account) for number in range(plan.lanes)]:
            future.result()
    return _tell(plan, account, time.monotonic() - began, say)


def _work(plan: Plan, number: int, template: Path | None, cases: Queue[Case], numbers: Queue[int], account: Account) -> None:
    lane = Lane(plan.folder / f"lane{number}", template=template, database=_postgres(plan))
    lane.open()
    try:
        lane.start_worker()
        while (case := _take(cases)) is not None:
            result = matrix.run_case(lane, case)
            account.add("cases" if result.struck else "cases not reached", str(result), result.violations, result.healed_in)
            if result.violations:
                lane = _fresh(plan, lane, template)
        while (round_number := _take(numbers)) is not None:
            outcome = rounds.run_round(lane, plan.seed, round_number)
            account.add("random rounds", str(outcome), outcome.violations, outcome.healed_in)
            if outcome.violations:
                lane = _fresh(plan, lane, template)
        _replay(lane, account)
    finally:
        lane.close()


def _replay(lane: Lane, account: Account) -> None:
    """After all that, the journal must still give the tables."""
    lane.worker.terminate()
    found = rounds.replay(lane)
    account.add("replays", f"{'VIOLATED' if found else 'ok':11} replay of the journal", found, 0.0)


def _fresh(plan: Plan, lane: Lane, template: Path | None) -> Lane:
    """A violated desk stays as it is, for whoever looks into it; the next case gets a new one."""
    lane.close()
    fresh = Lane(lane.folder.with_name(f"{lane.folder.name}b"), template=template, database=_postgres(plan))
    fresh.open()
    fresh.start_worker()
    return fresh


def _take(queue: Queue[T]) -> T | None:
    try:
        return queue.get_nowait()
    except Empty:
        return None


def _template(plan: Plan) -> Path | None:
    """A migrated database to copy; None on PostgreSQL, where every lane migrates its own."""
    if plan.postgres:
        return None
    maker = Lane(plan.folder / "template")
    maker.folder.mkdir(parents=True, exist_ok=True)
    file = maker.folder / "desk.sqlite3"
    maker.environment = {"DATA_DIR": str(maker.folder / "var"), "DATABASE_URL": f"sqlite:///{file}", "SECRET_KEY": "x" * 60}
    maker.manage("migrate", "-v0")
    return file


def _postgres(plan: Plan) -> str:
    if not plan.postgres:
        return ""
    from tradingsite.testing.postgres_server import empty_postgres_database

    return empty_postgres_database()


def _tell(plan: Plan, account: Account, seconds: float, say: Say) -> bool:
    for kind, count in sorted(account.done.items()):
        say(f"{count:6} {kind}")
    judged = oracle.INVARIANTS | {"I7": "the journal gives the tables", "I11": "healed within 30 s"}
    found = Counter(violation.invariant for violation in account.violations)
    for name in (f"I{number}" for number in range(1, 13)):
        words = judged.get(name) or JUDGED_ELSEWHERE[name]
        say(f"{name:4} {words:60} " + (f"{found[name]} violations" if name in judged else "not judged here"))
    say(f"seed {plan.seed}, slowest healing {account.slowest:.1f} s, whole run {seconds:.0f} s")
    good = not account.violations and not account.done["cases not reached"]
    missed = account.done["cases not reached"]
    say("PROVEN: no invariant was violated" if good else f"NOT PROVEN: {len(account.violations)} violations, {missed} not reached")
    return good


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def sabotage(plan: Plan, say: Say) -> bool:
    """Instead of a run: plant known defects and show that each is caught. On SQLite."""
    plan = replace(plan, postgres=False)
    template = _template(plan)
    return template is not None and run_all(plan.folder, template, plan.lanes, say, names=plan.only)


def museum(plan: Plan, say: Say, *, planted: bool = False) -> bool:
    """The named defects of others, on SQLite."""
    plan = replace(plan, postgres=False)
    template = _template(plan)
    return template is not None and exhibits.run_all(plan.folder, template, plan.lanes, say, planted=planted, names=plan.only)


def museum_of_mistakes(plan: Plan, say: Say) -> bool:
    """Each scenario of the museum with its original's mistake planted: all must turn red."""
    return museum(plan, say, planted=True)
