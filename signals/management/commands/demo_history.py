"""`manage.py demo_history --state-dir D`: fill an empty database with months of simulated trading, once."""

from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from events.long_work import Held, working
from signals.demo.history_rows import NotEmpty, make_history


class Command(BaseCommand):
    help = "Fill an empty database, and the simulated gateway's book beside it, with months of simulated trading."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state-dir", required=True, help="State folder of the simulated gateway, which must not be running.")
        parser.add_argument("--seed", type=int, default=20_260_101, help="Seed of the market; the same as the gateway's.")
        parser.add_argument("--days", type=int, default=183, help="Calendar days to look back.")

    def handle(self, *args: Any, state_dir: str, seed: int, days: int, verbosity: int, **options: Any) -> None:
        if settings.TRADING_MODE != "simulated":
            raise CommandError("A demo history is made only when TRADING_MODE=simulated.")
        say = self.stdout.write if verbosity else (lambda text: None)
        try:
            with working("demo-history", limit=timedelta(hours=1)):
                history = make_history(seed=seed, state_dir=Path(state_dir), days=days, client_id=settings.IB_CLIENT_ID, say=say)
        except (NotEmpty, Held) as error:
            raise CommandError(f"No demo history was made: {error}.") from error
        say(f"{len(history.decided)} signals, {history.positions} positions, {history.realized:+,.2f} realized")
