"""Does the judge see? `manage.py chaos --simulate MOST --sabotage --seed FIRST` plants each known defect in virtual time.

A defect is caught by the first world, of at most MOST, that is not clean with it. The same worlds are clean without.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tradingsite.chaos.defects import DEFECTS
from tradingsite.chaos.simulation.run import Result, Say, memory, play_apart, prepare


def sabotage(first: int, most: int, say: Say, *, names: Iterable[str] = ()) -> bool:
    """True when every defect (or the named ones) was caught."""
    defects = list(names) or [patch.__name__ for patch in DEFECTS]
    folder = Path(tempfile.mkdtemp(prefix="sabotage-", dir=memory()))
    try:
        image = prepare(folder)
        caught = [_caught(defect, first, most, image, folder, say) for defect in defects]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"{sum(caught)} of {len(defects)} defects caught within {most} seeds from {first} on")
    return all(caught)


def _caught(defect: str, first: int, most: int, image: Path, folder: Path, say: Say) -> bool:
    for count, seed in enumerate(range(first, first + most), 1):
        place = folder / f"{defect}-{seed}"
        result = play_apart(seed, image, place, (defect, ()))
        shutil.rmtree(place, ignore_errors=True)
        if found := _found(result):
            say(f"caught  {defect:26} by seed {seed} ({count} of {most}): {found[:120]}")
            return True
    say(f"MISSED  {defect:26} by {most} seeds")
    return False


def _found(result: Result) -> str:
    """What the judge said; a world that fell apart is no verdict."""
    violations = result.get("violations") or []
    names = ", ".join(sorted({invariant for invariant, _ in violations}))
    return f"{names}: {violations[0][1]}" if violations else ""
