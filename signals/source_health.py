"""How polling goes, kept in the database: one row per ticker, and the one with an empty ticker for the API itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from events.clock import utc_now
from events.journal import record_event
from events.system import SourceHealthEvent
from signals.coverage import coverage, some_of
from signals.domain.polling import INTERVALS_TO_DEGRADED, SourceState, TickerHealth
from signals.models import SignalSettings, SourceHealth

API = ""  # the ticker of the row that is the API itself


def load(ticker: str) -> TickerHealth:
    """What the row says; a fresh TickerHealth when there is none."""
    row = SourceHealth.objects.filter(ticker=ticker).first()
    if row is None:
        return TickerHealth()
    first = row.detail.get("first_error")
    return TickerHealth(
        state=SourceState(row.state) if row.state in set(SourceState) else SourceState.UNKNOWN,
        last_attempt=row.last_attempt,
        last_success=row.last_success,
        last_new=row.last_new,
        first_error=type(utc_now()).fromisoformat(first) if first else None,
        errors_in_row=row.errors_in_row,
        last_error=row.last_error,
        dropped=bool(row.detail.get("dropped")),
    )


def save(ticker: str, health: TickerHealth, **detail: Any) -> None:
    """Write the row, but not its place in the queue, which belongs to signals/turns.py. A new state is journaled once."""
    row, _ = SourceHealth.objects.get_or_create(ticker=ticker)
    previous = row.state
    row.state = health.state.value
    row.last_success, row.last_new = health.last_success, health.last_new
    row.errors_in_row, row.last_error = health.errors_in_row, health.last_error
    row.detail = row.detail | detail | {
        "dropped": health.dropped,
        "first_error": health.first_error.isoformat() if health.first_error else None,
    }  # fmt: skip
    row.save(update_fields=["state", "last_success", "last_new", "errors_in_row", "last_error", "detail"])
    if previous != row.state and not (previous == SourceState.UNKNOWN and row.state == SourceState.OK):
        record_event(
            SourceHealthEvent(ticker=ticker, state=row.state, errors_in_row=row.errors_in_row, detail=row.last_error, source="system")
        )


def flow_part() -> dict[str, Any]:
    """The "flow" part of the health frame: ok, degraded, down or unknown, and since when."""
    row = SourceHealth.objects.filter(ticker=API).first()
    if row is None:
        return {"state": "unknown", "last_success": None, "detail": "Polling has not begun."}
    state, detail = row.state, row.last_error
    if state == SourceState.MISCONFIGURED:
        state = "down"
    limit = INTERVALS_TO_DEGRADED * timedelta(seconds=SignalSettings.current().poll_seconds)
    if state == SourceState.OK and (row.last_success is None or utc_now() - row.last_success > limit) and not row.detail.get("closed"):
        state, detail = "degraded", "Polling has stopped."
    if state == SourceState.OK and (troubled := SourceHealth.objects.exclude(ticker=API).exclude(state__in=("ok", "unknown"))):
        detail = f"Trouble with {some_of(sorted(each.ticker for each in troubled))}"
    covered = coverage()
    if state == SourceState.OK and covered.state != "ok":
        state, detail = covered.state, covered.words()
    last_success = row.last_success.isoformat() if row.last_success else None
    return {"state": state, "last_success": last_success, "detail": detail, "watch": covered.as_row()}
