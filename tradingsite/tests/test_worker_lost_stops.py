"""Stops that the broker lost or changed without a word to anybody: found and mended within seconds, with real processes."""

from __future__ import annotations

import time

import pytest

from events.models import WorkerLease
from positions.models import PositionRecord
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.tests.trading_story import open_position

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timed]
GONE = ("Filled", "Cancelled", "Inactive")


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def stops(truth):
    return [o for o in truth.orders() if o["kind"] == "STP" and o["status"] not in GONE]


def seconds_until(condition, *, seconds, what):
    """How long it took."""
    began = time.monotonic()
    eventually(condition, seconds=seconds, what=what)
    return time.monotonic() - began


def test_a_stop_that_the_broker_lost_without_a_word_is_back_within_seven_seconds(live_worker, truth):
    position = open_position("AAPL", 100)
    before = stops(truth)[0]["order_ref"]
    truth.ask(fault="lose_order", match={"symbol": "AAPL", "kind": "STP"})
    assert not stops(truth)
    took = seconds_until(lambda: stops(truth), seconds=15, what="a stop rests again")
    assert took <= 7, took
    clock = eventually(
        lambda: (c := PositionRecord.objects.get(pk=position.pk).data["protection"])["gaps"] == 1 and c["bare_since"] is None and c,
        what="the gap is written down",
    )
    assert 0 < clock["seconds"] <= took + 1
    [stop] = stops(truth)
    assert (stop["quantity"], stop["side"]) == (100, "SELL")
    assert stop["order_ref"] != before
    eventually(lambda: WorkerLease.objects.get().health["protection"]["seconds_today"] > 0, what="the day's seconds are told")
    time.sleep(6)  # one more look of the watchdog
    assert len(stops(truth)) == 1


def test_a_stop_made_smaller_in_tws_is_made_whole_again(live_worker, truth):
    open_position("AAPL", 100)
    truth.ask(fault="alter_order", match={"symbol": "AAPL", "kind": "STP"}, changes={"quantity": 60})
    assert [stop["quantity"] for stop in stops(truth)] == [60]
    took = seconds_until(lambda: [stop["quantity"] for stop in stops(truth)] == [100], seconds=15, what="whole again")
    assert took <= 8, took
