"""The museum: twelve defects that cost others money, each as a scenario here that must end well, and that can be seen to fail.

Numbers and originals: B1 LEAN.IB 249, B2 Nautilus 3176, B3 Nautilus 3476, B4 Nautilus 3054, B5 Nautilus 3046, B6 Nautilus 4210,
B7 freqtrade 8913, B8 freqtrade 13399, B9 freqtrade 11461, B10 ib_insync 364, B11 LEAN TradeStation 95, B12 hummingbot 1663.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tradingsite.chaos import museum_stories as stories
from tradingsite.chaos import rounds
from tradingsite.chaos.lane import Lane
from tradingsite.chaos.museum_stories import Bench, NotToldError, Story
from tradingsite.chaos.oracle import Violation

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`defect` is the original's mistake, which must turn the scenario red; `heals` is False where only a person can mend."""

    name: str
    words: str
    tell: Story
    defect: str
    heals: bool = True
    hasty: bool = False  # with quick attempts to connect


# The longest first, so that lanes side by side end together.
SCENARIOS = (
    Scenario(name="B11", words="one fill in four is never told", tell=stories.one_in_four_untold, defect="skip_comparison"),
    Scenario(name="B2", words="ten restarts make no order", tell=stories.ten_restarts, defect="trust_silence"),
    Scenario(name="B6", words="fifty time-outs, one loop", tell=stories.fifty_timeouts, defect="race_reconnects", hasty=True),
    Scenario(name="B4", words="a difference makes no trade", tell=stories.flat_there_short_here, defect="invent_trades", heals=False),
    Scenario(name="B1", words="fills while IB is away", tell=stories.fills_while_ib_is_away, defect="skip_comparison"),
    Scenario(name="B3", words="a partial fill older than the lists", tell=stories.partial_fill_of_yesterday, defect="infer_fills"),
    Scenario(name="B5", words="executions told again", tell=stories.told_again, defect="count_every_telling"),
    Scenario(name="B7", words="cut before the acknowledgement", tell=stories.cut_before_the_answer, defect="trust_silence"),
    Scenario(name="B8", words="a reversal right after the stop", tell=stories.reversed_after_a_stop, defect="attach_fills_by_symbol"),
    Scenario(name="B9", words="a cancel after a part is no repeat", tell=stories.cancelled_after_a_part, defect="repeat_cancelled"),
    Scenario(name="B10", words="the highest revision only", tell=stories.corrected, defect="add_corrections"),
    Scenario(name="B12", words="told and found at the same time", tell=stories.told_and_found, defect="record_fills_twice"),
)


def run_all(folder: Path, template: Path, lanes: int, say: Say, *, planted: bool = False, names: tuple[str, ...] = ()) -> bool:
    """True when every scenario ended well; with `planted`, when each turned red under its original's mistake."""
    chosen = [scenario for scenario in SCENARIOS if not names or scenario.name in names]
    began = time.monotonic()
    with ThreadPoolExecutor(lanes) as pool:
        verdicts = [pool.submit(_one, folder, template, scenario, say, planted=planted) for scenario in chosen]
        right = [verdict.result() for verdict in verdicts]
    ended = "turned red under its mistake" if planted else "ended well"
    say(f"museum: {sum(right)} of {len(right)} scenarios {ended} in {time.monotonic() - began:.0f} s")
    return all(right)


def _one(folder: Path, template: Path, scenario: Scenario, say: Say, *, planted: bool) -> bool:
    began = time.monotonic()
    found = visit(folder, template, scenario, scenario.defect if planted else "")
    came_about = not any(violation.invariant == "set up" for violation in found)
    good = bool(found) and came_about if planted else not found
    under = f" under {scenario.defect}" if planted else ""
    told = f"{'ok' if good else 'WRONG':6} {scenario.name:4} {scenario.words}{under}, {time.monotonic() - began:.0f} s"
    say(told + "".join(f"\n    {violation}" for violation in found[:3]))
    return good


def visit(folder: Path, template: Path, scenario: Scenario, defect: str = "") -> list[Violation]:
    """What a scenario on a desk of its own found, with or without the original's mistake in the worker."""
    lane = Lane(folder / f"{scenario.name}-{defect or 'whole'}", template=template)
    lane.open()
    patches = [name for name in ("hasten" if scenario.hasty else "", defect) if name]
    if patches:
        lane.worker.command = [sys.executable, "-m", "tradingsite.chaos.museum_defects", "+".join(patches), "ibworker"]
    bench = Bench(lane, scenario.name)
    try:
        with suppress(NotToldError):
            scenario.tell(bench)
        if scenario.heals and not bench.found:
            bench.found += lane.healed(5.0 if defect else 30.0)[1]
        if not bench.found:
            lane.worker.terminate()
            bench.found += rounds.replay(lane)
    finally:
        lane.close()
    return bench.found
