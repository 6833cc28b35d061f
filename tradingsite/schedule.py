"""When Celery beat starts which task: housekeeping here, polling in `signals.schedule`.

Each entry's message expires before the next one is due, so a backlog after a pause is one run, not hundreds.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

from signals.schedule import SCHEDULE as POLLING


def _every(seconds: float, task: str) -> dict[str, Any]:
    return {"task": task, "schedule": seconds, "options": {"expires": 0.9 * seconds}}


HOUSEKEEPING: dict[str, dict[str, Any]] = {
    "note-alive": _every(5, "tradingsite.tasks.note_alive"),
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
SCHEDULE: dict[str, dict[str, Any]] = HOUSEKEEPING | POLLING
