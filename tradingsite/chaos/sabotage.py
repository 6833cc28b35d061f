"""The tests of the tests: each planted defect must be caught by the judge, and the same stories without one must be clean."""

from __future__ import annotations

import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tradingsite.chaos import rounds
from tradingsite.chaos.defects import DEFECTS
from tradingsite.chaos.lane import HEAL_SECONDS, Lane
from tradingsite.chaos.oracle import Violation

CAUGHT_WITHIN = 12.0  # a whole desk is healed well before, in all these stories
SECOND_THOUGHTS = 8.0  # a worker looks after its stops five seconds after its start
LEGS = 3  # of a bracket
QUANTITY = 10.0
Story = Callable[[Lane], list[Violation]]


def run_all(folder: Path, template: Path, lanes: int, say: Callable[[str], object], *, names: tuple[str, ...] = ()) -> bool:
    """True when every defect was caught and no whole desk was accused. `names` chooses defects, and so the stories told of them."""
    defects = {patch.__name__: story for patch, story in DEFECTS.items() if not names or patch.__name__ in names}
    whole = [name for name in STORIES if name in defects.values()]
    stories = [*(("", name) for name in whole), *defects.items()]
    say(f"{len(defects)} defects, {len(whole)} stories without any first")
    with ThreadPoolExecutor(lanes) as pool:
        verdicts = [pool.submit(_one, folder, template, defect, story, say) for defect, story in stories]
        right = [verdict.result() for verdict in verdicts]
    caught = sum(good for (defect, _), good in zip(stories, right, strict=True) if defect)
    say(f"{caught} of {len(defects)} defects caught; {sum(right) - caught} of {len(whole)} whole desks found whole")
    return all(right)


def _one(folder: Path, template: Path, defect: str, story: str, say: Callable[[str], object]) -> bool:
    lane = Lane(folder / f"{defect or 'whole'}-{story}", template=template)
    lane.open()
    if defect:
        lane.worker.command = [sys.executable, "-m", "tradingsite.chaos.defects", defect, "ibworker"]
    try:
        found = STORIES[story](lane)
        found = found or lane.healed(CAUGHT_WITHIN if defect else HEAL_SECONDS)[1]
        if not found:
            lane.worker.terminate()
            found = rounds.replay(lane)
    finally:
        lane.close()
    good = bool(found) is bool(defect)
    names = ", ".join(sorted({violation.invariant for violation in found})) or "nothing"
    say(
        f"{'ok' if good else 'WRONG':6} {defect or '(whole desk)':26} {story:22} found {names}"
        + (f": {found[0].detail[:90]}" if found else "")
    )
    return good


def _approved(lane: Lane, *, failpoint: str = "", through: float = 0.005) -> None:
    lane.start_worker(failpoint)
    lane.wait(lane.ready, 20)
    lane.ask(do="approve", symbol="AAPL", quantity=QUANTITY, through=through)


def _approve(lane: Lane) -> list[Violation]:
    _approved(lane)
    lane.wait(lane.open_positions, 10)
    return []


def _crash_after_sending(lane: Lane) -> list[Violation]:
    _approved(lane, failpoint="order.sent:exit")
    lane.wait(lambda: not lane.worker.running, 10)
    at_crash = lane.examine(settled=False)
    lane.revive_worker()
    lane.wait(lane.ready, 20)
    return at_crash


def _late(lane: Lane) -> list[Violation]:
    lane.start_worker()
    lane.wait(lane.ready, 20)
    time.sleep(2.5)  # a heartbeat with quotes
    _stop_between_writes(lane)
    lane.ask(do="approve", symbol="AAPL", quantity=QUANTITY)
    with sqlite3.connect(lane.database.removeprefix("sqlite:///"), timeout=20) as link:
        link.execute("UPDATE events_commandrecord SET expires_at = created_at")
    link.close()
    time.sleep(2.5)
    lane.signal_worker(signal.SIGCONT)
    return []


def _stop_between_writes(lane: Lane) -> None:
    """SIGSTOP at a moment when it does not hold the database's write lock."""
    for _ in range(50):
        lane.signal_worker(signal.SIGSTOP)
        link = sqlite3.connect(lane.database.removeprefix("sqlite:///"), timeout=0.3, isolation_level=None)
        try:
            link.execute("BEGIN IMMEDIATE")
            link.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            lane.signal_worker(signal.SIGCONT)
            time.sleep(0.05)
        finally:
            link.close()


def _correction(lane: Lane) -> list[Violation]:
    _approve(lane)
    lane.wait(lambda: not lane.examine(), 10)
    lane.control(fault="correction", match={"symbol": "AAPL"}, price=100.0)
    return []


def _lose_stop(lane: Lane) -> list[Violation]:
    _approve(lane)
    lane.wait(lambda: not lane.examine(), 10)
    lane.control(fault="unsolicited_cancel", match={"kind": "STP"})
    return []


def _filled_while_away(lane: Lane) -> list[Violation]:
    _approved(lane, through=-0.01)
    found: list[tuple[float]] = []

    def working() -> bool:
        found[:] = [
            (row[0],) for row in lane.rows("SELECT limit_price FROM positions_orderrecord WHERE role = 'entry' AND state = 'working'")
        ]
        return bool(found)

    lane.wait(working, 10)
    lane.worker.kill()
    if not found:
        return lane.examine()
    lane.control(set_price="AAPL", price=round(float(found[0][0]) - 0.2, 2), hold=True)
    time.sleep(1)
    lane.revive_worker()
    lane.wait(lane.ready, 20)

    def placed() -> int:
        return len({row["data"]["order_ref"] for row in lane.control(query="ledger")["rows"] if row["kind"] == "place"})

    # What was sent too much may have been taken back since, so the books alone do not tell.
    if lane.wait(lambda: placed() > LEGS, SECOND_THOUGHTS):
        return [Violation(invariant="I1", detail=f"one bracket became {placed()} orders at the gateway")]
    return []


def _close(lane: Lane) -> list[Violation]:
    _approve(lane)
    lane.wait(lambda: not lane.examine(), 10)
    for position in lane.open_positions():
        lane.ask(do="wish", name="ClosePosition", position_id=position)
    lane.wait(lambda: not lane.open_positions(), 10)
    time.sleep(1)
    return []


def _cut(lane: Lane) -> list[Violation]:
    _approve(lane)
    lane.wait(lambda: not lane.examine(), 10)
    lane.control(fault="drop_socket")
    lane.wait(lambda: not lane.ready(), 10)
    lane.wait(lane.ready, 15)
    return []


STORIES: dict[str, Story] = {
    "approve": _approve,
    "crash_after_sending": _crash_after_sending,
    "late": _late,
    "correction": _correction,
    "lose_stop": _lose_stop,
    "filled_while_away": _filled_while_away,
    "close": _close,
    "cut": _cut,
}
