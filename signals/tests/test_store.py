"""From a judged prediction to rows: one signal each, refreshed, superseded, revised, expired, filtered with a reason."""

from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from django.db import IntegrityError, connection

from events.accounts import SIMULATED_ACCOUNT
from events.models import EventRecord
from positions.models import PositionRecord
from signals import store
from signals.domain.judgement import Judgement, Reason, Verdict, judge
from signals.domain.predictions import Prediction
from signals.models import PredictionRecord, SignalRecord, SignalSettings, WatchListEntry

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 4, 15, 30, 9, tzinfo=UTC)
AT = int(NOW.timestamp() * 1000) - 9_000


@pytest.fixture
def entry():
    return WatchListEntry.objects.get(symbol="AAPL")


@pytest.fixture
def shortable(entry):
    entry.allow_short = True
    entry.save()
    return entry


def said(word="BUY", minute=0, confidence=0.85, **changes):
    direction = {"BUY": 1, "SELL": -1, "NEUTRAL": 0}[word]
    fields = {"source": "api", "ticker": "AAPL", "timestamp": AT + minute * 60_000, "word": word, "direction": direction}
    fields |= {"numeric": direction, "confidence": confidence, "stock_price": 200.0 + minute, "model_path": "m.pt"}
    fields |= {"data_time": NOW - timedelta(seconds=9) + timedelta(minutes=minute)}
    return Prediction(**fields | changes)


def tell(entry, prediction, *, minute=None):
    """Judge and store, as a poll would: standing where the database says."""
    settings = SignalSettings.current()
    at = NOW + timedelta(minutes=(prediction.timestamp - AT) / 60_000 if minute is None else minute)
    run = store.load_run("AAPL")
    judgement, _ = judge(prediction, store.rules_for(entry, settings), run, now=at, new_id=f"{prediction.timestamp}-{at.timestamp()}")
    return store.record(judgement, entry=entry, settings=settings, now=at)


def hold(quantity):
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id="p1",
        symbol="AAPL",
        status="open",
        quantity=quantity,
        created_at=NOW,
        updated_at=NOW,
        direction=1 if quantity > 0 else -1,
    )


def test_a_signal_its_prediction_and_its_event_are_stored_together(entry):
    recorded = tell(entry, said())
    [signal] = SignalRecord.objects.all()
    assert recorded.signal == signal
    assert (signal.state, signal.action, signal.direction, signal.price) == ("pending", "open_long", 1, 200.0)
    assert signal.expires_at == NOW + timedelta(seconds=120)
    assert signal.prediction.verdict == "signal"
    [event] = EventRecord.objects.filter(event_type="PredictionSignalEvent")
    assert event.signal_id == signal.signal_id
    assert event.symbol == "AAPL"


def test_if_the_event_cannot_be_written_nothing_is(entry, monkeypatch):
    def broken(event, epoch=0):
        raise IntegrityError("disk")

    monkeypatch.setattr(store, "record_event", broken)
    assert not tell(entry, said()).new
    assert not SignalRecord.objects.exists()
    assert not PredictionRecord.objects.exists()


def test_the_same_prediction_told_a_hundred_times_is_one_signal(entry):
    assert [tell(entry, said(), minute=0).new for _ in range(100)].count(True) == 1
    assert SignalRecord.objects.count() == PredictionRecord.objects.count() == 1


def test_even_after_its_run_is_forgotten_the_same_prediction_is_no_second_signal(entry):
    tell(entry, said())
    again = Judgement(prediction=said(), verdict=Verdict.SIGNAL, threshold=0.75, signal_id="another")
    assert not store.record(again, entry=entry, settings=SignalSettings.current(), now=NOW).new
    assert SignalRecord.objects.count() == 1


def test_the_same_direction_extends_the_life_but_not_the_version(entry):
    tell(entry, said())
    tell(entry, said(minute=1, confidence=0.9))
    [signal] = SignalRecord.objects.all()
    assert (signal.version, signal.refresh_count, signal.confidence, signal.price) == (1, 1, 0.9, 201.0)
    assert signal.expires_at == NOW + timedelta(minutes=1, seconds=120)
    assert PredictionRecord.objects.get(timestamp=AT + 60_000).verdict == "refresh"


