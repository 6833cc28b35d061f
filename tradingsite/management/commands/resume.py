"""Release trading from the console, with a reason. Locks stay; they are cleared on the trading page."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from events.clock import utc_now
from positions.models import RiskLock, TradingState
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
        for lock in RiskLock.objects.filter(Q(until__isnull=True) | Q(until__gt=utc_now()), cleared_at__isnull=True):
            self.stdout.write(f"Still locked: {lock.what}: {lock.reason}")
