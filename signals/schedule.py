"""When Celery beat starts what. A tick that finds nothing due costs one query; a message not taken in time is dropped."""

from __future__ import annotations

from typing import Any


def _every(seconds: float, task: str) -> dict[str, Any]:
    return {"task": f"signals.tasks.{task}", "schedule": seconds, "options": {"expires": 0.9 * seconds}}


SCHEDULE: dict[str, dict[str, Any]] = {
    "poll-due-tickers": _every(5, "poll_due"),
    "fill-gaps": _every(5, "fill_gaps"),
    "expire-signals": _every(5, "expire_signals"),
    "poll-flow-status": _every(60, "poll_status"),
    "refresh-flow-tickers": _every(3600, "refresh_tickers"),
    "prune-flow-points": _every(24 * 3600, "prune_flow"),
}