def test_a_change_of_direction_supersedes(shortable):
    tell(shortable, said())
    tell(shortable, said("SELL", minute=1))
    old, new = SignalRecord.objects.order_by("created_at")
    assert (old.state, old.version, new.state, new.action) == ("superseded", 2, "pending", "open_short")


def test_a_rejected_signal_does_not_come_back_while_its_run_lasts(entry):
    signal = tell(entry, said()).signal
    assert store.change(signal, state="rejected", decided_by="demo", decided_at=NOW)
    tell(entry, said(minute=1))
    assert [s.state for s in SignalRecord.objects.all()] == ["rejected"]
    tell(entry, said("NEUTRAL", minute=2))
    tell(entry, said(minute=3))
    assert sorted(s.state for s in SignalRecord.objects.all()) == ["pending", "rejected"]


def test_a_restart_neither_repeats_nor_forgets(entry):
    tell(entry, said())
    run = store.load_run("AAPL")
    assert (run.direction, run.newest) == (1, AT)
    tell(entry, said("NEUTRAL", minute=1))
    assert store.load_run("AAPL").direction == 0
    stale = said(minute=2, data_time=NOW - timedelta(hours=1))
    assert tell(entry, stale).signal is None
    assert store.load_run("AAPL").newest == AT + 60_000


@pytest.mark.parametrize(
    ("prediction", "verdict", "reason"),
    [
        (said("NEUTRAL", confidence=0.93), "filtered", "neutral"),
        (said(confidence=0.7), "filtered", "confidence 70.0% is below 75.0%"),
        (said(data_time=NOW - timedelta(hours=1)), "filtered", "stale: its data is 1 hour old"),
        (said(invalid="it is about another ticker"), "invalid", "it is about another ticker"),
    ],
)
def test_everything_else_is_stored_with_its_reason(entry, prediction, verdict, reason):
    tell(entry, prediction)
    [stored] = PredictionRecord.objects.all()
    assert (stored.verdict, stored.reason) == (verdict, reason)
    assert not SignalRecord.objects.exists()


def test_a_sell_without_a_long_is_filtered_where_shorting_is_not_allowed(entry):
    tell(entry, said("SELL"))
    [signal] = SignalRecord.objects.all()
    assert (signal.state, signal.reason) == ("filtered", "short not allowed")
    assert signal.prediction.verdict == "filtered"
    assert not EventRecord.objects.exists()


def test_a_sell_closes_a_long_that_is_held(entry):
    hold(100)
    assert tell(entry, said("SELL")).signal.action == "close_long"


def test_a_filtered_sell_becomes_a_signal_once_a_long_is_held(entry):
    tell(entry, said("SELL"))
    tell(entry, said("SELL", minute=1))
    assert [s.state for s in SignalRecord.objects.all()] == ["filtered"]
    hold(100)
    signal = tell(entry, said("SELL", minute=2)).signal
    assert (signal.state, signal.action) == ("pending", "close_long")


def test_a_buy_closes_a_short_that_is_held(entry):
    hold(-50)
    signal = tell(entry, said()).signal
    assert (signal.state, signal.action) == ("pending", "close_short")


def test_the_journal_tells_how_a_signal_ended_once(shortable):
    signal = tell(shortable, said()).signal
    tell(shortable, said("SELL", minute=1))
    store.expire_due(NOW + timedelta(hours=1))
    store.expire_due(NOW + timedelta(hours=1))
    ends = [(row.signal_id, row.data["state"], row.data["reason"]) for row in EventRecord.objects.filter(event_type="SignalClosedEvent")]
    other = SignalRecord.objects.exclude(pk=signal.pk).get()
    assert sorted(ends, key=lambda end: end[1]) == [
        (other.pk, "expired", "nobody decided in time"),
        (signal.pk, "superseded", "the direction changed"),
    ]


