"""`manage.py chaos`: break the desk in every way we know, and let an independent judge say what was left of it."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from events.failpoints import Kind
from tradingsite.chaos import campaign, lane
from tradingsite.chaos.simulation import run as simulation


class Command(BaseCommand):
    help = "Crashes real processes at every failpoint and at random, and checks the invariants. Exit code 1 on any violation."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=200, help="random rounds after the matrix (default 200)")
        parser.add_argument("--seed", type=int, default=None, help="of the random rounds; printed, default from the clock")
        parser.add_argument("--kinds", default=",".join(Kind), help="kinds of the matrix, comma separated; empty for no matrix")
        parser.add_argument("--points", default="", help="only failpoints that begin so, comma separated")
        parser.add_argument("--lanes", type=int, default=2, help="desks broken at the same time (default 2)")
        parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
        parser.add_argument("--short", action="store_true", help="a subset of about two minutes")
        parser.add_argument("--sabotage", action="store_true", help="plant known defects instead, and show that each is caught")
        parser.add_argument("--simulate", type=int, default=0, metavar="N", help="instead: N seeds, from --seed on, in virtual time")
        parser.add_argument(
            "--desk-rounds", type=int, default=0, metavar="N", help="instead: N rounds of a whole desk and a browser; --short: no finale"
        )
        parser.add_argument("--round", type=int, default=None, metavar="K", help="only round K of a whole desk, with --seed")
        parser.add_argument("--museum", action="store_true", help="only the named defects of others, B1 to B12")
        parser.add_argument("--mistakes", action="store_true", help="with --museum: plant each one's mistake, and show that it turns red")
        parser.add_argument("--only", default="", help="with --museum or --sabotage: these scenarios or defects, comma separated")
        parser.add_argument("--keep", action="store_true", help="keep databases, books and logs")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _end)
        seed = options["seed"] if options["seed"] is not None else int(time.time())
        if options["simulate"]:
            sys.exit(simulation.command(seed, options["simulate"], sabotage=options["sabotage"], quiet=False).returncode)
        folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        if options["desk_rounds"] or options["round"] is not None:
            sys.exit(0 if self._desk_rounds(folder, seed, options) else 1)
        plan = campaign.Plan(
            folder=folder,
            seed=seed,
            rounds=options["rounds"],
            kinds=tuple(Kind(kind) for kind in options["kinds"].split(",") if kind),
            points=tuple(point for point in options["points"].split(",") if point),
            lanes=options["lanes"],
            postgres=options["database"] == "postgres",
            only=tuple(name for name in options["only"].split(",") if name),
        )
        plan = plan.short() if options["short"] else plan
        run = campaign.sabotage if options["sabotage"] else campaign.run
        if options["museum"]:
            run = campaign.museum_of_mistakes if options["mistakes"] else campaign.museum
        good = run(plan, self.stdout.write)
        if run is campaign.run and not plan.points:
            good = campaign.museum(plan, self.stdout.write) and good
        if good and not options["keep"]:
            campaign.remove(folder)
        else:
            self.stdout.write(f"databases, books and logs: {folder}")
        sys.exit(0 if good else 1)

    def _desk_rounds(self, folder: Path, seed: int, options: dict[str, Any]) -> bool:
        from tradingsite.chaos import desk_campaign  # needs a browser's library
        from tradingsite.testing.postgres_server import empty_postgres_database

        one = options["round"]
        numbers = list(range(options["desk_rounds"])) if one is None else [one]
        database = empty_postgres_database() if options["database"] == "postgres" else ""
        good = desk_campaign.run(folder, seed, numbers, database, self.stdout.write, finale=one is None and not options["short"])
        if good and not options["keep"]:
            campaign.remove(folder)
        else:
            self.stdout.write(f"databases, books and logs: {folder}")
        return good


def _end(number: int, frame: object) -> None:
    """Told to go: leave no desk running behind. Lanes have threads that would go on breaking; a whole desk ends on the way out."""
    if lane.close_all():
        os._exit(1)
    sys.exit(1)
