"""A copy of the SQLite database, taken while the desk runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from events.clock import utc_now
from events.long_work import LongWorkError, working
from tradingsite.backup import LIMIT, WORK, NoBackup, back_up, keep


class Command(BaseCommand):
    help = "Copy the database, also while everything runs: to FILE, or to DATA_DIR/backups, where old copies are thinned."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", help="default: a new file in DATA_DIR/backups")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with working(WORK, limit=LIMIT) as work:
                made = back_up(Path(options["file"]), step=work.step) if options["file"] else keep(utc_now(), step=work.step)
                work.outcome = made.name
        except (NoBackup, LongWorkError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database could not be copied: {error}") from error
        self.stdout.write(f"{made} ({made.stat().st_size / 1e6:.1f} MB)")
