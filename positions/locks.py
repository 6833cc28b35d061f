"""Locks as pages see them: which stand, and clearing one. The worker makes them and obeys them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from events.clock import utc_now
from events.journal import record_event
from events.system import RiskLockEvent
from positions.models import RiskLock


def active_locks(now: datetime | None = None) -> QuerySet[RiskLock]:
    """What is shut now, newest first."""
    return RiskLock.objects.filter(Q(until__isnull=True) | Q(until__gt=now or utc_now()), cleared_at__isnull=True)


def clear(lock_id: int, *, by: Any, reason: str) -> bool:
    """Open a lock again; False when it no longer stands. Who and why is kept in the row and in the journal."""
    name, now = str(by.get_username()), utc_now()
    with transaction.atomic():
        changed = active_locks(now).filter(pk=lock_id).update(cleared_at=now, cleared_by=name[:150], clear_reason=reason[:300])
        if changed:
            lock = RiskLock.objects.get(pk=lock_id)
            record_event(RiskLockEvent(code=lock.code, scope=lock.scope, name=lock.name, state="cleared", reason=reason[:300], by=name))
    return bool(changed)
