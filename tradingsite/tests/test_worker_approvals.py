"""An approval on its way to an order: what its card showed is compared by the real worker before anything is written."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import CommandRecord
from events.wording import price_text
from positions.models import OrderRecord, PositionRecord, RiskLimits
from signals.again import decide_again
from signals.approval import Decision, Refusal, approve
from signals.models import SignalRecord, WatchListEntry
from signals.proposal import Ticket
from tradingsite.tests.trading_story import approval, file_wish, last_price, open_position, outcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def watch_list(transactional_db: None) -> None:
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def signal(state: str, price: float, **decision: Any) -> SignalRecord:
    now = utc_now()
    return SignalRecord.objects.create(
        signal_id=uuid.uuid4().hex, symbol="AAPL", direction=1, action="open_long", confidence=0.9, price=price, data_time=now,
        created_at=now, expires_at=now.replace(year=now.year + 1), state=state, decision=decision,
    )  # fmt: skip


def wish_with(shown: dict[str, Any]) -> CommandRecord:
    """The command of an approval whose card showed this, whatever is true now."""
    made = signal("approved", last_price("AAPL"), shown=shown)
    return outcome(file_wish(approval("AAPL", quantity=7, signal_id=made.signal_id)))


def test_an_approval_of_the_web_reaches_the_broker_with_what_was_shown(live_worker, truth):
    price = last_price("AAPL")
    made = signal("pending", price)
    ticket = Ticket(quantity=10, entry=round(price * 1.005, 2), stop=round(price * 0.97, 2), target=round(price * 1.06, 2))
    user = get_user_model().objects.create(username="ann")
    record = approve(made.signal_id, Decision(user=user, account=SIMULATED_ACCOUNT, key="k", version=made.version), ticket, edited=[])
    assert isinstance(record, CommandRecord), record
    assert outcome(record).state == "done"
    shown = SignalRecord.objects.get().decision["shown"]
    assert OrderRecord.objects.get(role="entry").data["intent"]["shown"] == shown
    assert (shown["held"], shown["limits_version"] != "", shown["risk_dollars"] > 0) == (0.0, True, True)


def test_a_position_that_moved_since_the_card_refuses_the_entry(live_worker, truth):
    open_position("AAPL", 100)
    before = truth.orders()
    refused = wish_with({"held": 0.0})
    assert (refused.state, refused.code) == ("refused", "moved_position")
    assert "from 0 shares, when it was approved, to 100" in refused.reason
    assert "Nothing was sent" in refused.reason
    assert [order["symbol"] for order in truth.orders()] == [order["symbol"] for order in before]
    assert PositionRecord.objects.count() == 1


def test_limits_and_prices_that_moved_since_the_card_refuse_the_entry(live_worker, truth):
    price = last_price("AAPL")
    limits = RiskLimits.objects.get()
    assert wish_with({"limits_version": f"{limits.updated_at} 1"}).code == "moved_limits"
    moved = wish_with({"last": price * 0.9, "allowed_drift": 0.005, "price_then": price})
    assert moved.code == "moved_price"
    assert f"from {price_text(price * 0.9)} to" in moved.reason
    assert wish_with({"risk_dollars": 1.0}).code == "moved_risk"
    assert wish_with({"session": "2020-01-02"}).code == "moved_session"
    assert truth.orders() == []
    assert not OrderRecord.objects.exists()


def test_an_approval_the_worker_refused_is_decided_again_and_becomes_one_order(live_worker, truth):
    price = last_price("AAPL")
    made = signal("pending", price)
    ticket = Ticket(quantity=10, entry=round(price * 1.005, 2), stop=round(price * 0.97, 2), target=round(price * 1.06, 2))
    user = get_user_model().objects.create(username="ann")
    first_form = Decision(user=user, account=SIMULATED_ACCOUNT, key="first", version=made.version)
    with transaction.atomic():  # the card showed shares that nobody holds
        first = approve(made.signal_id, first_form, ticket, edited=[])
        assert isinstance(first, CommandRecord), first
        kept = SignalRecord.objects.get().decision
        SignalRecord.objects.update(decision=kept | {"shown": kept["shown"] | {"held": 5.0}})
    assert (outcome(first).code, truth.orders()) == ("moved_position", [])
    approved = SignalRecord.objects.get()

    waiting = decide_again(made.signal_id, user=user, version=approved.version)
    assert isinstance(waiting, SignalRecord), waiting
    assert isinstance(approve(made.signal_id, first_form, ticket, edited=[]), Refusal)
    second = approve(
        made.signal_id, Decision(user=user, account=SIMULATED_ACCOUNT, key="second", version=waiting.version), ticket, edited=[]
    )
    assert isinstance(second, CommandRecord), second
    assert outcome(second).state == "done"
    assert isinstance(decide_again(made.signal_id, user=user, version=waiting.version + 1), Refusal)
    assert isinstance(approve(made.signal_id, first_form, ticket, edited=[]), Refusal)
    [entry] = OrderRecord.objects.filter(role="entry")
    assert (entry.intent_id, entry.signal_id) == (second.intent_id, made.signal_id)
    assert [order["order_ref"] for order in truth.orders() if order["order_ref"].endswith("-E")] == [entry.order_ref]
