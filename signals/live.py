"""What the signals app shows live: the rows of GET /live/signals, and how the options-flow API is."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from events import health, live
from signals.models import SignalRecord
from signals.source_health import flow_part

RECENT = 50


def signal_rows(request: HttpRequest) -> list[dict[str, Any]]:
    """Every pending signal, then the latest others, newest first."""
    pending = list(SignalRecord.objects.filter(state=SignalRecord.State.PENDING))
    others = list(SignalRecord.objects.exclude(state=SignalRecord.State.PENDING)[:RECENT])
    return [signal.as_row() for signal in (*pending, *others)]


def register() -> None:
    live.register("signals", signal_rows)
    health.contribute("flow", flow_part)
