"""Whether the desk is fit to trade: gateway link, worker, flow API, watch list, Celery, Redis, database. Read by /readyz and the overview.

Each verdict comes from the age of something that has to happen again and again, or from a write that is tried now. Every
check answers within about a second and none raises; a part that cannot be asked is `unknown`, never `ok`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils.dateparse import parse_datetime

from events.clock import utc_now
from events.health import HEARTBEAT_LIMIT, newest_lease
from events.models import JournalCheck, WorkerLease
from events.wording import age_words, count_words, quantity_text, state_words
from signals.coverage import coverage
from signals.models import JobLease, PredictionRecord, SourceHealth
from tradingsite import pulses

REDIS_SECONDS = 1
REDIS_KEY = "desk:ready"
LOCK_SECONDS = 1  # that a trial write may wait for another's
# Pulse → name and label of its check, and what starts the process that is missing.
_PULSES = {
    pulses.BEAT: ("beat", "Celery beat", "celery -A tradingsite.beat beat"),
    pulses.WORKERS: ("celery", "Celery workers", "celery -A tradingsite worker"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part's verdict. `at` is when it was last known to be as `state` says (None: just now or never)."""

    name: str
    label: str
    state: str  # ok, degraded, down, unknown
    detail: str = ""
    at: datetime | None = None

    @property
    def fit(self) -> bool:
        return self.state == "ok"

    def as_row(self) -> dict[str, Any]:
        return {
            "id": self.name,
            "label": self.label,
            "state": self.state,
            "detail": self.detail,
            "at": self.at.isoformat() if self.at else None,
        }


@contextmanager
def impatient() -> Iterator[None]:
    """SQLite waits for another's write no longer than a second in here; PostgreSQL's writers do not wait for each other's rows."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {connection.settings_dict['OPTIONS'].get('timeout', 5) * 1000}")


class _Undo(Exception):
    """Takes a trial write back."""


def check_database() -> Check:
    """Whether it answers and takes a write. The trial row is taken back, so nothing is left of it."""
    label = "Database"
    try:
        with impatient(), transaction.atomic():
            JobLease.objects.create(name=f"trial {uuid4().hex}"[:40])
            raise _Undo
    except _Undo:
        return Check(name="database", label=label, state="ok", detail=connection.vendor)
    except DatabaseError as error:
        return Check(name="database", label=label, state="down", detail=f"it takes no writes: {_first_line(error)}")


def check_redis() -> Check:
    """Whether it answers and takes a write: one that is full, or a replica, still answers every PING."""
    name, label = "redis", "Redis"
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS) as client:
            client.set(REDIS_KEY, "1", ex=60)
    except redis.exceptions.ReadOnlyError:
        return Check(name=name, label=label, state="down", detail="it is read-only (a replica after a failover?): nothing is polled")
    except redis.exceptions.OutOfMemoryError:
        return Check(name=name, label=label, state="down", detail="it is full and takes no writes (maxmemory): nothing is polled")
    except redis.exceptions.ResponseError as error:
        return Check(name=name, label=label, state="down", detail=f"it takes no writes: {_first_line(error)}")
    except (redis.RedisError, OSError, ValueError) as error:
        return Check(name=name, label=label, state="down", detail=f"it does not answer ({type(error).__name__})")
    return Check(name=name, label=label, state="ok", detail="answers and takes writes")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:120] or type(error).__name__


def check_pulse(seen: Mapping[str, datetime], name: str, now: datetime) -> Check:
    """Whether beat, or the Celery workers, left a sign of life lately."""
    check, label, command = _PULSES[name]
    at = seen.get(name)
    if at is None:
        return Check(name=check, label=label, state="unknown", detail=f"never seen; start `{command}`")
    silence = (now - at).total_seconds()
    if silence > pulses.LIMIT:
        words = f"no sign of life for {age_words(silence)}: nothing is polled, no signal expires; start `{command}`"
        return Check(name=check, label=label, state="down", detail=words, at=at)
    return Check(name=check, label=label, state="ok", detail="works", at=at)


def check_worker(lease: WorkerLease | None, now: datetime) -> Check:
    if lease is None or lease.heartbeat_at is None:
        return Check(name="worker", label="Worker", state="unknown", detail="never started")
    if (now - lease.heartbeat_at).total_seconds() > HEARTBEAT_LIMIT:
        return Check(name="worker", label="Worker", state="down", detail="no heartbeat", at=lease.heartbeat_at)
    state = "ok" if lease.state == "ready" else "degraded"
    return Check(name="worker", label="Worker", state=state, detail=lease.state, at=lease.heartbeat_at)


def check_gateway(lease: WorkerLease | None, worker: Check) -> Check:
    """What the worker last said of its broker link; only a live worker's word counts."""
    link = (lease.health or {}).get("gateway") if lease else None
    if not isinstance(link, Mapping):
        return Check(name="gateway", label="Gateway", state="unknown", detail="not reported")
    since = parse_datetime(str(link.get("since") or ""))
    word, detail = str(link.get("state") or "unknown"), str(link.get("detail") or "")
    if worker.state in ("down", "unknown"):
        return Check(name="gateway", label="Gateway", state="unknown", detail=f"last said {state_words(word)}", at=worker.at)
    state = {"ok": "ok", "connected": "ok", "degraded": "degraded", "connecting": "degraded", "syncing": "degraded"}.get(word, "down")
    return Check(name="gateway", label="Gateway", state=state, detail=detail or state_words(word), at=since)


