"""A copy of the SQLite database, taken while the desk runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.clock import utc_now
from tradingsite.backup import NoBackup, back_up, keep


class Command(BaseCommand):
    help = "Copy the database, also while everything runs: to FILE, or to DATA_DIR/backups, where old copies are thinned."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", help="default: a new file in DATA_DIR/backups")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = back_up(Path(options["file"])) if options["file"] else keep(utc_now())
        except NoBackup as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{made} ({made.stat().st_size / 1e6:.1f} MB)")
