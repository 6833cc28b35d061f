"""A desk that is fit to trade, and a pending signal on it."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client

from events.clock import utc_now
from events.feed import publish
from events.health import health_now
from events.models import WorkerLease
from positions.models import EquityPoint, MinuteBar, RiskLimits, TradingState
from signals.models import PredictionRecord, SignalRecord, SignalSettings

PRICE = 150.0


@pytest.fixture
def desk(db: None) -> Any:
    """A healthy worker that quotes AAPL at 150, with an hour of bars and an equity point."""
    now = utc_now()
    WorkerLease.objects.create(name="test", epoch=1, state="ready", heartbeat_at=now, health={"account": "DUSIM001"})
    SignalSettings.objects.get_or_create(pk=1)
    RiskLimits.objects.get_or_create(pk=1)
    TradingState.objects.get_or_create(pk=1)
    EquityPoint.objects.create(account="DUSIM001", at=now, equity=100_000, cash=100_000)
    for minute in range(30, 0, -1):
        at = now.replace(second=0, microsecond=0) - timedelta(minutes=minute)
        MinuteBar.objects.create(symbol="AAPL", at=at, open=PRICE, high=PRICE + 0.25, low=PRICE - 0.25, close=PRICE, volume=1000)
    return Desk()


class Desk:
    """Moves the desk's state as a test needs it."""

    def __init__(self) -> None:
        self.quote("AAPL")

    def quote(self, symbol: str, last: float = PRICE, *, age: float = 0.0, **more: Any) -> None:
        lease = WorkerLease.objects.get()
        at = utc_now() - timedelta(seconds=age)
        quotes = lease.health.get("quotes", {}) | {
            symbol: {"last": last, "bid": last - 0.01, "ask": last + 0.01, "at": at.isoformat(), **more}
        }
        lease.health = lease.health | {"quotes": quotes}
        lease.heartbeat_at = utc_now()
        lease.save()


@pytest.fixture
def patient_desk(desk: Desk) -> Desk:
    """Its worker and quotes stay fresh however long a test takes."""
    RiskLimits.objects.update(quote_max_age_seconds=3600)
    WorkerLease.objects.update(heartbeat_at=utc_now() + timedelta(hours=1))
    return desk


@pytest.fixture
def make_signal(desk: Desk) -> Callable[..., SignalRecord]:
    """`make_signal("s1", symbol="AAPL", direction=1)`: a pending signal made from a stored prediction."""

    def make(
        signal_id: str = "s1", *, symbol: str = "AAPL", direction: int = 1, action: str = "", life: float = 120, **more: Any
    ) -> SignalRecord:
        now = utc_now()
        prediction = PredictionRecord.objects.create(
            source="flow",
            ticker=symbol,
            timestamp=hash(signal_id) % 10**12,
            word="BUY" if direction > 0 else "SELL",
            numeric=direction,
            confidence=0.91,
            received_at=now,
            data_time=now,
            prediction_time=now,
            verdict="signal",
            stock_price=PRICE,
            signal_id=signal_id,
        )
        fields = {
            "signal_id": signal_id,
            "prediction": prediction,
            "symbol": symbol,
            "direction": direction,
            "action": action or ("open_long" if direction > 0 else "open_short"),
            "confidence": 0.91,
            "price": PRICE,
            "data_time": now,
            "created_at": now,
            "expires_at": now + timedelta(seconds=life),
            "model": "models/aapl",
        }
        return SignalRecord.objects.create(**fields | more)

    return make


@pytest.fixture
def signed_in(db: None) -> Callable[..., Client]:
    """`signed_in("ann", role="trader")`: a client with that person's session; `csrf=True` enforces tokens."""

    def make(name: str = "ann", *, role: str = "trader", csrf: bool = False) -> Client:
        user, created = get_user_model().objects.get_or_create(username=name, defaults={"is_staff": role == "admin"})
        if created:
            user.groups.add(Group.objects.get_or_create(name=role)[0])
        client = Client(enforce_csrf_checks=csrf)
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def ticket() -> Callable[..., dict[str, Any]]:
    """`ticket(quantity=50)`: a good approval form, changed as asked; None leaves a field out."""

    def make(**changes: Any) -> dict[str, Any]:
        form = {"key": "key-of-this-form", "version": 1, "quantity": 100, "entry": 150.2, "stop": 149.2, "target": 152.2}
        form |= {"shown_quantity": 100, "shown_stop": 149.2, "shown_target": 152.2} | changes
        return {name: value for name, value in form.items() if value is not None}

    return make


class Heart:
    """Beats as the worker does, to the database and to the pages, until it is stopped."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            WorkerLease.objects.update(heartbeat_at=utc_now())
            publish("health", [health_now()])
        connection.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def heart(transactional_db: None, desk: Desk, redis_server: Any) -> Iterator[Heart]:
    beating = Heart()
    yield beating
    beating.stop()
