"""A link that dies without a word, with a real worker: seen within ten seconds, told at once, and traded over when it is back."""

from __future__ import annotations

import pytest

from events.models import WorkerLease
from signals.models import WatchListEntry
from tradingsite.testing.starvation import Stopwatch
from tradingsite.tests.trading_story import open_position

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timed]


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def not_ready():
    return WorkerLease.objects.get().state != "ready"


@pytest.mark.parametrize("mode", ["half_open", "half_frame", "ticks_only"])
def test_a_wedged_stream_is_noticed_within_ten_seconds_and_traded_over_when_it_clears(live_worker, live_gateway, truth, mode):
    open_position("AAPL", 100)
    clock = Stopwatch(live_worker.process, live_gateway.process)
    truth.ask(fault="transport", mode=mode, stay=True)
    assert clock.until(not_ready, what="the lease says that the worker is not ready") < 10
    lease = WorkerLease.objects.get()
    assert lease.state == "connecting"
    assert lease.health["gateway"]["link"] in ("disconnected", "connecting")
    truth.ask(clear_faults=True)
    live_worker.wait_until_ready()
    open_position("MSFT", 10)
    assert truth.positions() == {"AAPL": 100, "MSFT": 10}


def test_a_lost_link_is_in_the_lease_before_the_next_beat(live_worker, live_gateway, truth):
    """The row is written by the loss itself: six losses, each seen well under the two seconds of a beat."""
    waits = []
    for _ in range(6):
        live_worker.wait_until_ready()
        truth.ask(fault="transport", mode="half_open", stay=True)  # so that the next dial brings no other state
        clock = Stopwatch(live_worker.process, live_gateway.process)
        truth.ask(fault="drop_socket")
        waits.append(clock.until(not_ready, what="the lease is not ready"))
        assert WorkerLease.objects.get().health["worker"]["state"] == "degraded"
        truth.ask(clear_faults=True)
    assert max(waits) < 1.0, waits


def test_a_link_between_the_gateway_and_ib_that_is_lost_is_in_the_lease_at_once(live_worker, live_gateway, truth):
    clock = Stopwatch(live_worker.process, live_gateway.process)
    truth.ask(fault="upstream_lost")
    assert clock.until(not_ready, what="the lease is not ready") < 1.0
    lease = WorkerLease.objects.get()
    assert (lease.state, lease.health["gateway"]["link"]) == ("reconciling", "upstream_lost")
    truth.ask(fault="upstream_restored")
    live_worker.wait_until_ready()
