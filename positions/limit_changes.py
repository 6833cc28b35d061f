"""Who changed which limit, from what to what, and why: a row that stays and a journal event, in the edit's own transaction."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Model

from events.clock import utc_now
from events.journal import record_event
from events.system import LimitChangedEvent
from positions.models import LimitChange

NOT_LIMITS = frozenset({"id", "updated_at"})


def values_of(record: Model | None) -> dict[str, str]:
    """Field → value as text; empty for a record that is not stored."""
    if record is None or record.pk is None:
        return {}
    return {f.name: _text(getattr(record, f.attname)) for f in record._meta.concrete_fields if f.name not in NOT_LIMITS}


def note(whose: str, before: dict[str, str], after: dict[str, str], *, by: str, reason: str) -> list[LimitChange]:
    """Remember every field that differs; returns what was remembered."""
    changes = []
    with transaction.atomic():
        for name in dict.fromkeys((*before, *after)):
            old, new = before.get(name, ""), after.get(name, "")
            if old == new:
                continue
            changes.append(
                LimitChange.objects.create(
                    at=utc_now(), changed_by=by[:150], limit=whose[:80], field=name, old=old[:1000], new=new[:1000], reason=reason[:300]
                )
            )
            record_event(LimitChangedEvent(limit=whose[:80], field=name, old=old[:200], new=new[:200], changed_by=by, reason=reason[:300]))
    return changes


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value.normalize():f}" if hasattr(value, "normalize") else str(value)
