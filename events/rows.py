"""Commands and journaled events as the rows that pages show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet

from events.tape import is_quiet, tape_text

if TYPE_CHECKING:
    from events.models import CommandRecord, EventRecord

# The database's twin of events.tape.is_quiet.
QUIET = Q(event_type="EquityEvent") | Q(event_type="ReconcileEvent", data__ok=True, data__filled=0, data__differences=[])


def command_row(record: CommandRecord) -> dict[str, Any]:
    """A command as pages show it."""
    moved = record.finished_at or record.claimed_at or record.created_at
    return {
        "id": record.pk,
        "at": moved.isoformat(),
        "name": record.name,
        "state": record.state,
        "code": record.code,
        "reason": record.reason,
        "signal_id": record.signal_id,
        "order_id": record.order_id,
        "position_id": record.position_id,
        "created_by": record.created_by.get_username() if record.created_by else "",
        "created_at": record.created_at.isoformat(),
        "payload": _showable(record.payload),
    }


def _showable(payload: Any) -> dict[str, Any]:
    """The payload, without what no frame can carry: a command is flat, and its whole numbers fit 64 bits."""
    if not isinstance(payload, dict):
        return {}
    plain = {name: value for name, value in payload.items() if value is None or isinstance(value, str | int | float)}
    return {name: value for name, value in plain.items() if not isinstance(value, int) or abs(value) < 2**63}


def without_quiet(rows: QuerySet[EventRecord]) -> QuerySet[EventRecord]:
    """Only what changed something."""
    return rows.exclude(QUIET)


def tape_row(data: dict[str, Any], seq: int) -> dict[str, Any]:
    """A journaled event as one line of the tape; `quiet` when it only says that all is as it was."""
    return {
        "seq": seq,
        "at": data.get("timestamp"),
        "type": data.get("event_type", ""),
        "symbol": data.get("symbol", "") or data.get("ticker", ""),
        "text": tape_text(data),
        "quiet": is_quiet(data),
        "signal_id": data.get("signal_id", ""),
        "order_id": data.get("order_id", ""),
        "position_id": data.get("position_id", ""),
    }
