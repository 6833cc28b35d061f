"""An error trade freezes what it came from until an admin has said what was found."""

from __future__ import annotations

import pytest
from django.urls import reverse

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import EventRecord
from events.order import OrderSide
from positions.domain.intent import OrderIntent
from positions.domain.risk import Lock, RiskContext, RiskLimits, Scope
from positions.domain.risk_market import nothing_is_locked
from positions.locks import active_locks
from positions.models import ErrorTrade, PositionRecord
from positions.tests.people import logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def position() -> PositionRecord:
    now = utc_now()
    return PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id="p1",
        symbol="AAPL",
        strategy="options flow",
        status="closed",
        realized_pnl="-123.45",
        created_at=now,
        updated_at=now,
    )


def refusal(symbol: str, source: str) -> str:
    """What the gate says with the locks as they stand."""
    locks = [Lock(cause=r.cause, code=r.code, scope=Scope(r.scope), name=r.name, since=r.since) for r in active_locks(SIMULATED_ACCOUNT)]
    intent = OrderIntent(intent_id="i", symbol=symbol, side=OrderSide.BUY, quantity=1, source=source)
    denied = nothing_is_locked(intent, RiskContext(now=utc_now(), locks=locks), RiskLimits())
    return denied.code if denied else ""


def test_marking_freezes_symbol_and_source_and_settling_opens_them(position):
    trader, admin = logged_in("trader"), logged_in("admin")
    mark, settle = (reverse(f"positions:error_trade_{deed}", args=["p1"]) for deed in ("mark", "settle"))
    trader.post(mark, {"note": " "})
    assert not ErrorTrade.objects.exists()
    trader.post(mark, {"note": "wrong symbol"})
    trader.post(mark, {"note": "a second time"})
    assert (refusal("AAPL", ""), refusal("MSFT", "options flow"), refusal("MSFT", "other")) == ("locked_error_trade",) * 2 + ("",)
    page = trader.get(reverse("positions:error_trades")).content.decode()
    assert "wrong symbol" in page
    assert "123.45" in page
    assert trader.post(settle, {"outcome": "mine"}).status_code == 403
    admin.post(settle, {"outcome": ""})
    assert refusal("AAPL", "")
    admin.post(settle, {"outcome": "symbol map corrected"})
    assert refusal("AAPL", "options flow") == ""
    trade = ErrorTrade.objects.get()
    assert (trade.note, trade.marked_by, trade.settled_by, trade.outcome) == ("wrong symbol", "trader", "admin", "symbol map corrected")
    states = EventRecord.objects.filter(event_type="RiskLockEvent").order_by("seq").values_list("data__state", flat=True)
    assert list(states) == ["locked", "locked", "cleared", "cleared"]


def test_a_viewer_marks_nothing(position):
    assert logged_in("viewer").post(reverse("positions:error_trade_mark", args=["p1"]), {"note": "x"}).status_code == 403
