"""`manage.py ibworker`: the one process that talks to Interactive Brokers. Stops cleanly on SIGTERM and Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from positions.lease import LeaseBusy, LockUnsafe, WorkerLock, take_epoch, worker_lock
from tradingsite.soundness import damage
from tradingsite.worker.composition import WorkerSettings, build

log = logging.getLogger(__name__)

EXIT_BUSY = 75  # another worker is running; a supervisor need not hurry


class Command(BaseCommand):
    help = "Runs the worker: holds the IB connection, sends orders, keeps positions. One per database."

    def handle(self, *args: Any, **options: Any) -> None:
        lock = worker_lock()
        try:
            lock.acquire()
        except LeaseBusy as error:
            self.stderr.write(f"Not started: {error}.")
            sys.exit(EXIT_BUSY)
        except LockUnsafe as error:
            raise CommandError(f"Not started: {error}.") from None
        except DatabaseError as error:
            raise CommandError(f"the database does not answer: {error}") from error
        try:
            epoch = self._take_epoch()
            code = asyncio.run(run_worker(WorkerSettings.from_django(), lock, epoch))
        finally:
            lock.release()
        sys.exit(code)

    def _take_epoch(self) -> int:
        try:
            if found := damage():
                raise CommandError(found)
            return take_epoch()
        except DatabaseError as error:
            raise CommandError(f"the database is not ready (run manage.py migrate): {error}") from error


async def run_worker(settings: WorkerSettings, lock: WorkerLock, epoch: int) -> int:
    worker = build(settings, lock=lock, epoch=epoch)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    return await worker.run()
