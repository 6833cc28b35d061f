"""The trading state changed from the console: written straight to its row, so it needs neither Redis nor Celery nor a worker.

A living worker reads the row every two seconds and again before every entry leaves; a halt then also takes back the
entries that work. Whoever may run commands on this machine may do this; the reason and the name are kept.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from events.clock import utc_now
from events.journal import record_event
from events.system import TradingStateEvent
from positions.models import TradingState


def switch_to(state: str, *, reason: str, by: str) -> str:
    """Write the state and remember who did it; returns the state before."""
    with transaction.atomic():
        row, _ = TradingState.objects.get_or_create(pk=1)
        changed = {"state": state, "reason": reason[:300], "changed_by": by[:150], "changed_at": utc_now()}
        TradingState.objects.filter(pk=1).update(version=F("version") + 1, **changed)
        record_event(TradingStateEvent(state=state, reason=reason[:300], changed_by=by[:150], previous_state=str(row.state)))
    return str(row.state)
