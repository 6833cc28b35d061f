"""Error trades: a position that should not have been is marked, and its symbol and its source enter nothing until an admin has looked.

Marking and settling are people's deeds, kept with name, note and time. The locks are ordinary ones: the worker reads them every
few seconds and once more before an entry leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from events.clock import utc_now
from events.journal import record_event
from events.system import RiskLockEvent
from positions.locks import active_locks, clear
from positions.models import ErrorTrade, PositionRecord, RiskLock

CODE = "error_trade"


def mark(position: PositionRecord, *, by: Any, note: str) -> bool:
    """Keep it on the list and freeze what it came from; False when it was marked already."""
    name, now = str(by.get_username()), utc_now()
    with transaction.atomic():
        _, new = ErrorTrade.objects.get_or_create(
            position_id=position.pk,
            defaults={
                "account": position.account,
                "symbol": position.symbol,
                "source": position.strategy,
                "note": note[:300],
                "marked_at": now,
                "marked_by": name[:150],
            },
        )
        if not new:
            return False
        for scope, frozen in (("symbol", position.symbol), ("source", position.strategy)):
            if not frozen:
                continue
            reason = f"error trade in {position.symbol}, marked by {name}: {note}"[:300]
            RiskLock.objects.create(
                account=position.account, cause=_cause(position.pk, scope), code=CODE, scope=scope, name=frozen, reason=reason, since=now
            )
            record_event(RiskLockEvent(code=CODE, scope=scope, name=frozen, state="locked", reason=reason, by=name))
    return True


def settle(account: str, position_id: str, *, by: Any, outcome: str) -> bool:
    """An admin has found out why and says so; the locks open. False when nothing was open."""
    name = str(by.get_username())
    with transaction.atomic():
        said = {"settled_at": utc_now(), "settled_by": name[:150], "outcome": outcome[:300]}
        if not ErrorTrade.objects.filter(account=account, position_id=position_id, settled_at=None).update(**said):
            return False
        for lock in active_locks(account).filter(cause__in=[_cause(position_id, scope) for scope in ("symbol", "source")]):
            clear(account, lock.pk, by=by, reason=outcome)
    return True


def listed(account: str) -> Iterator[tuple[ErrorTrade, PositionRecord | None]]:
    """All of the account with their position and so its P&L, the newest first."""
    trades: QuerySet[ErrorTrade] = ErrorTrade.objects.filter(account=account)[:200]
    positions = PositionRecord.objects.defer("data").in_bulk([trade.position_id for trade in trades])
    return ((trade, positions.get(trade.position_id)) for trade in trades)


def _cause(position_id: str, scope: str) -> str:
    return f"{CODE} {position_id} {scope}"
