"""`manage.py replay --verify`: fold the journal, whole or since the checkpoint, and say whether it gives the live tables."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.long_work import LongWorkError, working
from tradingsite.replay import WORK, Replay, advance, remember, renew

LIMIT = timedelta(hours=6)


class Command(BaseCommand):
    help = "Folds the journal from empty and compares the result with the live tables. Exit code 1 when they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--verify", action="store_true", required=True, help="compare, and keep the time of the last equality")
        parser.add_argument(
            "--since-checkpoint", action="store_true", help="only what is new, and a seventh of the rest, as each night; else from empty"
        )

        parser.add_argument(
            "--seal-anew", action="store_true", help="accept the journal as it is now, where it no longer fits what was sealed"
        )

    def handle(self, *args: Any, since_checkpoint: bool = False, seal_anew: bool = False, **options: Any) -> None:
        try:
            with working(WORK, limit=LIMIT) as work:
                replay = advance(work.step, seconds=None) if since_checkpoint else renew(work.step, anew=seal_anew)
                work.outcome = f"{'equal' if replay.equal else 'different'}: {replay.scope}"
                remember(replay)
        except LongWorkError as error:
            raise CommandError(str(error)) from error
        self._say(replay)

    def _say(self, replay: Replay) -> None:
        self.stdout.write(f"{replay.events} events folded, up to seq {replay.last_seq}")
        for table, rows in replay.rows.items():
            note = f" ({replay.thinned} of them thinned since)" if table == "EquityPoint" and replay.thinned else ""
            self.stdout.write(f"{table}: {rows} rows{note}")
        if replay.equal:
            self.stdout.write(f"EQUAL: the journal rebuilds the live tables row for row ({replay.scope})")
            return
        for difference in replay.differences:
            self.stdout.write(f"  {difference}")
        self.stdout.write(f"DIFFERENT: {replay.count} differences")
        sys.exit(1)
