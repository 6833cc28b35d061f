"""The crash matrix: each failpoint in each kind, in the middle of a story that passes it, then healing, then the judge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from events.failpoints import POINTS, Kind
from tradingsite.chaos.lane import Lane
from tradingsite.chaos.oracle import Violation

STEP_SECONDS = 10.0
QUANTITY = 10.0
ATTEMPTS = 3
# Passed before any wish is there.
_AT_START = frozenset({"restore.loaded", "session.connected", "reconcile.learned", "session.ready"})
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
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        word = "VIOLATED" if self.violations else "ok" if self.struck else "NOT REACHED"
        return f"{word:11} {self.case.failpoint:28} healed in {self.healed_in:5.1f} s" + "".join(f"\n    {v}" for v in self.violations)


def all_cases(kinds: tuple[Kind, ...] = tuple(Kind)) -> Iterator[Case]:
    """Every point in every kind that means something there: a person's process has no link to cut."""
    for kind in kinds:
        for point in POINTS:
            if not (point.startswith("approve.") and kind is Kind.CUT):
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
    return Result(case=case, struck=struck, healed_in=healed_in, violations=found)


class _Story:
    """What a trader does while the desk breaks under it."""

    def __init__(self, lane: Lane, case: Case) -> None:
        self.lane, self.case = lane, case

    def tell(self) -> list[Violation]:
        """Returns what the judge objected to at the very moment of the failure."""
        lane, case = self.lane, self.case
        if case.point.startswith("approve."):
            self._whole_worker()
            lane.ask(failpoint=case.failpoint, do="approve", symbol=lane.next_symbol(), quantity=QUANTITY)
            lane.dismiss_person()
            return lane.examine(settled=False)
        for _ in range(ATTEMPTS):  # a worker that has just started may refuse for want of a quote, and rightly
            if case.story != "approve":
                self._whole_worker()
                getattr(self, f"_before_{case.story}")()
            lane.start_worker(case.failpoint)
            if case.point not in _AT_START:
                getattr(self, f"_{case.story}")()
            if lane.wait(lambda: lane.struck, STEP_SECONDS):
                break
        if case.kind is Kind.EXIT:
            lane.wait(lambda: not lane.worker.running, 2)
        return lane.examine(settled=False)

    def _whole_worker(self) -> None:
        self.lane.revive_worker()
        self.lane.wait(self.lane.ready, 20)

    def _approve(self) -> None:
        self.lane.ask(do="approve", symbol=self.lane.next_symbol(), quantity=QUANTITY)

    def _before_move_stop(self) -> None:
        self._approve()
        self.lane.wait(self.lane.open_positions, STEP_SECONDS)
        self.lane.healed()

    _before_lose_stop = _before_close_position = _before_move_stop

    def _move_stop(self) -> None:
        lane = self.lane
        lane.wait(lane.ready, 20)
        for position, stop in lane.rows(
            "SELECT position_id, stop_loss FROM positions_positionrecord WHERE status = 'open' AND quantity <> 0"
        ):
            lane.ask(do="wish", name="ChangeStop", position_id=position, price=round(float(stop) * 0.995, 2))

    def _lose_stop(self) -> None:
        self.lane.wait(self.lane.ready, 20)
        self.lane.control(fault="unsolicited_cancel", match={"kind": "STP"})

    def _close_position(self) -> None:
        self.lane.wait(self.lane.ready, 20)
        for position in self.lane.open_positions():
            self.lane.ask(do="wish", name="ClosePosition", position_id=position)

    def _before_cancel_entry(self) -> None:
        self.lane.ask(do="approve", symbol=self.lane.next_symbol(), quantity=QUANTITY, through=-0.02)
        self.lane.wait(self._resting, STEP_SECONDS)

    def _resting(self) -> list[str]:
        return [row[0] for row in self.lane.rows("SELECT order_id FROM positions_orderrecord WHERE role = 'entry' AND state = 'working'")]

    def _cancel_entry(self) -> None:
        self.lane.wait(self.lane.ready, 20)
        for order in self._resting():
            self.lane.ask(do="wish", name="CancelOrder", order_id=order)


def _clean_up(lane: Lane) -> None:
    """Flat again, and trading: a failure that was told as a halt is released, as a person would."""
    lane.dismiss_person()
    if lane.rows("SELECT 1 FROM positions_tradingstate WHERE state <> 'active'"):
        lane.ask(do="wish", name="ResumeTrading", reason="the failure is over")
    for position in lane.open_positions():
        lane.ask(do="wish", name="ClosePosition", position_id=position)
    for (order,) in lane.rows(
        "SELECT order_id FROM positions_orderrecord WHERE role = 'entry' AND state IN ('working', 'held', 'pending_new')"
    ):
        lane.ask(do="wish", name="CancelOrder", order_id=order)
    deadline = time.monotonic() + 20
    while lane.open_positions() and time.monotonic() < deadline:
        time.sleep(0.1)
