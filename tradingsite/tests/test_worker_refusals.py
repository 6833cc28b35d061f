"""Errors of the broker's, seen and never seen, about entries, legs, families, changes and cancels: real worker and gateway over TCP."""

from __future__ import annotations

import pytest

from events.commands import CancelOrder, ChangeStop
from positions.models import OrderRecord, PositionRecord
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.testing.starvation import Stopwatch
from tradingsite.tests.trading_story import approval, file_wish, last_price, open_position, outcome

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timed]
LIVE = ("PreSubmitted", "Submitted", "PendingSubmit")
OPEN_STATES = ("sending", "in_doubt", "pending_new", "held", "working", "suspended")
WITHIN = 10.0  # seconds until the page shows IB's words
ENTRY, STOP, TARGET = ({"kind": "LMT", "side": "BUY"}, {"kind": "STP"}, {"kind": "LMT", "side": "SELL"})
SEEN = {
    163: "The price specified would violate the percentage constraint specified in the default order settings.",
    383: "The following order size exceeds the Size Limit of 500. Restriction is specified in Precautionary Settings.",
    451: "The following order's value exceeds the Total Value Limit of 100,000 USD.",
}
NEVER_SEEN = {77777: "A number that no list of IB's has ever held.", 10006: "Missing parent order"}


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def family(symbol="AAPL"):
    """role → the newest order's (state, code, words)."""
    found = OrderRecord.objects.filter(symbol=symbol).order_by("created_at")
    return {order.role: (order.state, order.code, order.data["message"]) for order in found}


def sent(truth, name):
    """How often each order id was placed, changed or cancelled on the wire."""
    rows = [row["values"] for row in truth.ask(query="received")["rows"] if row["name"] == name]
    ids = [values["orderId"] for values in rows if values.get("whatIf") != "1"]
    return {int(order_id): ids.count(order_id) for order_id in ids}


def ended(symbol="AAPL"):
    return not OrderRecord.objects.filter(symbol=symbol, state__in=OPEN_STATES).exists()


def bar_of_one_family(truth, watch, symbol, rule, code, text, times):
    """Approve while the rule stands; seconds until nothing of the family is open any more."""
    truth.ask(fault="reject", match={"symbol": symbol, **rule}, code=code, text=text, times=times)
    assert outcome(file_wish(approval(symbol))).state == "done"
    return watch.until(lambda: ended(symbol), what=f"{code} has ended the family")


def test_an_entry_refused_by_any_number_is_refused_in_ibs_words_within_ten_seconds(live_worker, live_gateway, truth):
    for code, text in (SEEN | NEVER_SEEN).items():
        watch = Stopwatch(live_worker.process, live_gateway.process)
        took = bar_of_one_family(truth, watch, "AAPL", ENTRY, code, text, 1)
        assert family()["entry"] == ("rejected", str(code), text)
        assert took <= WITHIN, (code, took)
        position = PositionRecord.objects.filter(symbol="AAPL").latest("created_at")
        assert (position.status, text in position.data["reason"]) == ("closed", True)
        assert not [o for o in truth.orders() if o["status"] in LIVE]
    assert set(sent(truth, "PLACE_ORDER").values()) == {1}
    assert truth.executions() == []
    open_position("AAPL")  # the symbol is free


@pytest.mark.parametrize("code", [383, 77777])
def test_a_bracket_refused_as_a_whole_ends_as_a_whole_and_is_not_sent_again(live_worker, live_gateway, truth, code):
    text = (SEEN | NEVER_SEEN)[code]
    watch = Stopwatch(live_worker.process, live_gateway.process)
    took = bar_of_one_family(truth, watch, "AAPL", {}, code, text, 3)
    assert family() == dict.fromkeys(("entry", "stop", "target"), ("rejected", str(code), text))
    assert took <= WITHIN
    assert sorted(sent(truth, "PLACE_ORDER").values()) == [1, 1, 1]


@pytest.mark.parametrize("code", [451, 77777])
def test_a_refused_leg_that_transmits_ends_the_legs_that_lay_there_in_ibs_words(live_worker, live_gateway, truth, code):
    text = (SEEN | NEVER_SEEN)[code]
    watch = Stopwatch(live_worker.process, live_gateway.process)
    took = bar_of_one_family(truth, watch, "AAPL", TARGET, code, text, 1)
    said = family()
    assert said["target"] == ("rejected", str(code), text)
    for role in ("entry", "stop"):
        assert said[role][0] in ("rejected", "canceled"), said
        assert text in said[role][2]
    assert took <= WITHIN
    assert truth.executions() == []
    assert not [o for o in truth.orders() if o["status"] in LIVE]
    assert set(sent(truth, "PLACE_ORDER").values()) == {1}


