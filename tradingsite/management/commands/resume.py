"""Release trading from the console, with a reason. Locks stay; they are cleared on the trading page."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from positions.accounts import traded_account
from positions.locks import active_locks
from positions.models import TradingState
from tradingsite.switching import switch_to


class Command(BaseCommand):
    help = "Let orders leave again. Works without Redis, Celery and a running worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="kept with the change")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("Give a reason.")
        before = switch_to(TradingState.State.ACTIVE, reason=reason, by=f"{getpass.getuser()} at the console")
        self.stdout.write(f"Trading is active (was {before}).")
        for lock in active_locks(traded_account()):
            self.stdout.write(f"Still locked: {lock.what}: {lock.reason}")
