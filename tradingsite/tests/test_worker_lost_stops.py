"""Stops that the broker lost or changed without a word to anybody: found and mended within seconds, with real processes."""

from __future__ import annotations

import pytest

from events.models import WorkerLease
from positions.models import PositionRecord
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.testing.starvation import Stopwatch
from tradingsite.tests.trading_story import open_position

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timed]
GONE = ("Filled", "Cancelled", "Inactive")


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def stops(truth):
    return [o for o in truth.orders() if o["kind"] == "STP" and o["status"] not in GONE]


def looks(truth):
    """How often the worker has asked for the list of orders."""
    return sum(row["name"] == "REQ_ALL_OPEN_ORDERS" for row in truth.ask(query="received")["rows"])


def test_a_stop_that_the_broker_lost_without_a_word_is_back_within_seven_seconds(live_worker, live_gateway, truth):
    position = open_position("AAPL", 100)
    before = stops(truth)[0]["order_ref"]
    watch = Stopwatch(live_worker.process, live_gateway.process)
    truth.ask(fault="lose_order", match={"symbol": "AAPL", "kind": "STP"})
    assert not stops(truth)
    took = watch.until(lambda: stops(truth), what="a stop rests again")
    assert took <= 7, took
    clock = eventually(
        lambda: (c := PositionRecord.objects.get(pk=position.pk).data["protection"])["gaps"] == 1 and c["bare_since"] is None and c,
        what="the gap is written down",
    )
    assert 0 < clock["seconds"] <= took + 1 + watch.starved
    [stop] = stops(truth)
    assert (stop["quantity"], stop["side"]) == (100, "SELL")
    assert stop["order_ref"] != before
    eventually(lambda: WorkerLease.objects.get().health["protection"]["seconds_today"] > 0, what="the day's seconds are told")
    seen = looks(truth)
    eventually(lambda: looks(truth) >= seen + 2, what="one more look of the watchdog, and that it is over")
    assert len(stops(truth)) == 1


def test_a_stop_made_smaller_in_tws_is_made_whole_again(live_worker, live_gateway, truth):
    open_position("AAPL", 100)
    watch = Stopwatch(live_worker.process, live_gateway.process)
    truth.ask(fault="alter_order", match={"symbol": "AAPL", "kind": "STP"}, changes={"quantity": 60})
    assert [stop["quantity"] for stop in stops(truth)] == [60]
    took = watch.until(lambda: [stop["quantity"] for stop in stops(truth)] == [100], what="whole again")
    assert took <= 8, took
