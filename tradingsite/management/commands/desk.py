"""`manage.py desk`: the whole desk on one machine, supervised. Ctrl-C ends it; all data stay in DATA_DIR.

Runs bare (see manage.py), so nothing here may touch a table.
"""

import asyncio
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tradingsite.desk.lock import AlreadyRunning, DeskLock
from tradingsite.desk.output import Output
from tradingsite.desk.ports import is_free
from tradingsite.desk.preparing import NotPrepared, prepare_beside
from tradingsite.desk.redis_binary import NoRedis
from tradingsite.desk.services import make_plan
from tradingsite.desk.supervisor import STATUS_FILE, Supervisor


class Command(BaseCommand):
    help = "Start and supervise the whole desk: web, workers, beat and, unless settings point elsewhere, Redis, gateway and demo API."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--status", action="store_true", help="Print one line for each process of the running desk, and leave.")

    def handle(self, *args: Any, status: bool = False, **options: Any) -> None:
        data_dir = Path(settings.DATA_DIR)
        if status:
            self._show_status(data_dir)
            return
        lock = DeskLock(data_dir)
        try:
            lock.take()
        except AlreadyRunning as error:
            raise CommandError(str(error)) from error
        try:
            self._run(data_dir)
        finally:
            lock.release()

    def _run(self, data_dir: Path) -> None:
        if not is_free(settings.PORT):
            raise CommandError(f"Port {settings.PORT} is taken by another program; set PORT to a free one.")
        try:
            plan = make_plan(base_dir=settings.BASE_DIR, data_dir=data_dir, mode=settings.TRADING_MODE, port=settings.PORT)
        except NoRedis as error:
            raise CommandError(str(error)) from error
        output = Output(data_dir / "logs", secrets=[settings.SECRET_KEY, plan.environment.get("FLOW_API_KEY", "")])
        try:
            login_line = prepare_beside(plan, base_dir=settings.BASE_DIR, step=lambda text: output.say("desk", text))
            asyncio.run(Supervisor(plan, output, login_line=login_line).run())
        except NotPrepared as error:
            sys.exit(error.code or 1)
        except KeyboardInterrupt:  # before the supervisor listens to signals; no child runs yet
            output.say("desk", "stopped")
            sys.exit(130)
        finally:
            output.close()

    def _show_status(self, data_dir: Path) -> None:
        path = data_dir / STATUS_FILE
        if not path.exists():
            raise CommandError(f"No desk has run in {data_dir} yet.")
        for row in orjson.loads(path.read_bytes()):
            self.stdout.write(f"{row['name']:<10} pid {row['pid'] or '-':<8} {row['state']:<10} restarts {row['restarts']}")
