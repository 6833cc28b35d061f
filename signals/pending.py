"""The signals that wait for a decision: how many, a light row of each, and what those on a page would become.

There may be hundreds, and dozens of pages that show them. A page shows a window of them, the first to expire on top, and only the
window's are worked out: once for all pages of this process, as long as nothing has changed and for a second at most. A decision
is never judged by these rows: it gathers its own facts.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from events.clock import monotonic, utc_now
from events.models import WorkerLease
from positions.models import RiskLimits, TradingState
from signals.facts import Facts, about, gather
from signals.models import SignalRecord, SignalSettings
from signals.proposal import propose, waiting

ROOM = 20  # cards of one page
LONGEST_SHARED = 1.0  # seconds

LIGHT = (
    *("signal_id", "version", "symbol", "direction", "action", "confidence", "price", "state"),
    *("created_at", "refreshed_at", "decided_at", "expires_at"),
)

Row = dict[str, Any]


def pending_count(now: datetime | None = None) -> int:
    """Signals a person can still decide."""
    return waiting(now or utc_now()).count()


def waiting_window(*, skip: int = 0, size: int = ROOM) -> list[Row]:
    """The rows of one page: signals with their proposals."""
    return proposal_rows(waiting(utc_now()).select_related("prediction")[skip : skip + size])


def pending_rows(*, size: int = ROOM) -> list[Row]:
    """Every signal that waits: the first window's rows, and a light one of each of the rest."""
    rest = waiting(utc_now())[size:].values(*LIGHT)
    return waiting_window(size=size) + [_light(values) for values in rest]


def _light(values: Row) -> Row:
    moments = {name: values[name].isoformat() for name in ("created_at", "expires_at")}
    changed = max(moment for moment in (values["created_at"], values["refreshed_at"], values["decided_at"]) if moment is not None)
    named = {name: values[name] for name in ("symbol", "direction", "action", "confidence", "price", "state")}
    return named | moments | {"id": values["signal_id"], "v": values["version"], "at": changed.isoformat()}


class _Shared:
    """The rows that this process has worked out for the desk as it is. Whoever comes while they are made waits for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: tuple[object, ...] = ()
        self._made_at = -math.inf
        self._facts: Facts | None = None
        self._rows: dict[tuple[str, str], Row] = {}  # (signal, its last change) → row

    def rows(self, signals: list[SignalRecord], now: datetime) -> list[Row]:
        if not signals:
            return []
        with self._lock:
            stamp = _desk_stamp()
            if stamp != self._stamp or monotonic() - self._made_at > LONGEST_SHARED:
                self._stamp, self._facts, self._rows = stamp, None, {}
            missing = [signal for signal in signals if _change(signal) not in self._rows]
            if missing:
                self._work_out(missing, now)
            return [self._rows[_change(signal)] for signal in signals]

    def _work_out(self, signals: list[SignalRecord], now: datetime) -> None:
        symbols = {signal.symbol for signal in signals}
        is_first = self._facts is None
        self._facts = gather(symbols, now=now) if self._facts is None else about(symbols, self._facts, now)
        for signal in signals:
            self._rows[_change(signal)] = propose(signal, self._facts).as_row()
        if is_first:
            self._made_at = monotonic()  # not before: on a slow machine the work itself may take so long


def _change(signal: SignalRecord) -> tuple[str, str]:
    return signal.signal_id, f"{signal.version} {signal.refreshed_at} {signal.decided_at} {signal.created_at} {signal.expires_at}"


def _desk_stamp() -> tuple[object, ...]:
    """Changes with each heartbeat of the worker, which brings prices, and with each edit of a switch, a limit or a setting."""
    beat = WorkerLease.objects.exclude(heartbeat_at=None).order_by("-heartbeat_at", "-epoch").values_list("epoch", "heartbeat_at", "state")
    tables = (TradingState, RiskLimits, SignalSettings)
    return (beat.first(), *(table.objects.values_list().first() for table in tables))


_shared = _Shared()


def forget() -> None:
    """Have the next rows worked out anew."""
    global _shared
    _shared = _Shared()


def proposal_rows(found: Iterable[SignalRecord], now: datetime | None = None) -> list[Row]:
    """Signals with what each would become, by facts at most a second old."""
    return _shared.rows(list(found), now or utc_now())


def cards(ids: Collection[str], *, room: int, skip: int) -> dict[str, Any]:
    """What a page that shows `ids` needs: their rows, new ones as long as there is room, and the ends of those that are over.

    Only the first page (`skip` 0) takes new ones in. {"rows", "over", "total"}.
    """
    now = utc_now()
    wanted = waiting(now)
    here = list(wanted.select_related("prediction").filter(pk__in=ids))
    free = room - len(here)
    if free > 0 and skip == 0:
        here += wanted.select_related("prediction").exclude(pk__in=ids)[:free]
    gone = set(ids) - {signal.signal_id for signal in here}
    over = [_ended(signal) for signal in SignalRecord.objects.filter(pk__in=gone)] if gone else []
    return {"rows": proposal_rows(here, now), "over": over, "total": wanted.count()}


def _ended(signal: SignalRecord) -> Row:
    """Its time may be over before anything has written so."""
    row = signal.as_row()
    return row | {"state": str(SignalRecord.State.EXPIRED)} if signal.state == SignalRecord.State.PENDING else row
