"""Many worlds: `manage.py chaos --simulate COUNT --seed FIRST`. SIMULATION_LOG=1 shows what they log.

Each seed is played in a forked process of its own, so that no world leaves anything to the next. Every tenth is played twice,
and the two journals must be equal. PYTHONHASHSEED=0 fixes the order of sets of strings.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import time_machine

from tradingsite.chaos.defects import DEFECTS
from tradingsite.testing.processes import ROOT

TWICE_EACH = 10
Result = dict[str, Any]
Job = tuple[int, int]  # seed, 1 when it is played for the second time
Steps = Sequence[str]
How = tuple[str, Steps]  # the defect to plant, the steps to take
Say = Callable[[str], object]


def command(
    first: int, count: int, *, defect: str = "", steps: str = "", sabotage: bool = False, quiet: bool = True
) -> subprocess.CompletedProcess[str]:
    """Play `count` seeds in a program of its own, which tells its own output or (quiet) gives it back."""
    words = [sys.executable, "-m", "tradingsite.chaos.simulation", str(first), str(count), "--defect", defect, "--steps", steps]
    words += ["--sabotage"] if sabotage else []
    return subprocess.run(words, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "0"}, capture_output=quiet, text=True, check=False)


def simulate(first: int, count: int, say: Say, *, defect: str = "", steps: Steps = (), processes: int = os.cpu_count() or 1) -> bool:
    """True when no world violated an invariant and every second playing gave the same journal."""
    began, folder = time.time(), Path(tempfile.mkdtemp(prefix="simulation-", dir=memory()))
    try:
        image = prepare(folder)
        jobs = [(seed, again) for seed in range(first, first + count) for again in range(1 + (seed % TWICE_EACH == 0))]
        results = list(_play_all(jobs, image, folder, processes, say, (defect, steps)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _tell(results, time.time() - began, say)


def prepare(folder: Path) -> Path:
    """Set Django up on a fresh database in `folder`, with a trader on it; the file to copy."""
    image = folder / "image.sqlite3"
    os.environ |= {
        "DATA_DIR": str(folder / "var"), "DATABASE_URL": f"sqlite:///{image}", "REDIS_URL": "redis://127.0.0.1:1/0", "SECRET_KEY": "x" * 60,
        "TRADING_MODE": "simulated", "IB_HOST": "127.0.0.1", "IB_PORT": "4002", "FLOW_API_KEY": "simulation",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true", "DJANGO_SETTINGS_MODULE": "tradingsite.settings",
    }  # fmt: skip
    import logging

    import django
    from django.core.management import call_command

    django.setup()
    from django.db import connection
    from django.urls import reverse

    for module in ("tradingsite.chaos.simulation.stories", "tradingsite.worker.composition", "tradingsite.replay", "signals.approval"):
        import_module(module)  # once, not in every fork
    reverse("overview")  # so with the pages
    from tradingsite.chaos import person
    from tradingsite.chaos.simulation import world

    with time_machine.travel(world.BEGIN - timedelta(days=1), tick=False):  # the rows of the image have times too
        call_command("migrate", verbosity=0)
        person.prepare(list(world.SYMBOLS))
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    gc.collect()
    gc.freeze()  # what is here now need not be looked through again in every world
    logging.disable(logging.CRITICAL if not os.environ.get("SIMULATION_LOG") else logging.NOTSET)
    return image


def play(seed: int, image: Path, folder: Path, steps: Steps = ()) -> Result:
    """One world from beginning to end, in this process; call it in a forked one."""
    from tradingsite.chaos.simulation.stories import Told, story_of
    from tradingsite.chaos.simulation.world import World, replayed

    told = Told()
    world = World(seed, folder, image)
    desk = world.run(story_of(seed, told, steps))
    violations = [*desk.at_crash, *told.violations, *replayed(world.file)]
    return {
        "seed": seed,
        "hash": world.journal(),
        "steps": told.steps,
        "healed_in": told.healed_in,
        "by_hand": told.by_hand,
        "virtual": world.loop.now,
        "lives": desk.lives,
        "violations": [(violation.invariant, violation.detail) for violation in violations],
    }


def plant(defect: str) -> None:
    """Apply one of the known defects to this process."""
    if defect:
        next(patch for patch in DEFECTS if patch.__name__ == defect)()


def _play_all(jobs: list[Job], image: Path, folder: Path, processes: int, say: Say, how: How) -> Iterator[Result]:
    waiting, running = list(reversed(jobs)), dict[int, tuple[Job, Path]]()
    began, done = time.time(), 0
    while waiting or running:
        while waiting and len(running) < processes:
            job = waiting.pop()
            place = folder / f"{job[0]}-{job[1]}"
            running[_fork(job[0], image, place, how)] = (job, place)
        pid, status = os.wait()
        job, place = running.pop(pid)
        yield _read(job, place, status, say, how)
        done += 1
        if done % 100 == 0:
            say(f"{done} of {len(jobs)} worlds after {time.time() - began:.0f} s")
        shutil.rmtree(place, ignore_errors=True)


def _fork(seed: int, image: Path, place: Path, how: How) -> int:
    def world() -> Result:
        place.mkdir(parents=True)
        plant(how[0])
        return play(seed, image, place, how[1])

    return _apart(world, place / "result.json", seed)


def _apart(work: Callable[[], Result], file: Path, seed: int) -> int:
    """A process that writes what `work` gives into `file`; its id."""
    pid = os.fork()
    if pid:
        return pid
    leave = os._exit
    try:
        result = work()
    except BaseException:
        result = {"seed": seed, "broken": traceback.format_exc()}
    file.write_text(json.dumps(result))
    leave(0)


def play_apart(seed: int, image: Path, place: Path, how: How) -> Result:
    """One world with a defect planted, quietly; its journal is folded once more by a process without the defect."""
    _, status = os.waitpid(_fork(seed, image, place, how), 0)
    result = _result(seed, place, status)
    if result.get("violations") == []:
        result["violations"] = _replayed_apart(seed, place)
    return result


def _replayed_apart(seed: int, place: Path) -> list[Any]:
    from tradingsite.chaos.simulation.world import replayed

    def replay() -> Result:
        return {"violations": [(found.invariant, found.detail) for found in replayed(place / "desk.sqlite3")]}

    _, status = os.waitpid(_apart(replay, place / "result.json", seed), 0)
    return list(_result(seed, place, status)["violations"])


def _result(seed: int, place: Path, status: int) -> Result:
    file = place / "result.json"
    result: Result = json.loads(file.read_text()) if file.exists() else {"seed": seed, "broken": f"the process ended with {status}"}
    return result


def _read(job: Job, place: Path, status: int, say: Say, how: How) -> Result:
    result = _result(job[0], place, status) | {"again": job[1]}
    if "broken" in result:
        say(f"BROKEN      seed {job[0]}\n{result['broken']}")
    elif result["violations"]:
        say(f"VIOLATED    seed {job[0]} {' '.join(result['steps'])}")
        for invariant, detail in result["violations"]:
            say(f"    {invariant}: {detail}")
        words = [*(["--defect", how[0]] if how[0] else []), *(["--steps", ",".join(how[1])] if how[1] else [])]
        say(f"    again: {' '.join(['PYTHONHASHSEED=0 python -m tradingsite.chaos.simulation', str(job[0]), '1', *words])}")
    return result


def _tell(results: list[Result], seconds: float, say: Say) -> bool:
    whole = [result for result in results if "broken" not in result]
    hashes: dict[int, set[str]] = {}
    for result in whole:
        hashes.setdefault(result["seed"], set()).add(result["hash"])
    differ = sorted(seed for seed, found in hashes.items() if len(found) > 1)
    found = Counter(invariant for result in whole if not result["again"] for invariant, _ in result["violations"])
    twice = sum(result["again"] for result in whole)
    virtual = sum(result["virtual"] - 1000 for result in whole) / 3600
    decided = sum(r["by_hand"] for r in whole)
    slowest = max((result["healed_in"] for result in whole), default=0.0)
    say(f"{len(hashes)} seeds, {virtual:.1f} virtual hours, {sum(r['lives'] for r in whole)} processes lived, in {seconds:.0f} s")
    say(f"{twice} seeds played twice, {len(differ)} gave another journal{': ' + ', '.join(map(str, differ)) if differ else ''}")
    say(
        f"{decided} times a person had to decide: an order swallowed or passed over by IB, shares released, a position without a stop level"
    )
    say(
        f"slowest healing {slowest:.1f} virtual s; violations: {dict(sorted(found.items())) or 'none'}; broken: {len(results) - len(whole)}"
    )
    return not differ and not found and len(whole) == len(results) and bool(results)


def memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder of its own is made there
