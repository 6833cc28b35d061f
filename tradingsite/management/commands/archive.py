"""`manage.py archive`: move rows whose life is over to files, list the files, or write one table's archived rows out again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from events.long_work import LongWorkError, working
from tradingsite.archive import LIMIT, LIVES, WORK, BadArchive, archive, files, in_words, read


class Command(BaseCommand):
    help = "Moves rows older than their life to DATA_DIR/archive, as each night; --list and --export read them again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--list", action="store_true", help="one line for each file, after its digest was compared")
        parser.add_argument("--export", choices=[life.name for life in LIVES], help="the archived rows of a table, as JSON lines")

    def handle(self, *args: Any, export: str | None = None, **options: Any) -> None:
        try:
            if options["list"]:
                for file in files():
                    self.stdout.write(f"{file.name} {sum(1 for _ in read(file))} rows {file.stat().st_size / 1e6:.2f} MB")
            elif export:
                for file in files(export):
                    for row in read(file):
                        self.stdout.write(orjson.dumps(row).decode())
            else:
                with working(WORK, limit=LIMIT) as work:
                    work.outcome = in_words(archive(work.step))
                self.stdout.write(work.outcome)
        except (BadArchive, LongWorkError) as error:
            raise CommandError(str(error)) from error
