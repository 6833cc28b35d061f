"""`manage.py replay --verify`: fold the journal from empty and say whether it gives the live tables, row for row."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from tradingsite.replay import remember, verify


class Command(BaseCommand):
    help = "Folds the journal from empty and compares the result with the live tables. Exit code 1 when they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--verify", action="store_true", required=True, help="compare, and keep the time of the last equality")

    def handle(self, *args: Any, **options: Any) -> None:
        replay = verify()
        remember(replay)
        self.stdout.write(f"{replay.events} events folded, up to seq {replay.last_seq}")
        for table, rows in replay.rows.items():
            note = f" ({replay.thinned} of them thinned since)" if table == "EquityPoint" and replay.thinned else ""
            self.stdout.write(f"{table}: {rows} rows{note}")
        if replay.equal:
            self.stdout.write("EQUAL: the journal rebuilds the live tables row for row")
            return
        for difference in replay.differences:
            self.stdout.write(f"  {difference}")
        self.stdout.write(f"DIFFERENT: {replay.count} differences")
        sys.exit(1)