def check_protection(lease: WorkerLease | None, worker: Check) -> Check:
    """Whether every share held has its stop, and the day's seconds without one. Shown; no condition for trading by itself."""
    said = (lease.health or {}).get("protection") if lease else None
    label = "Stops"
    if not isinstance(said, Mapping) or worker.state in ("down", "unknown"):
        return Check(name="protection", label=label, state="unknown", detail="not reported")
    soon = soon_in_words(said)
    state = "down" if said.get("alarms") else "degraded" if said.get("bare") or soon.startswith("more") else "ok"
    words = [f"{said.get('seconds_today') or 0:.1f} s without a stop today", f"{said.get('held') or 0} held"]
    words += [count_words(said["tasks"], "task for a person", "tasks for a person")] if said.get("tasks") else []
    words += [f"bare: {', '.join(map(str, said['bare']))}"] if said.get("bare") else []
    words += [soon] if soon else []
    return Check(name="protection", label=label, state=state, detail=", ".join(words), at=parse_datetime(str(said.get("checked_at") or "")))


def soon_in_words(said: Mapping[str, Any]) -> str:
    """How many stops IB's pace lets us place and move in two seconds, and that more are held, when more are."""
    soon = said.get("soon")
    if not isinstance(soon, Mapping):
        return ""
    pace = f"{soon['stops']} stops placed or {soon['moves']} moved in {quantity_text(soon['seconds'])} s"
    held = said.get("held") or 0
    return f"more held than IB's pace allows: {pace}" if held > soon["moves"] else f"IB's pace allows {pace}"


def check_lines(lease: WorkerLease | None, worker: Check) -> Check:
    """IB's market-data lines, and who has no live price because there are not enough. A position without one is no small thing."""
    said = ((lease.health or {}).get("worker") or {}).get("lines") if lease else None
    label = "Live prices"
    if not isinstance(said, Mapping) or worker.state in ("down", "unknown"):
        return Check(name="lines", label=label, state="unknown", detail="not reported")
    told = lease.health["worker"] if lease else {}
    silent, unknown = told.get("without_quote") or [], told.get("unknown_symbols") or {}
    words = [lines_in_words(said)]
    words += [f"no quote has come of {named(silent)}"] if silent else []
    words += [f"IB does not know {named(sorted(unknown))}"] if unknown else []
    state = "degraded" if _lines_state(said) == "ok" and (silent or unknown) else _lines_state(said)
    return Check(name="lines", label=label, state=state, detail="; ".join(words), at=worker.at)


def named(symbols: Sequence[str], most: int = 5) -> str:
    """The first few by name, and how many more there are."""
    more = len(symbols) - most
    return ", ".join(symbols[:most]) + (f" and {count_words(more, 'other')}" if more > 0 else "")


def _lines_state(said: Mapping[str, Any]) -> str:
    return "down" if said["positions_without"] else "degraded" if said["signals_without"] or said["watched_without"] else "ok"


