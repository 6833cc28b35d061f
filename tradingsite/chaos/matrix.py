"""The crash matrix: each failpoint in each kind, in the middle of a story that passes it, then healing, then the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from events.failpoints import POINTS, Kind
from tradingsite.chaos.lane import Lane
from tradingsite.chaos.oracle import Violation

STEP_SECONDS = 10.0
START_SECONDS = 30.0  # a busy machine takes its time until a process has read its code
QUANTITY = 10.0
ATTEMPTS = 2
# Passed before any wish is there: armed when the process starts, all others when it is whole and the story begins.
_AT_START = frozenset({"restore.loaded", "session.connected", "reconcile.learned", "session.ready"})
# Passed all the time: armed when the wish is filed, so that it is in flight and not yet to come.
_AT_ANY_TIME = frozenset({"hear.begin", "records.marks", *(point for point in POINTS if point.startswith("journal."))})
_STORIES = {"modify": "move_stop", "wire.modified": "move_stop", "cancel": "cancel_entry", "wire.cancelled": "cancel_entry"} | {
    "protect": "lose_stop",
    "close": "close_position",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    point: str
    kind: Kind

    @property
    def failpoint(self) -> str:
        return f"{self.point}:{self.kind}"

    @property
    def story(self) -> str:
        return _STORIES.get(self.point) or _STORIES.get(self.point.partition(".")[0], "approve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a case. `struck` is False when the story did not pass the point."""

    case: Case
    struck: bool
    healed_in: float
    attempts: int = 1
    answers: tuple[str, ...] = ()  # what the person was told, newest last
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        word = "VIOLATED" if self.violations else "ok" if self.struck else "NOT REACHED"
        again = f", told {self.attempts} times" if self.attempts > 1 else ""
        told = f"{word:11} {self.case.failpoint:28} healed in {self.healed_in:5.1f} s{again}"
        why = [] if self.struck else self.answers
        return told + "".join(f"\n    {line}" for line in [*self.violations, *why])


def all_cases(kinds: tuple[Kind, ...] = tuple(Kind)) -> Iterator[Case]:
    """Every point in every kind that means something there.

    There is no link to cut in a person's process, and none yet in a worker that has only read its rows.
    """
    for kind in kinds:
        for point in POINTS:
            if kind is not Kind.CUT or not point.startswith(("approve.", "restore.")):
                yield Case(point=point, kind=kind)


def run_case(lane: Lane, case: Case) -> Result:
    """One story on a lane whose earlier stories are still in its books."""
    story = _Story(lane, case)
    at_crash = story.tell()
    struck = lane.struck
    healed_in, found = lane.healed()
    if case.point in _AT_START and not found:
        lane.ask(do="approve", symbol=lane.next_symbol(), quantity=QUANTITY)
        _, found = lane.healed()
    found = [*at_crash, *found]
    _clean_up(lane)
    return Result(case=case, struck=struck, healed_in=healed_in, attempts=story.attempts, answers=tuple(story.answers), violations=found)


class _Story:
    """What a trader does while the desk breaks under it."""

    def __init__(self, lane: Lane, case: Case) -> None:
        self.lane, self.case = lane, case
        self.attempts = 0
        self.answers: list[str] = []

    def tell(self) -> list[Violation]:
        """Returns what the judge objected to at the very moment of the failure."""
        lane, case = self.lane, self.case
        for self.attempts in range(1, ATTEMPTS + 1):
            self._try()
            if lane.wait(lambda: lane.struck, START_SECONDS if case.point in _AT_START else STEP_SECONDS):
                break
        else:
            last = lane.rows("SELECT id, name, state, code, reason FROM events_commandrecord ORDER BY id DESC LIMIT 3")
            self.answers += [str(row) for row in last]
        if case.kind in (Kind.EXIT, Kind.RAISE):
            lane.wait(lambda: not lane.worker.running, 2)
        return lane.examine(settled=False)

    def _try(self) -> None:
        lane, case = self.lane, self.case
        if case.point in _AT_START:
            lane.start_worker(case.failpoint)
            return
        self._whole_worker()
        if case.point.startswith("approve."):
            lane.ask(failpoint=case.failpoint, do="approve", symbol=lane.next_symbol(), quantity=QUANTITY)
            lane.dismiss_person()
            return
        getattr(self, f"_before_{case.story}", lambda: None)()
        steps: list[Callable[[], None]] = [lambda: lane.arm(case.failpoint), getattr(self, f"_{case.story}")]
        for step in reversed(steps) if case.point in _AT_ANY_TIME else steps:
            step()

    def _whole_worker(self) -> None:
        self.lane.revive_worker()
        self.lane.wait(self.lane.ready, START_SECONDS)

    def _approve(self) -> None:
        self._ask(do="approve", symbol=self.lane.next_symbol(), quantity=QUANTITY)

    def _ask(self, **request: Any) -> None:
        self.answers.append(f"{request} was answered {self.lane.ask(**request)}")

    def _before_move_stop(self) -> None:
        self._approve()
        self.lane.wait(self.lane.open_positions, STEP_SECONDS)
        self.lane.healed()

    _before_lose_stop = _before_close_position = _before_move_stop

    def _move_stop(self) -> None:
        lane = self.lane
        for position, stop in lane.rows(
            "SELECT position_id, stop_loss FROM positions_positionrecord WHERE status = 'open' AND quantity <> 0"
        ):
            self._ask(do="wish", name="ChangeStop", position_id=position, price=round(float(stop) * 0.995, 2))

    def _lose_stop(self) -> None:
        self.lane.control(fault="unsolicited_cancel", match={"kind": "STP"})

    def _close_position(self) -> None:
        for position in self.lane.open_positions():
            self._ask(do="wish", name="ClosePosition", position_id=position)

    def _before_cancel_entry(self) -> None:
        self._ask(do="approve", symbol=self.lane.next_symbol(), quantity=QUANTITY, through=-0.02)
        self.lane.wait(self._resting, STEP_SECONDS)

    def _resting(self) -> list[str]:
        return [row[0] for row in self.lane.rows("SELECT order_id FROM positions_orderrecord WHERE role = 'entry' AND state = 'working'")]

    def _cancel_entry(self) -> None:
        for order in self._resting():
            self._ask(do="wish", name="CancelOrder", order_id=order)


def _clean_up(lane: Lane) -> None:
    """Flat again, and trading: a failure that was told as a halt is released, as a person would."""
    if lane.rows("SELECT 1 FROM positions_tradingstate WHERE state <> 'active'"):
        lane.ask(do="wish", name="ResumeTrading", reason="the failure is over")
    for position in lane.open_positions():
        lane.ask(do="wish", name="ClosePosition", position_id=position)
    for (order,) in lane.rows(
        "SELECT order_id FROM positions_orderrecord WHERE role = 'entry' AND state IN ('working', 'held', 'pending_new')"
    ):
        lane.ask(do="wish", name="CancelOrder", order_id=order)
    lane.wait(lambda: not lane.open_positions(), 20)
