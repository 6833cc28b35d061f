"""What the signals app shows live: the rows of GET /live/signals, pending ones with fresh numbers, and how the options-flow API is."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from events import health, live
from signals.models import SignalRecord
from signals.pending import pending_rows
from signals.source_health import flow_part

RECENT = 50


def signal_rows(request: HttpRequest) -> list[dict[str, Any]]:
    """The first pending signals with their proposals, a light row of each of the rest, then the latest others, newest first."""
    others = SignalRecord.objects.exclude(state=SignalRecord.State.PENDING)[:RECENT]
    return pending_rows() + [signal.as_row() for signal in others]


def register() -> None:
    live.register("signals", signal_rows)
    health.contribute("flow", flow_part)