@pytest.mark.parametrize("code", [163, 77777])
def test_shares_whose_stop_was_refused_by_any_number_get_another_one(live_worker, live_gateway, truth, code):
    text = (SEEN | NEVER_SEEN)[code]
    truth.ask(fault="reject", match={"symbol": "AAPL", **STOP}, code=code, text=text, times=1)
    assert outcome(file_wish(approval("AAPL"))).state == "done"
    watch = Stopwatch(live_worker.process, live_gateway.process)
    refused = lambda: OrderRecord.objects.filter(symbol="AAPL", role="stop", state="rejected").first()  # noqa: E731
    assert watch.until(refused, what="the stop is refused") <= WITHIN
    assert (refused().code, refused().data["message"]) == (str(code), text)
    eventually(lambda: PositionRecord.objects.get(symbol="AAPL").stop_state == "resting", what="another stop rests")
    assert sum(o["quantity"] for o in truth.orders() if o["kind"] == "STP" and o["status"] in LIVE) == 100
    assert set(sent(truth, "PLACE_ORDER").values()) == {1}


def test_a_refused_change_leaves_the_old_stop_and_says_why_in_ibs_words(live_worker, live_gateway, truth):
    position = open_position("AAPL")
    stop = OrderRecord.objects.get(symbol="AAPL", role="stop", state__in=OPEN_STATES)
    was, price = stop.data["stop_price"], last_price("AAPL")
    for step, (code, text) in enumerate((SEEN | NEVER_SEEN | {161: "Not in a state", 201: "Order rejected"}).items(), 1):
        truth.ask(fault="reject", match={"symbol": "AAPL", "request": "modify", **STOP}, code=code, text=text, times=1)
        before = sent(truth, "PLACE_ORDER")[stop.data["ib_order_id"]]
        watch = Stopwatch(live_worker.process, live_gateway.process)
        assert outcome(file_wish(ChangeStop(position_id=position.pk, price=round(price * 0.975 - step * 0.01, 2)))).state == "done"

        def answered(code=code):
            stop.refresh_from_db()
            return stop.code == str(code) and stop.data["pending"] == "none"

        assert watch.until(answered, what=f"{code} has answered the change") <= WITHIN
        assert (stop.state, stop.data["stop_price"], stop.data["message"]) == ("held", was, text)
        assert sent(truth, "PLACE_ORDER")[stop.data["ib_order_id"]] == before + 1
        eventually(lambda: PositionRecord.objects.get(pk=position.pk).stop_state == "resting", what="the stop rests as before")
    assert PositionRecord.objects.get(pk=position.pk).data["stop_loss"] == was


def test_a_refused_cancel_leaves_the_order_working_and_says_why_in_ibs_words(live_worker, live_gateway, truth):
    wish = outcome(file_wish(approval("AAPL", through=-0.005)))
    assert wish.state == "done", wish.reason
    entry = eventually(lambda: OrderRecord.objects.filter(symbol="AAPL", role="entry", state="working").first(), what="it rests")
    for code, text in (SEEN | NEVER_SEEN | {161: "Not in a cancellable state"}).items():
        truth.ask(fault="cancel_rejected", match={"symbol": "AAPL", **ENTRY}, code=code, text=text, times=1)
        watch = Stopwatch(live_worker.process, live_gateway.process)
        assert outcome(file_wish(CancelOrder(order_id=entry.pk))).state == "done"

        def answered(code=code):
            entry.refresh_from_db()
            return entry.code == str(code) and entry.data["pending"] == "none"

        assert watch.until(answered, what=f"{code} has answered the cancel") <= WITHIN
        assert (entry.state, entry.data["message"]) == ("working", text)
    assert outcome(file_wish(CancelOrder(order_id=entry.pk))).state == "done"
    eventually(lambda: family()["entry"][0] == "canceled", what="a cancel that is taken ends it")


@pytest.mark.parametrize("code", [399, 2161, 77778])
def test_a_remark_known_or_never_seen_ends_no_order(live_worker, truth, code):
    truth.ask(fault="notice", match={"symbol": "AAPL"}, code=code, text="This is only a remark.", times=3)
    position = open_position("AAPL")
    eventually(lambda: not OrderRecord.objects.exclude(data__objection={}).exists(), what="every remark was looked into")
    states = dict(OrderRecord.objects.filter(position_id=position.pk).values_list("role", "state"))
    assert states["entry"] == "filled"
    assert {states["stop"], states["target"]} <= {"held", "working"}
    assert set(sent(truth, "PLACE_ORDER").values()) == {1}
