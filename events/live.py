"""The snapshots behind the live pages: GET /live/<topic> gives the same rows the socket then keeps up to date.

Each app registers what it can show in its AppConfig.ready(); events itself shows commands, the tape and health.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from events.clock import utc_now
from events.health import health_now
from events.models import CommandRecord, EventRecord
from events.rows import command_row, tape_row

TOPICS = ("positions", "orders", "signals", "commands", "equity", "health", "tape", "bars", "broker")
TAPE_LENGTH = 100

Provider = Callable[[HttpRequest], list[dict[str, Any]]]
_providers: dict[str, Provider] = {}  # topic → what gives its rows


def register(topic: str, provider: Provider) -> None:
    """Have GET /live/<topic> answer with `provider(request)`; the last registration wins."""
    if topic not in TOPICS:
        raise ValueError(f"{topic!r} is not a topic of the feed")
    _providers[topic] = provider


@never_cache
@require_GET
def snapshot(request: HttpRequest, topic: str) -> HttpResponse:
    """The rows of a topic as they are now. `at` is read before the rows, so that a later change is never taken for older."""
    if topic not in TOPICS:
        raise Http404(f"no live topic {topic[:40]!r}")
    at = utc_now()
    provider = _providers.get(topic)
    try:
        rows = provider(request) if provider else []
    except DatabaseError:
        return _json({"topic": topic, "at": at, "error": "The database does not answer; the numbers shown may be old."}, status=503)
    return _json({"topic": topic, "kind": "snapshot", "at": at, "rows": rows, "health": health_now()})


def _json(data: dict[str, Any], *, status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), content_type="application/json", status=status)


def recent_commands(request: HttpRequest) -> list[dict[str, Any]]:
    """The last day's commands, newest first, at most 50."""
    since = utc_now() - timedelta(days=1)
    return [command_row(record) for record in CommandRecord.objects.filter(created_at__gte=since).select_related("created_by")[:50]]


def recent_tape(request: HttpRequest) -> list[dict[str, Any]]:
    """The last journaled events, newest first."""
    return [tape_row(record.data, record.seq) for record in EventRecord.objects.all()[:TAPE_LENGTH]]


def health_rows(request: HttpRequest) -> list[dict[str, Any]]:
    return [health_now()]


register("commands", recent_commands)
register("tape", recent_tape)
register("health", health_rows)
