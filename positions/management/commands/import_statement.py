"""`manage.py import_statement FILE`: compares a day of a broker's statement with our fills; exit code 1 when a difference was printed."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from positions.statement_check import check_statement
from positions.statements.account_of_rows import sentences
from positions.statements.reading import LARGEST_FILE
from positions.statements.statement import BadStatement


class Command(BaseCommand):
    help = "Compares one day of an IB statement (Flex XML or activity CSV) with our fills, to the cent, and stores the result."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--day", type=date.fromisoformat, default=None, help="exchange day, when the file has several")

    def handle(self, *args: Any, file: Path, day: date | None, **options: Any) -> None:
        try:
            with file.open("rb") as opened:
                data = opened.read(LARGEST_FILE + 1)
            check = check_statement(data, file_name=file.name, day=day)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from error
        except BadStatement as error:
            raise CommandError(str(error)) from error
        for sentence in check.data["findings"]:
            self.stdout.write(sentence)
        missing = f"{check.missing_here} missing here, {check.missing_there} missing there"
        self.stdout.write(f"{check.day}: {check.matched} match, {check.differs} differ, {missing}")
        for sentence in sentences(check.data["row_groups"], check.data["file_rows"]):
            self.stdout.write(sentence)
        for note in check.data["notes"]:
            self.stdout.write(note)
        if not check.ok:
            sys.exit(1)
