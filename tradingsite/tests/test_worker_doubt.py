"""Half-sent families and doubt, with the real worker against the simulated gateway that loses what it is sent."""

from __future__ import annotations

import pytest

from events.commands import ResolveDoubt
from events.models import CommandRecord
from positions.models import BrokerCheck, OrderRecord, PositionRecord
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.tests.trading_story import approval, file_wish, open_position, outcome

pytestmark = pytest.mark.django_db(transaction=True)
LIVE = ("PreSubmitted", "Submitted", "PendingSubmit")


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def family():
    return {order.role: (order.state, order.code) for order in OrderRecord.objects.filter(symbol="AAPL")}


def test_a_family_whose_transmitting_leg_was_lost_ends_as_never_sent_and_frees_its_symbol(live_worker, truth):
    truth.ask(fault="silent_drop", match={"symbol": "AAPL", "kind": "LMT", "side": "SELL"}, times=1)
    wish = outcome(file_wish(approval("AAPL")))
    assert wish.state == "done"
    never = ("canceled", "never_sent")
    eventually(lambda: family() == {"entry": never, "stop": never, "target": never}, what="the whole family was never sent")
    assert PositionRecord.objects.get(symbol="AAPL").status == "closed"
    assert not [o for o in truth.orders() if o["status"] in LIVE]  # the legs that lay there were withdrawn
    assert truth.executions() == []
    open_position("AAPL")


def test_shares_bought_by_a_parent_whose_stop_was_lost_are_protected_within_seconds(live_worker, truth):
    truth.ask(fault="silent_drop", match={"symbol": "AAPL", "kind": "STP"}, times=1)
    assert outcome(file_wish(approval("AAPL"))).state == "done"

    def stops():
        return [o for o in truth.orders() if o["kind"] == "STP" and o["status"] in LIVE]

    eventually(lambda: truth.positions() == {"AAPL": 100}, what="the parent filled")
    eventually(lambda: sum(o["quantity"] for o in stops()) == 100, what="a stop rests")
    eventually(lambda: PositionRecord.objects.get(symbol="AAPL").stop_state == "resting", what="our book says so")
    eventually(lambda: not OrderRecord.objects.filter(state__in=("sending", "in_doubt")).exists(), what="no doubt is left")
    assert sum(o["quantity"] for o in stops()) == 100
    truth.ask(set_price="AAPL", price=round(stops()[0]["stop_price"] * 0.99, 2), hold=True)
    eventually(lambda: truth.positions() == {}, what="the stop closes it")
    eventually(lambda: PositionRecord.objects.get(symbol="AAPL").status == "closed", what="closed here")
    assert len(truth.executions()) >= 2
    assert not [o for o in truth.orders() if o["status"] in LIVE and o["symbol"] == "AAPL"]


def test_doubt_that_cannot_be_proven_is_ended_by_a_person_and_kept_with_name_and_reason(live_worker, truth):
    truth.ask(fault="silent_drop", match={"symbol": "AAPL"}, times=3)
    assert outcome(file_wish(approval("AAPL"))).state == "done"
    open_position("MSFT")  # its higher ids leave no proof that the lower ones were never used
    entry = eventually(lambda: OrderRecord.objects.filter(symbol="AAPL", role="entry", state="in_doubt").first(), what="doubt")

    def offered():
        check = BrokerCheck.objects.order_by("-at", "-pk").first()
        return [row for row in check.data["rows"] if row["order_id"] == entry.pk and row.get("verdict") == "never_sent"]

    eventually(offered, what="the page offers to end it")
    again = outcome(file_wish(approval("AAPL")))
    assert (again.state, OrderRecord.objects.get(pk=entry.pk).state) == ("refused", "in_doubt")
    assert outcome(file_wish(ResolveDoubt(order_id=entry.pk, verdict="over", reason="x"))).code == "never_seen"
    wish = outcome(file_wish(ResolveDoubt(order_id=entry.pk, verdict="never_sent", reason="TWS does not show it")))
    assert wish.state == "done", wish.reason
    never = ("canceled", "never_sent")
    eventually(lambda: family() == {"entry": never, "stop": never, "target": never}, what="the family is over")
    assert "TWS does not show it" in OrderRecord.objects.get(pk=entry.pk).data["message"]
    assert CommandRecord.objects.get(pk=wish.pk).payload["reason"] == "TWS does not show it"
    assert outcome(file_wish(approval("AAPL"))).state == "done"
