"""Protection with real processes: a stop that is taken away, stops that are refused, and exit rules carried out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from events.clock import utc_now
from events.commands import ClosePosition, ReversePosition, ScaleIn, SetBreakEven, SetPartialTarget, SetTimeStop, SetTrailing
from events.models import CommandRecord, EventRecord, WorkerLease
from positions.domain.exit_rules import Reverse
from positions.models import MinuteBar, OperatorTask, PositionChange, PositionRecord, ProtectionSettings, RiskLimits
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.testing.starvation import Stopwatch
from tradingsite.tests.trading_story import file_wish, last_price, open_position, outcome
from tradingsite.worker.protection import amend_reverse

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timed]
GONE = ("Filled", "Cancelled", "Inactive")


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT", "NVDA"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def stops(truth, symbol):
    return [o for o in truth.orders() if o["kind"] == "STP" and o["symbol"] == symbol and o["status"] not in GONE]


def record(position):
    return PositionRecord.objects.get(pk=position.pk)


def health():
    return WorkerLease.objects.get().health.get("protection", {})


def hold_at(truth, position, r):
    """The market stands still `r` times the risk taken above the entry."""
    row = record(position)
    price = round(float(row.entry_price) + r * float(row.risk_taken) / float(row.quantity), 2)
    truth.ask(set_price=row.symbol, price=price, hold=True)
    return price


def done(command):
    answer = outcome(file_wish(command))
    assert answer.state == "done", (answer.code, answer.reason)
    return answer


def test_a_stop_that_is_taken_away_is_back_within_two_seconds(live_worker, live_gateway, truth):
    position = open_position("AAPL", 100)
    assert record(position).data["protection"]["first"] == 0.0
    watch = Stopwatch(live_worker.process, live_gateway.process)
    truth.ask(fault="unsolicited_cancel", match={"symbol": "AAPL", "kind": "STP"})
    eventually(lambda: len(stops(truth, "AAPL")) == 1, what="a stop rests again")
    clock = eventually(
        lambda: (c := record(position).data["protection"])["gaps"] == 1 and c["bare_since"] is None and c, what="the gap is written down"
    )
    assert 0 < clock["seconds"] <= 2.5 + watch.starved  # two seconds, and the answers' way
    assert stops(truth, "AAPL")[0]["quantity"] == 100
    eventually(lambda: health().get("seconds_today", 0) > 0, what="the day's seconds are told")


def test_stops_refused_twice_are_an_alarm_and_holding_tries_again(live_worker, truth):
    position = open_position("AAPL", 100)
    truth.ask(fault="reject", match={"symbol": "AAPL", "kind": "STP"}, times=2)
    truth.ask(fault="unsolicited_cancel", match={"symbol": "AAPL", "kind": "STP"})
    eventually(lambda: health().get("alarms"), what="the alarm is told")
    told = EventRecord.objects.get(event_type="ProtectionEvent").data
    assert (told["state"], told["rule"], told["position_id"]) == ("alarm", "hold", position.pk)
    eventually(lambda: stops(truth, "AAPL"), what="the stop is accepted at last")
    eventually(lambda: EventRecord.objects.filter(event_type="ProtectionEvent").count() == 2, what="the alarm is over")
    assert health()["alarms"] == [] or eventually(lambda: health()["alarms"] == [], what="no alarm is shown")
    assert truth.positions() == {"AAPL": 100}


def test_stops_refused_twice_flatten_where_that_is_the_rule(live_worker, truth):
    ProtectionSettings.objects.update_or_create(pk=1, defaults={"when_refused": "flatten"})
    eventually(lambda: health().get("rule") == "flatten", what="the worker knows the rule")
    position = open_position("AAPL", 100)
    truth.ask(fault="reject", match={"symbol": "AAPL", "kind": "STP"}, times=0)
    truth.ask(fault="unsolicited_cancel", match={"symbol": "AAPL", "kind": "STP"})
    eventually(lambda: record(position).status == "closed", what="it is flat")
    assert record(position).reason == "no stop could be placed"
    eventually(lambda: truth.positions() == {}, what="nothing is held")
    eventually(lambda: not [o for o in truth.orders() if o["status"] not in GONE], what="nothing works")


def test_a_trailing_stop_ratchets_by_modifying_the_same_order(live_worker, truth):
    position = open_position("MSFT", 50)
    order_id = stops(truth, "MSFT")[0]["order_id"]
    done(SetTrailing(position_id=position.pk, kind="percent", value=2.0))
    price = hold_at(truth, position, 1)
    eventually(lambda: stops(truth, "MSFT")[0]["stop_price"] == pytest.approx(price * 0.98, abs=0.011), what="the stop has followed")
    truth.ask(set_price="MSFT", price=round(price * 0.99, 2), hold=True)
    higher = round(price * 1.01, 2)
    truth.ask(set_price="MSFT", price=higher, hold=True)
    eventually(lambda: stops(truth, "MSFT")[0]["stop_price"] == pytest.approx(higher * 0.98, abs=0.011), what="and again")
    assert [stop["order_id"] for stop in stops(truth, "MSFT")] == [order_id]
    written = PositionChange.objects.filter(position_id=position.pk, kind="stop moved by rule")
    eventually(lambda: written.count() >= 2, what="both moves are written down")
    moves = [change.as_line() for change in written]
    assert all("trailing 2 %" in move["reason"] and move["changed"]["last price"] for move in moves)


def test_a_trail_of_more_than_half_the_price_is_refused_in_words(live_worker, truth):
    position = open_position("MSFT", 50)
    for minute in range(30):
        at = utc_now().replace(second=0, microsecond=0) - timedelta(minutes=minute)
        MinuteBar.objects.update_or_create(symbol="MSFT", at=at, defaults={"open": 400, "high": 420, "low": 380, "close": 400, "volume": 1})
    answer = outcome(file_wish(SetTrailing(position_id=position.pk, kind="atr", value=50.0)))
    assert (answer.state, answer.code) == ("refused", "stop_side")
    assert "more than half of" in answer.reason
    assert record(position).data["exit_rules"]["trail"] is None


def test_the_stop_moves_to_break_even(live_worker, truth):
    position = open_position("AAPL", 100)
    done(SetBreakEven(position_id=position.pk, at_r=0.5))
    hold_at(truth, position, 0.6)
    entry = float(record(position).entry_price)
    eventually(lambda: stops(truth, "AAPL")[0]["stop_price"] == pytest.approx(entry, abs=0.011), what="the stop is at the entry")
    eventually(lambda: record(position).data["exit_rules"]["break_even_at"], what="the rule is done")


def test_a_time_stop_closes(live_worker, truth):
    position = open_position("NVDA", 10)
    done(SetTimeStop(position_id=position.pk, minutes=0.05))
    eventually(lambda: record(position).status == "closed", what="it is closed")
    assert record(position).reason.startswith("time stop")
    eventually(lambda: truth.positions() == {}, what="nothing is held")


def test_a_partial_target_sells_its_share_and_the_stop_shrinks(live_worker, truth):
    position = open_position("AAPL", 100)
    done(SetPartialTarget(position_id=position.pk, at_r=0.5, percent=40.0))
    hold_at(truth, position, 0.6)
    eventually(lambda: truth.positions() == {"AAPL": 60}, what="forty are sold")
    eventually(lambda: [s["quantity"] - s["filled"] for s in stops(truth, "AAPL")] == [60], what="the stop covers sixty")
    eventually(lambda: record(position).data["exit_rules"]["targets"][0]["done_at"], what="the target is done")
    assert len([o for o in truth.orders() if o["side"] == "SELL" and o["kind"] == "MKT"]) == 1


def test_an_addition_is_covered_and_one_stop_takes_over(live_worker, truth):
    position = open_position("AAPL", 100)
    done(ScaleIn(position_id=position.pk, quantity=50.0, limit_price=round(last_price("AAPL") * 1.01, 2)))
    eventually(lambda: truth.positions() == {"AAPL": 150}, what="fifty more are held")
    eventually(lambda: [s["quantity"] for s in stops(truth, "AAPL")] == [150], what="one stop covers all of them")
    assert outcome(file_wish(ClosePosition(position_id=position.pk))).state == "done"
    eventually(lambda: truth.positions() == {}, what="all of it is closed")


def test_a_reverse_closes_and_opens_the_other_side(live_worker, truth):
    position = open_position("AAPL", 100)
    done(ReversePosition(position_id=position.pk))
    said = eventually(lambda: record(position).data["exit_rules"]["reverse"]["outcome"], what="the other side was asked for")
    assert said.startswith("opened as position"), said
    eventually(lambda: truth.positions() == {"AAPL": -100}, what="it is short")
    other = eventually(lambda: PositionRecord.objects.filter(direction=-1, status="open", stop_state="resting").first(), what="protected")
    assert record(position).data["exit_rules"]["reverse"]["outcome"] == f"opened as position {other.pk}"
    assert OperatorTask.objects.count() == 0
    command, said = CommandRecord.objects.get(name="ReversePosition"), "closed, and the other side opened as position"
    eventually(lambda: CommandRecord.objects.get(pk=command.pk).reason.startswith(said), what="its row says so")


def test_a_reverse_that_would_be_refused_closes_nothing(live_worker, truth):
    position = open_position("AAPL", 100)
    RiskLimits.objects.update(max_symbol_risk=1, updated_at=utc_now())
    answer = outcome(file_wish(ReversePosition(position_id=position.pk)))
    assert (answer.state, answer.code) == ("refused", "symbol_risk")
    assert answer.reason.startswith("Nothing was closed: the other side would be refused. $")
    assert truth.positions() == {"AAPL": 100}
    assert not [order for order in truth.orders() if order["side"] == "SELL" and order["kind"] == "MKT"]


@pytest.mark.parametrize(
    ("opened", "outcome", "state", "code"),
    [
        (False, "not opened: Trading is halted.", "refused", "half_done"),
        (True, "opened as position p2", "done", ""),
    ],
)
def test_the_row_of_a_reverse_says_what_became_of_its_second_half(opened, outcome, state, code):
    record = CommandRecord.objects.create(key="k1", name="ReversePosition", state="claimed", created_at=utc_now(), account="DU1")
    wish = Reverse(intent_id=f"reverse-{record.pk}", quantity=1, risk=1.0, reward=None, expires_at=utc_now(), outcome=outcome)
    assert amend_reverse(lambda: None, wish, opened) is False  # its first answer is not written yet
    CommandRecord.objects.update(state="done", reason="closing AAPL")
    assert amend_reverse(lambda: None, wish, opened).pk == record.pk
    record.refresh_from_db()
    assert (record.state, record.code) == (state, code)
    assert outcome.rstrip(".") in record.reason
    record.delete()
    assert amend_reverse(lambda: None, wish, opened) is True
