"""Rounds of a whole desk: one seed, one story of people's acts and of failures, then healing, then the judge.

The desk stays up over all rounds. No proxy stands in the way of a connection: `desk` starts its own Redis and gateway only
where it is told no address of others, so links are broken at the gateway's end instead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random

from tradingsite.chaos import desk_judge
from tradingsite.chaos.desk_breaking import Breaker, Outage
from tradingsite.chaos.desk_browser import Notes, Watcher
from tradingsite.chaos.desk_lane import DeskLane
from tradingsite.chaos.desk_steps import STEPS, told_by
from tradingsite.chaos.desk_trader import Trader
from tradingsite.chaos.lane import HEAL_SECONDS, SYMBOLS
from tradingsite.chaos.oracle import Violation

FEW = 3  # positions that are kept from one round to the next
PAUSE = 1.2  # seconds at most between two steps
ACT_SECONDS = 15.0  # until trading is active again
BACK_SECONDS = 1.0  # more than a page is given to come back, so that its notes reach that far


@dataclass(slots=True)
class Round:
    """One story and what became of it."""

    number: int
    story: list[str] = field(default_factory=list)  # each step with what came of it
    healed_in: float = 0.0
    took: float = 0.0
    marks: list[str] = field(default_factory=list)  # how soon pages said that they were stale, and were back
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        word = "VIOLATED" if self.violations else "ok"
        told = f"{word:9} round {self.number:3} healed in {self.healed_in:4.1f} of {self.took:4.1f} s  {', '.join(self.story)}"
        told += f"  [{'; '.join(self.marks)}]" if self.marks else ""
        return told + "".join(f"\n    {violation}" for violation in self.violations)


class Fire:
    """The desk, its watcher and its trader, over all rounds."""

    def __init__(self, lane: DeskLane, trader: Trader, watcher: Watcher, seed: int) -> None:
        self.lane, self.trader, self.watcher, self.seed = lane, trader, watcher, seed
        self.loaded_at = watcher.take()["positions"].loaded_at
        self._next = 0

    @property
    def breaker(self) -> Breaker:
        return self.lane.breaker

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

    def working(self) -> list[str]:
        """Entries that rest at the gateway."""
        sql = "SELECT order_id FROM positions_orderrecord WHERE role = 'entry' AND state = 'working' ORDER BY order_id"
        return [key for (key,) in self.lane.rows(sql)]

    def refused(self, *, patience: float = 0) -> list[str]:
        """Approved signals whose approval the worker refused, or found too late; the newest first. Waits `patience` seconds for one."""
        sql = (
            "SELECT s.signal_id FROM signals_signalrecord s JOIN events_commandrecord c ON c.signal_id = s.signal_id "
            "WHERE s.state = 'approved' AND c.name = 'ApproveSignal' GROUP BY s.signal_id, s.decided_at "
            "HAVING sum(CASE WHEN c.state IN ('refused', 'expired') THEN 0 ELSE 1 END) = 0 ORDER BY s.decided_at DESC"
        )
        self.lane.wait(lambda: self.lane.rows(sql), patience)
        return [key for (key,) in self.lane.rows(sql)]

    def state(self) -> str:
        return str(next(iter(self.lane.rows("SELECT state FROM positions_tradingstate")), ["active"])[0])

    def round(self, number: int) -> Round:
        random, told, began = Random(f"{self.seed}|{number}|moments"), Round(number), time.monotonic()  # noqa: S311 - a story
        self.begin()
        for step in told_by(self.seed, number):
            told.story.append(f"{step}: {came}" if (came := STEPS[step][0](self, random)) else step)
            time.sleep(random.uniform(0, PAUSE))
        while self.breaker.busy():
            time.sleep(0.05)
        told.violations += self.lane.examine(settled=False)
        self.breaker.mend()
        told.healed_in, found = self.heal()
        told.violations += found
        self.judge_pages(told)
        told.took = time.monotonic() - began
        return told

    def begin(self) -> None:
        """Trading is active, all but a few positions were told to close, and a card stands on the signals page that can be approved."""
        if self.state() != "active":
            self.trader.resume()
            self.lane.wait(lambda: self.state() == "active", ACT_SECONDS)
        for position, *_ in self.held()[:-FEW]:  # with all symbols full of orders the desk would refuse every entry, rightly
            self.trader.close(position)
        for _ in range(2):  # one to decide on, one that stays to be looked at
            self.trader.put_signal(self.symbol())
        self.watcher.renew_signals()
        self.watcher.take()
        self.breaker.outages.clear()

    def heal(self) -> tuple[float, list[Violation]]:
        """(seconds of the desk's own that it took, what is still wrong after 30 of them)."""
        clock, found = self.lane.clock(), list[Violation]()

        def well() -> bool:
            nonlocal found
            unfit = self.lane.unfit_because()
            found = [Violation(invariant="I11", detail=unfit)] if unfit else []
            found += self.lane.examine()
            found += desk_judge.shown(self.watcher.rows(), self.lane.ledger, self.lane.database)
            found += [] if self.watcher.live() else [Violation(invariant="I11", detail="a page still says that it is stale")]
            return not found

        self.lane.wait(well, HEAL_SECONDS)
        return clock.seconds, found

    def judge_pages(self, told: Round) -> None:
        outages = self.breaker.outages
        returned = max((outage.ended for outage in outages if outage.child == "web"), default=0.0)
        while time.time() < returned + desk_judge.BACK_WITHIN + BACK_SECONDS and not self.watcher.connected():
            time.sleep(0.1)
        taken = self.watcher.take()
        for page, notes in taken.items():
            first = self.loaded_at if page == "positions" else notes.loaded_at
            told.violations += desk_judge.noted(page, notes, outages, first)
        told.violations += desk_judge.wishes(self.lane.database, self.trader.doubled)
        told.marks += _told_of(taken, outages)


def _told_of(taken: dict[str, Notes], outages: list[Outage]) -> list[str]:
    words = []
    for outage in outages:
        if outage.child in ("ibworker", "web"):
            stale, back = desk_judge.seconds_to_stale(taken["positions"], outage), desk_judge.seconds_to_socket(taken["positions"], outage)
            cards = max((mark.buttons for mark in taken["signals"].marks if outage.began <= mark.at <= outage.ended), default=0)
            said = f"{outage.child} {'stood' if outage.stood else 'was away'} {outage.ended - outage.began:.1f} s: "
            said += "not stale" if stale is None else f"stale after {stale:.1f} s"
            said += "" if back is None or outage.child != "web" else f", socket back after {back:.1f} s"
            words.append(f"{said}, {cards} approve buttons")
    return words
