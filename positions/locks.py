"""Locks as pages see them: which stand, and clearing one. The worker makes them and obeys them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from events.clock import utc_now
from events.exchange_time import exchange_date
from events.journal import record_event
from events.system import RiskLockEvent
from positions.domain.risk import Lock, Scope
from positions.models import RiskLock


def active_locks(account: str, now: datetime | None = None) -> QuerySet[RiskLock]:
    """What is shut for the account now, newest first."""
    mine = RiskLock.objects.filter(account=account)
    return mine.filter(Q(until__isnull=True) | Q(until__gt=now or utc_now()), cleared_at__isnull=True)


def clear(account: str, lock_id: int, *, by: Any, reason: str) -> bool:
    """Open a lock again; False when it no longer stands. Who and why is kept in the row and in the journal."""
    name, now = str(by.get_username()), utc_now()
    with transaction.atomic():
        changed = active_locks(account, now).filter(pk=lock_id).update(cleared_at=now, cleared_by=name[:150], clear_reason=reason[:300])
        if changed:
            lock = RiskLock.objects.get(pk=lock_id)
            record_event(RiskLockEvent(code=lock.code, scope=lock.scope, name=lock.name, state="cleared", reason=reason[:300], by=name))
    return bool(changed)


def read_locks(account: str, now: datetime) -> tuple[list[Lock], dict[str, datetime], int]:
    """(active locks, when repeat locks were last cleared, how many of today's daily loss locks a person released)."""
    mine = RiskLock.objects.filter(account=account)
    rows = mine.filter(cleared_at__isnull=True).exclude(until__lte=now)
    locks = [
        Lock(cause=r.cause, code=r.code, scope=Scope(r.scope), name=r.name, reason=r.reason, since=r.since, until=r.until, values=r.values)
        for r in rows
    ]
    lately = mine.filter(cleared_at__gte=now - timedelta(days=1))
    cleared = {f"{r.scope} {r.name}": r.cleared_at for r in lately.order_by("cleared_at") if r.code == "repeat_limit" and r.cleared_at}
    today = exchange_date(now).isoformat()
    released = mine.filter(cause__startswith=f"daily_loss {today} ", cleared_at__isnull=False)
    return locks, cleared, max((int(r.values.get("step", 1)) for r in released), default=0)
