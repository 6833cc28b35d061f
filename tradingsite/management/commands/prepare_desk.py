"""`manage.py prepare_desk`: tables, static files, the demo user, a first history. `desk` runs it before anything starts."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from tradingsite.desk.preparation import prepare


class Command(BaseCommand):
    help = "Bring the database up to date, collect static files, make the demo user. Prints each step, then how to log in."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--web-url", default=f"http://127.0.0.1:{settings.PORT}", help="where people log in")
        parser.add_argument(
            "--gateway-state", type=Path, help="folder of our own simulated gateway: an empty database is given a first history"
        )

    def handle(self, *args: Any, web_url: str, gateway_state: Path | None, **options: Any) -> None:
        try:
            login_line = prepare(
                data_dir=settings.DATA_DIR,
                web_url=web_url,
                gateway_state=gateway_state,
                mode=settings.TRADING_MODE,
                step=self._say,
                demo_password=os.environ.get("DEMO_PASSWORD", "").strip(),
            )
        except DatabaseError as error:
            raise CommandError(f"The database does not work (DATABASE_URL): {str(error).strip().splitlines()[0]}") from error
        self._say(login_line)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
