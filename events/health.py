"""How the desk is, as one frame: what the worker last said of itself, and what this process can see with its own eyes.

Words are ok, degraded, down and unknown. Parts that a dead worker reported are not believed: they become unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from events.clock import utc_now
from events.models import WorkerLease
from events.wording import age_words

HEARTBEAT_LIMIT = 6.0  # seconds: three missed heartbeats
PARTS_OF_THE_WORKER = ("gateway", "books", "flow")

# Part of the frame → what reads it from the database, where an upper floor knows better than the worker's last word.
_contributors: dict[str, Callable[[], object]] = {}


def contribute(part: str, read: Callable[[], object]) -> None:
    """Have the frame's `part` ("trading", "flow", "redis") come from `read()` in web processes."""
    _contributors[part] = read


def health_now(now: datetime | None = None) -> dict[str, Any]:
    """The frame for pages: "at", "mode", "account", "epoch", and a part for each thing that can be well or not."""
    now = now or utc_now()
    try:
        return said_by(newest_lease(), now) | {part: read() for part, read in _contributors.items()}
    except DatabaseError:
        return _nothing_known(now) | {"database": {"state": "down", "detail": "The database does not answer."}}


def said_by(lease: WorkerLease | None, now: datetime) -> dict[str, Any]:
    """The same by the worker's word alone: for who needs no more, one read instead of six."""
    frame = _nothing_known(now)
    _fill_from_lease(frame, lease, now)
    return frame


def _nothing_known(now: datetime) -> dict[str, Any]:
    return {
        "at": now.isoformat(),
        "mode": settings.TRADING_MODE,
        "account": "",
        "epoch": 0,
        "trading": {"state": "unknown", "reason": ""},
        "worker": {"state": "unknown", "heartbeat_at": None},
        "gateway": {"state": "unknown"},
        "books": {"state": "unknown"},
        "protection": {},
        "flow": {"state": "unknown"},
        "redis": {"state": "unknown"},
        "celery": {"state": "unknown"},
        "database": {"state": "ok"},
        "counters": {},
    }


def _fill_from_lease(frame: dict[str, Any], lease: WorkerLease | None, now: datetime) -> None:
    if lease is None:
        frame["worker"] = {"state": "down", "heartbeat_at": None, "detail": "The worker has never started."}
        return
    frame |= {key: value for key, value in lease.health.items() if key in frame and key not in ("at", "database", "mode")}
    frame["epoch"] = lease.epoch
    frame["worker"] = _worker_part(lease, now)
    said = lease.health.get("database")
    if frame["worker"]["state"] != "down" and isinstance(said, dict) and said.get("state") == "degraded":
        frame["database"] = said  # that it answers us says nothing about the clocks
    if frame["worker"]["state"] == "down":
        for part in PARTS_OF_THE_WORKER:
            frame[part] = {"state": "unknown", "detail": "The worker that watches this is down."}


def newest_lease() -> WorkerLease | None:
    """The lease with the latest heartbeat: one account, one worker."""
    return WorkerLease.objects.order_by("-heartbeat_at", "-epoch").exclude(heartbeat_at=None).first()


def quote_of(symbol: str) -> dict[str, Any] | None:
    """The worker's latest quote {last, bid, ask, at} of `symbol`, however old, or None."""
    lease = newest_lease()
    quotes = lease.health.get("quotes", {}) if lease else {}
    quote = quotes.get(symbol) if isinstance(quotes, dict) else None
    return quote if isinstance(quote, dict) else None


def _worker_part(lease: WorkerLease, now: datetime) -> dict[str, Any]:
    beat = lease.heartbeat_at
    age = (now - beat).total_seconds() if beat else None
    said = dict(lease.health.get("worker") or {})
    said |= {"heartbeat_at": beat.isoformat() if beat else None}
    if age is None or age > HEARTBEAT_LIMIT or lease.state == "stopped":
        return said | {"state": "down", "detail": f"No heartbeat for {age_words(age)}." if age is not None else "No heartbeat yet."}
    if lease.state != "ready":
        return said | {"state": "degraded", "detail": lease.state}
    return {"state": "ok"} | said
