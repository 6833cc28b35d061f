"""Celery tasks that may run long: claimed by a row, so that it does not matter how often their message is delivered.

A message that is acknowledged late is delivered again when its task outlives the broker's visibility timeout, and a second
run starts beside the first. So these acknowledge early, hold a claim of `events.long_work` while they run, and have a limit of
their own: the work itself ends at its next step after `limit`, and a pool of processes is stopped by Celery's limits a little
later. A task that was lost with its worker is done when it is next due; its claim is taken over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from celery import shared_task

from events.clock import utc_now
from events.long_work import Held, working

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=60)  # between the work's own limit and Celery's hard one
LONG_TASKS: set[str] = set()  # the Celery names of all of them


def long_task(
    *, name: str, limit: timedelta, every: timedelta | None = None, for_each: bool = False
) -> Callable[[Callable[..., Any]], Any]:
    """Make a task of `function(work, *args)`. With `for_each` every first argument has a claim of its own; with `every` a slot
    of that length is done once when Celery asks, however many schedulers ask. Returns None while somebody else is at it."""

    def decorate(function: Callable[..., Any]) -> Any:
        @shared_task(
            bind=True,
            acks_late=False,
            reject_on_worker_lost=False,
            soft_time_limit=int((limit + GRACE / 2).total_seconds()),
            time_limit=int((limit + GRACE).total_seconds()),
        )
        @wraps(function)
        def run(task: Any, *args: Any, **kwargs: Any) -> Any:
            slot = _slot(every) if every is not None and not task.request.called_directly else None
            try:
                with working(f"{name}:{args[0]}" if for_each else name, limit=limit, slot=slot) as work:
                    return function(work, *args, **kwargs)
            except Held as held:
                log.info("%s", held)
                return None

        LONG_TASKS.add(run.name)
        return run

    return decorate


def _slot(every: timedelta) -> int:
    return int(utc_now().timestamp() // every.total_seconds())
