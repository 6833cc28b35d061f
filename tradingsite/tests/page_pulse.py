"""Stands in for the worker's heartbeat where pages are tested without a worker."""

from __future__ import annotations

import threading

from django.db import connection

from events.clock import utc_now
from events.feed import publish
from events.health import health_now
from events.models import WorkerLease
from tradingsite.testing.patience import PATIENCE


class Pulse:
    """Beats to the database, and while Redis lives to the pages, until `beating` is switched off."""

    def __init__(self) -> None:
        self.beating = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            if self.beating:
                WorkerLease.objects.update(heartbeat_at=utc_now())
                publish("health", [health_now()])
        connection.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=PATIENCE)
