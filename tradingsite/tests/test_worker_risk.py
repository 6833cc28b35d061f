"""Risk controls of the real worker against the real simulated gateway."""

import pytest
from django.core.management import call_command

from events.commands import FlattenAll
from positions.models import OrderRecord, PositionRecord
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.tests.trading_story import approval, file_wish, last_price, open_position, outcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def working(truth, **kind):
    ended = ("Filled", "Cancelled", "Inactive")
    return [o for o in truth.orders() if o["status"] not in ended and all(o[k] == v for k, v in kind.items())]


def resting_entry():
    """An entry of MSFT too low to fill, but inside the collar."""
    price = last_price("MSFT")
    assert outcome(file_wish(approval("MSFT", price=price, through=-0.025, stop_loss=round(price * 0.95, 2)))).state == "done"


def test_flatten_all_takes_entries_back_and_leaves_nothing_bare(live_worker, truth):
    open_position("AAPL")
    resting_entry()
    assert outcome(file_wish(FlattenAll(reason="enough"))).state == "done"
    eventually(lambda: truth.positions() == {} and not working(truth), what="flat, and nothing works")
    eventually(lambda: PositionRecord.objects.filter(symbol="AAPL", status="closed").exists(), what="the record says so")
    history = truth.orders()
    entry = next(o for o in history if o["symbol"] == "MSFT" and o["side"] == "BUY")
    assert entry["status"] == "Cancelled"
    stop = next(o for o in history if o["symbol"] == "AAPL" and o["kind"] == "STP")
    assert stop["status"] == "Cancelled"  # by its group, when the exit had filled


def test_a_halt_at_the_console_refuses_and_takes_working_entries_back(live_worker, truth):
    open_position("AAPL")
    resting_entry()
    call_command("halt", reason="smoke")
    refused = outcome(file_wish(approval("MSFT", quantity=1)))
    assert (refused.state, refused.code) == ("refused", "halted")
    eventually(lambda: not working(truth, symbol="MSFT"), what="the entry is taken back")
    assert {o["kind"] for o in working(truth, symbol="AAPL")} == {"STP", "LMT"}


def test_an_order_carries_what_the_broker_said_of_its_margin(live_worker, truth):
    open_position("AAPL", 10)
    entry = OrderRecord.objects.get(role="entry")
    assert entry.data["intent"]["margin"]["initial_change"] > 0
    assert entry.data["intent"]["margin"]["excess_liquidity"] > 0
