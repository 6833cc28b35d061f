"""The Celery application: polling and housekeeping on a fixed schedule. It never talks to the broker of orders.

Each entry's message expires before the next one is due, so a backlog after a pause is one run, not hundreds.
"""

import os
from importlib.util import find_spec
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging

app = Celery("desk")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["signals", "tradingsite"])


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Celery leaves logging alone when someone listens here; Django's LOGGING stays in force."""


def _every(seconds: float, task: str) -> dict[str, Any]:
    return {"task": task, "schedule": seconds, "options": {"expires": 0.9 * seconds}}


HOUSEKEEPING: dict[str, dict[str, Any]] = {
    "thin-equity-points": _every(600, "tradingsite.tasks.thin_equity_points"),
    "clear-expired-sessions": _every(6 * 3600, "tradingsite.tasks.clear_expired_sessions"),
    "optimize-database": _every(24 * 3600, "tradingsite.tasks.optimize_database"),
    "back-up-database": _every(3600, "tradingsite.tasks.back_up_database"),
    "verify-journal": {
        "task": "tradingsite.tasks.verify_journal",
        "schedule": crontab(hour="7", minute="40"),  # UTC; every US market is closed
        "options": {"expires": 3600},
    },
}


def _schedule() -> dict[str, dict[str, Any]]:
    entries = dict(HOUSEKEEPING)
    if find_spec("signals.schedule"):
        from signals.schedule import SCHEDULE

        entries |= SCHEDULE
    return entries


app.conf.beat_schedule = _schedule()
