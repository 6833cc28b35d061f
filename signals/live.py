"""What the signals app shows live: the rows of GET /live/signals, pending ones with fresh numbers, and how the options-flow API is."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from events import health, live
from signals.models import SignalRecord
from signals.proposal import pending_proposals
from signals.source_health import flow_part

RECENT = 50


def signal_rows(request: HttpRequest) -> list[dict[str, Any]]:
    """Every pending signal with its proposal, then the latest others, newest first."""
    others = SignalRecord.objects.exclude(state=SignalRecord.State.PENDING)[:RECENT]
    return [proposal.as_row() for proposal in pending_proposals()] + [signal.as_row() for signal in others]


def register() -> None:
    live.register("signals", signal_rows)
    health.contribute("flow", flow_part)
