"""Celery beat that leaves a sign of life in the database while it ticks, whether Redis takes its messages or not."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from celery.beat import PersistentScheduler
from django.db import DatabaseError, connection

from events.clock import monotonic
from tradingsite import pulses

log = logging.getLogger(__name__)
# Beat loads no apps, on purpose; Django takes that for a start that is not over.
warnings.filterwarnings("ignore", message="Accessing the database during app initialization", category=RuntimeWarning)


class PulsingScheduler(PersistentScheduler):
    """The usual scheduler. A database that is away stops the pulse, never the ticking."""

    _next_pulse = 0.0  # monotonic seconds

    def tick(self, *args: Any, **options: Any) -> float:
        wait: float = super().tick(*args, **options)
        if monotonic() >= self._next_pulse:
            self._next_pulse = monotonic() + pulses.EVERY
            self._pulse()
        return min(wait, pulses.EVERY)

    def _pulse(self) -> None:
        try:
            pulses.note(pulses.BEAT)
        except DatabaseError as error:
            log.warning("beat could not leave its sign of life: %s", type(error).__name__)
            connection.close()
