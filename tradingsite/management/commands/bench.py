"""`manage.py bench`: measure the hot paths beside their peers in one run, print one table, keep it in DATA_DIR/bench.json."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand

from events.clock import utc_now
from tradingsite.bench.parts import MEASURES, PARTS, years_parts
from tradingsite.bench.runner import run
from tradingsite.bench.table import Row, judged, lines
from tradingsite.environment import write_private


class Command(BaseCommand):
    help = "Measure the hot paths beside their peers, print a table and write it to DATA_DIR/bench.json."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--part", choices=sorted(MEASURES), help="measure one part here, on the servers of the settings")
        parser.add_argument("--into", type=Path, help="with --part: the file for its rows, as JSON")
        parser.add_argument("--years", action="store_true", help="measure every page over five years of made-up data")
        parser.add_argument("--scale", type=float, default=1.0, help="with --years: 0.1 for a tenth of the rows")

    def handle(
        self, *args: Any, part: str | None = None, into: Path | None = None, years: bool = False, scale: float = 1.0, **options: Any
    ) -> None:
        if part is not None:
            self._one_part(part, into)
            return
        rows: list[Row] = []
        for each in years_parts(scale) if years else PARTS:
            self.stderr.write(f"measuring {each.name} ...")
            rows += [judged(row) for row in run(each)]
        self.stdout.write("\n".join(lines(rows)))
        path = Path(settings.DATA_DIR) / ("bench-years.json" if years else "bench.json")
        write_private(path, orjson.dumps({"at": utc_now().isoformat(), "rows": rows}, option=orjson.OPT_INDENT_2).decode())
        self.stderr.write(f"written to {path}")

    def _one_part(self, part: str, into: Path | None) -> None:
        rows = MEASURES[part]()
        if into is not None:
            into.write_text(json.dumps(rows))
        else:
            self.stdout.write("\n".join(lines(judged(row) for row in rows)))