def lines_in_words(said: Mapping[str, Any]) -> str:
    """Such as "100 of 100 lines used; no live price for 108 symbols of the watch list"."""
    words = [f"{said['used']} of {said['limit']} lines used"]
    words += [f"IB serves fewer than the {said['setting']} of the setting"] if said["limit"] < said["setting"] else []
    watched = ("watched_without", "symbol of the watch list", "symbols of the watch list")
    places = (("positions_without", "position", ""), ("signals_without", "pending signal", ""), watched)
    missing = [count_words(said[key], one, many) for key, one, many in places if said[key]]
    words += [f"no live price for {', '.join(missing)}"] if missing else []
    return "; ".join(words)


def check_flow() -> Check:
    source = SourceHealth.objects.filter(ticker="").first()
    if source is None:
        return Check(name="flow", label="Flow API", state="unknown", detail="never polled")
    state = {"ok": "ok", "degraded": "degraded", "unknown": "unknown"}.get(source.state, "down")
    detail = "answers" if state == "ok" else (source.last_error or source.state)
    return Check(name="flow", label="Flow API", state=state, detail=detail[:160], at=source.last_success)


def check_polling() -> Check:
    """Whether every watched symbol has a fresh answer. An age, not a memory of success: one that is never asked is noticed."""
    covered = coverage()
    at = utc_now() - timedelta(seconds=covered.age) if covered.oldest and covered.open else None
    return Check(name="polling", label="Watch list", state=covered.state, detail=covered.words(), at=at)


def readiness() -> list[Check]:
    """All of them, the database last; without it the rest of what it remembers is unknown."""
    database, bus = check_database(), check_redis()
    if not database.fit:
        unknown = [("worker", "Worker"), ("gateway", "Gateway"), ("flow", "Flow API"), ("polling", "Watch list")]
        unknown += [(check, label) for check, label, _ in _PULSES.values()]
        return [*(Check(name=n, label=text, state="unknown", detail="database is away") for n, text in unknown), bus, database]
    lease, now, seen = newest_lease(), utc_now(), pulses.last_seen()
    worker = check_worker(lease, now)
    celery = [check_pulse(seen, name, now) for name in _PULSES]
    return [check_gateway(lease, worker), worker, check_flow(), check_polling(), *celery, bus, database]


def of_the_worker() -> list[Check]:
    """What the newest worker says of stops and prices; unknown when the database cannot say."""
    try:
        lease = newest_lease()
    except DatabaseError:
        lease = None
    worker = check_worker(lease, utc_now())
    return [check_protection(lease, worker), check_lines(lease, worker)]


def check_refused() -> Check:
    """What came from outside and could not be true: counted, never stored half. Shown; no condition for trading."""
    label = "Refused input"
    try:
        lease = newest_lease()
        predictions = PredictionRecord.objects.filter(
            verdict=PredictionRecord.Verdict.INVALID, received_at__gte=utc_now() - timedelta(days=1)
        ).count()
    except DatabaseError:
        return Check(name="refused", label=label, state="unknown", detail="database is away")
    counters = (lease.health or {}).get("counters") if lease else None
    frames = counters.get("refused_frames") or 0 if isinstance(counters, Mapping) else 0
    state = "degraded" if frames or predictions else "ok"
    detail = f"{count_words(frames, 'frame')} of the gateway since the worker started, {count_words(predictions, 'prediction')} in 24 h"
    return Check(name="refused", label=label, state=state, detail=detail)


def check_journal() -> Check:
    """The last replay of the journal, and when it last gave the tables row for row. A proof, not a condition for trading."""
    label = "Journal replay"
    try:
        last = JournalCheck.objects.first()
    except DatabaseError:
        last = None
    if last is None:
        return Check(name="journal", label=label, state="unknown", detail="not compared yet; it is each night")
    if last.equal:
        detail = f"{count_words(last.events, 'event gives', 'events give')} the same rows{last.scope and f' (last compared: {last.scope})'}"
        return Check(name="journal", label=label, state="ok", detail=detail, at=last.equal_at)
    return Check(name="journal", label=label, state="down", detail=last.detail.partition("\n")[0][:160] or "differs", at=last.equal_at)


def proofs() -> list[Check]:
    """What a person should see beside the five, though none of it decides whether orders may leave."""
    return [*of_the_worker(), check_refused(), check_journal()]
