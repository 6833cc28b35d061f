"""Does the judge see? `manage.py chaos --simulate MOST --sabotage --seed FIRST` plants each known defect in virtual time.

A defect is caught by the first world, of at most MOST, that is not clean with it. Its story is of the kind that could show it;
seeds draw when, what and how much. First the same kinds of story are played without a defect, and must be clean.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from tradingsite.chaos.defects import DEFECTS
from tradingsite.chaos.simulation.run import Result, Say, Steps, memory, play_apart, prepare

# what a defect needs (`DEFECTS`) → the steps of such a story
SHOWN_BY: dict[str, Steps] = {
    "approve": ("approve", "approve", "steer"),
    "crash_after_sending": ("kill-anywhere",) * 4,
    "late": ("freeze-anywhere",) * 4,
    "correction": ("approve", "approve", "revise", "revise"),
    "lose_stop": ("approve", "approve", "take-away", "take-away"),
    "filled_while_away": ("partials", "approve", "kill", "approve", "cut", "kill"),
    "close": ("approve", "approve", "close", "shift"),
    "cut": ("approve", "cut"),
}


def sabotage(first: int, most: int, say: Say, *, names: Collection[str] = ()) -> bool:
    """True when every defect (or the named ones) was caught."""
    defects = {patch.__name__: story for patch, story in DEFECTS.items() if not names or patch.__name__ in names}
    folder = Path(tempfile.mkdtemp(prefix="sabotage-", dir=memory()))
    try:
        image = prepare(folder)
        clean = [_clean(story, first, image, folder, say) for story in sorted(set(defects.values()))]
        caught = [_caught(defect, story, range(first, first + most), image, folder, say) for defect, story in defects.items()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"{sum(caught)} of {len(defects)} defects caught within {most} seeds from {first} on")
    return all(caught) and all(clean)


def _clean(story: str, seed: int, image: Path, folder: Path, say: Say) -> bool:
    found = _found(_played("", story, seed, image, folder))
    say(f"{'VIOLATED' if found else 'clean':8} {'(nothing planted)':26} {story:20} seed {seed} {found[:100]}")
    return not found


def _caught(defect: str, story: str, seeds: range, image: Path, folder: Path, say: Say) -> bool:
    for count, seed in enumerate(seeds, 1):
        if found := _found(_played(defect, story, seed, image, folder)):
            say(f"caught   {defect:26} {story:20} by seed {seed}, the {count}. of {len(seeds)}: {found[:100]}")
            return True
    say(f"MISSED   {defect:26} {story:20} by {len(seeds)} seeds")
    return False


def _played(defect: str, story: str, seed: int, image: Path, folder: Path) -> Result:
    place = folder / f"{defect}-{story}-{seed}"
    result = play_apart(seed, image, place, (defect, SHOWN_BY[story]))
    shutil.rmtree(place, ignore_errors=True)
    return result


def _found(result: Result) -> str:
    """What the judge said; a world that fell apart is no verdict."""
    violations = result.get("violations") or []
    names = ", ".join(sorted({invariant for invariant, _ in violations}))
    return f"{names}: {violations[0][1]}" if violations else ""