def test_a_closed_position_counts_for_nothing(entry):
    hold(100)
    PositionRecord.objects.update(status="closed", quantity=0)
    assert tell(entry, said("SELL")).signal.state == "filtered"


def test_a_revision_is_kept_and_makes_no_second_signal(entry):
    tell(entry, said())
    tell(entry, said(confidence=0.9), minute=0)
    [prediction] = PredictionRecord.objects.all()
    assert (prediction.revision, prediction.confidence) == (2, 0.9)
    assert prediction.revisions == [{"confidence": 0.85}]
    [signal] = SignalRecord.objects.all()
    assert (signal.confidence, signal.version) == (0.9, 2)


def test_a_revision_that_takes_the_direction_back_supersedes(entry):
    tell(entry, said())
    tell(entry, said("SELL"), minute=0)
    [signal] = SignalRecord.objects.all()
    assert (signal.state, signal.reason) == ("superseded", "the prediction was revised")


def test_back_filled_predictions_are_never_traded_and_revise_nothing(entry):
    settings = SignalSettings.current()
    late = Judgement(prediction=said(minute=-5), verdict=Verdict.FILTERED, reason=Reason.BACKFILLED, threshold=0.75)
    assert store.record(late, entry=entry, settings=settings, now=NOW, revise=False).new
    tell(entry, said())
    changed = Judgement(prediction=said(confidence=0.1), verdict=Verdict.FILTERED, reason=Reason.BACKFILLED, threshold=0.75)
    assert not store.record(changed, entry=entry, settings=settings, now=NOW, revise=False).new
    assert SignalRecord.objects.get().confidence == 0.85


def test_only_what_is_due_expires(entry):
    signal = tell(entry, said()).signal
    assert store.expire_due(NOW + timedelta(seconds=119)) == []
    assert store.expire_due(NOW + timedelta(seconds=120)) == [signal]
    signal.refresh_from_db()
    assert (signal.state, signal.version) == ("expired", 2)


def test_a_decision_wins_over_a_late_expiry(entry):
    seen = tell(entry, said()).signal
    stale_view = SignalRecord.objects.get(pk=seen.pk)
    assert store.change(seen, state="approved", decided_by="demo", decided_at=NOW)
    assert not store.change(stale_view, state="expired")
    assert SignalRecord.objects.get().state == "approved"


def test_the_database_itself_refuses_a_second_pending_signal_of_a_symbol(entry):
    signal = tell(entry, said()).signal
    signal.pk = "another"
    with pytest.raises(IntegrityError):
        signal.save(force_insert=True)


def test_thresholds_come_from_the_entry_else_from_the_settings(entry):
    settings = SignalSettings.current()
    assert store.rules_for(entry, settings).threshold == settings.default_threshold
    entry.threshold = 0.0
    assert store.rules_for(entry, settings).threshold == 0.0
    entry.poll_seconds = 300
    assert store.rules_for(entry, settings).run_gap == timedelta(seconds=900)


@pytest.mark.django_db(transaction=True)
def test_two_workers_with_the_same_prediction_make_one_signal(entry):
    settings = SignalSettings.current()
    results = []

    def work(number):
        judgement = Judgement(prediction=said(), verdict=Verdict.SIGNAL, threshold=0.75, signal_id=f"s{number}")
        try:
            results.append(store.record(judgement, entry=entry, settings=settings, now=NOW).new)
        finally:
            connection.close()

    threads = [Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 5 + [True]
    assert SignalRecord.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_row_goes_to_the_feed_only_after_the_commit(entry, monkeypatch):
    shown = []
    monkeypatch.setattr(store.feed, "publish", lambda topic, rows: shown.append((topic, rows)) or True)
    signal = tell(entry, said()).signal
    assert [(topic, rows[0]["id"]) for topic, rows in shown if topic == "signals"] == [("signals", signal.signal_id)]
    assert set(shown[-1][1][0]) >= {"id", "v", "at", "symbol", "direction", "action", "confidence", "state", "expires_at", "price"}
