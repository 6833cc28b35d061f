"""Stop trading from the console: no entry leaves, working entries are taken back, protection stays."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from positions.models import TradingState
from tradingsite.switching import switch_to


class Command(BaseCommand):
    help = "Halt trading (or, with --reduce-only, allow exits only). Works without Redis, Celery and a running worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="kept with the change and shown on every page")
        parser.add_argument("--reduce-only", action="store_true", help="exits work, entries are refused")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("Give a reason.")
        state = TradingState.State.REDUCE_ONLY if options["reduce_only"] else TradingState.State.HALTED
        before = switch_to(state, reason=reason, by=f"{getpass.getuser()} at the console")
        self.stdout.write(f"Trading is {state} (was {before}). Stops and targets stay at the broker.")
