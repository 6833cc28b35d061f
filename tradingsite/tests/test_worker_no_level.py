"""Shares that nobody meant to hold: an entry is busted while its target fills. With real processes, up to the alarm on the pages."""

from __future__ import annotations

import pytest

from events.commands import ChangeStop
from events.models import EventRecord
from positions.models import AlarmRecord, FillRecord, PositionRecord, ProtectionSettings
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.tests.test_worker_protection import health, stops
from tradingsite.tests.trading_story import file_wish, open_position, outcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    WatchListEntry.objects.get_or_create(symbol="AAPL")


def busted_while_its_target_fills(truth):
    """The short that is left of it."""
    position = open_position("AAPL", 100)
    target = float(PositionRecord.objects.get(pk=position.pk).take_profit)
    truth.ask(fault="bust", match={"symbol": "AAPL", "side": "BUY"})
    truth.ask(set_price="AAPL", price=round(target * 1.001, 2), hold=True)
    eventually(lambda: truth.positions() == {"AAPL": -100}, what="the target sells what was never bought")
    return eventually(lambda: PositionRecord.objects.filter(status="open", direction=-1).first(), what="it is shown as a short")


def test_it_is_alarmed_until_a_person_sets_a_stop(live_worker, truth):
    short = busted_while_its_target_fills(truth)
    alarm = eventually(lambda: AlarmRecord.objects.filter(kind="no_stop", ended_at=None).first(), what="it is an alarm")
    assert (alarm.about, "no level" in alarm.text, alarm.acknowledged_at) == (short.pk, True, None)
    eventually(lambda: AlarmRecord.objects.filter(kind="unmeant", about=short.pk, ended_at=None).exists(), what="and nobody asked for it")
    assert [row["symbol"] for row in eventually(lambda: health().get("alarms"), what="health tells it")] == ["AAPL"]
    assert not stops(truth, "AAPL")
    [sale] = FillRecord.objects.filter(side="sell", superseded=False)
    assert sale.realized_pnl == 0
    answer = outcome(file_wish(ChangeStop(position_id=short.pk, price=round(float(short.entry_price) * 1.03, 2))))
    assert answer.state == "done", (answer.code, answer.reason)
    eventually(lambda: [(o["side"], o["quantity"]) for o in stops(truth, "AAPL")] == [("BUY", 100)], what="it is protected")
    eventually(lambda: AlarmRecord.objects.get(pk=alarm.pk).ended_at is not None, what="the alarm is over")
    assert AlarmRecord.objects.get(pk=alarm.pk).acknowledged_at is None  # and stays on the pages until somebody has seen it
    assert truth.positions() == {"AAPL": -100}


def test_it_is_flattened_where_that_is_the_rule(live_worker, truth):
    ProtectionSettings.objects.update_or_create(pk=1, defaults={"when_refused": "flatten"})
    eventually(lambda: health().get("rule") == "flatten", what="the worker knows the rule")
    short = busted_while_its_target_fills(truth)
    eventually(lambda: truth.positions() == {}, what="it is flat")
    record = eventually(lambda: PositionRecord.objects.filter(pk=short.pk, status="closed").first(), what="the book says so")
    assert record.reason == "no stop could be placed"
    told = [event.data for event in EventRecord.objects.filter(event_type="ProtectionEvent").order_by("seq")]
    assert [(data["state"], data["rule"], data["position_id"]) for data in told][:1] == [("alarm", "flatten", short.pk)]
    assert not PositionRecord.objects.exclude(status="closed").exists()
