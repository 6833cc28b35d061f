"""People and rows for the tests of pages."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, User

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import EventRecord, WorkerLease
from positions.models import AlarmRecord, EquityPoint, OrderRecord, PositionRecord
from signals.models import SignalRecord, SourceHealth, WatchListEntry
from tradingsite import pulses


def person(role: str, *, name: str = "") -> User:
    """Somebody in the role's group; admins are staff."""
    user = User.objects.create_user(name or f"{role}-{uuid.uuid4().hex[:6]}", password="correct horse battery", is_staff=role == "admin")
    user.groups.add(Group.objects.get(name=role))
    return user


def event_row(event_type: str = "FillEvent", *, symbol: str = "NVDA", ago: float = 0, **fields: Any) -> EventRecord:
    at, event_id = utc_now() - timedelta(seconds=ago), str(uuid.uuid4())
    ids = {name: fields.pop(name, "") for name in ("signal_id", "order_id", "position_id", "cause")}
    data = {"event_id": event_id, "event_type": event_type, "timestamp": at.isoformat(), "symbol": symbol, **ids, **fields}
    return EventRecord.objects.create(
        event_id=event_id, event_type=event_type, symbol=symbol, timestamp=at, source="order", data=data, **ids
    )


def held_position(symbol: str = "NVDA", **fields: Any) -> PositionRecord:
    now = utc_now()
    row = {"position_id": f"pos-{symbol}", "symbol": symbol, "account": "DUSIM001", "status": "open", "quantity": Decimal(100)}
    row |= {"entry_price": Decimal("150"), "unrealized_pnl": Decimal("1000"), "created_at": now, "updated_at": now}
    state = {"id": row["position_id"], "v": 1, "at": now.isoformat(), "symbol": symbol, "status": "open", "direction": 1, "quantity": 100.0}
    state |= {"entry_price": 150.0, "last": 160.0, "last_at": now.isoformat(), "unrealized_pnl": 1000.0, "unrealized_pct": 0.0667}
    return PositionRecord.objects.create(**(row | {"data": state} | fields))


def working_order(role: str = "entry", *, state: str = "working") -> OrderRecord:
    now, name = utc_now(), uuid.uuid4().hex[:12]
    row = {
        "order_id": name,
        "order_ref": name,
        "role": role,
        "account": SIMULATED_ACCOUNT,
        "symbol": "NVDA",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
    }
    shown = {**row, "id": name, "v": 1, "at": now.isoformat(), "state": state, "pending": "none", "quantity": 10.0, "tif": "day"}
    return OrderRecord.objects.create(**row, data=shown, quantity=Decimal(10), state=state, created_at=now, updated_at=now)


def alarm_row(kind: str = "link", *, ago: float = 0, **fields: Any) -> AlarmRecord:
    at = utc_now() - timedelta(seconds=ago)
    row = {"about": "broker", "text": "The broker link is down.", "first_seen": at, "last_seen": at}
    return AlarmRecord.objects.create(kind=kind, **(row | fields))


def pending_signal(symbol: str = "META", *, expires_in: float = 60) -> SignalRecord:
    now = utc_now()
    values = {"symbol": symbol, "direction": 1, "confidence": 0.9, "price": 500.0, "created_at": now}
    return SignalRecord.objects.create(signal_id=f"sig-{symbol}", expires_at=now + timedelta(seconds=expires_in), **values)


def equity_point(equity: str = "100250.50", *, day_pnl: str = "250.50", ago: float = 0) -> EquityPoint:
    money = {"equity": Decimal(equity), "cash": Decimal("40000"), "day_pnl": Decimal(day_pnl), "open_risk": Decimal("900")}
    return EquityPoint.objects.create(account="DUSIM001", at=utc_now() - timedelta(seconds=ago), **money)


def fit_to_trade(*, heartbeat_ago: float = 0, state: str = "ready", gateway: str = "ok") -> WorkerLease:
    """A worker that beats, a Celery that works, and a flow API that answered for every symbol."""
    now = utc_now()
    for ticker in ("", *WatchListEntry.objects.values_list("symbol", flat=True)):
        SourceHealth.objects.update_or_create(ticker=ticker, defaults={"state": "ok", "last_success": now})
    pulses.note(pulses.BEAT)
    pulses.note(pulses.WORKERS)
    health = {"gateway": {"state": gateway, "since": now.isoformat(), "detail": ""}, "account": "DU1234567"}
    values = {"epoch": 3, "state": state, "heartbeat_at": now - timedelta(seconds=heartbeat_ago), "health": health}
    return WorkerLease.objects.update_or_create(name="DU1234567", defaults=values)[0]
