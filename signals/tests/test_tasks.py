"""The periodic jobs against the real demo server, database and Redis."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from django.db.models import F

from events.clock import utc_now
from events.models import EventRecord
from signals import backfill, flow_link, flow_points, source_health, store, tasks, turns
from signals.demo.faults import Fault
from signals.domain import limiter
from signals.domain.flow_errors import FlowBudgetSpent
from signals.domain.polling import SourceState, TickerHealth
from signals.models import FlowPoint, PredictionRecord, SignalRecord, SignalSettings, SourceHealth, WatchListEntry
from signals.schedule import SCHEDULE
from tradingsite.testing.patience import PATIENCE

pytestmark = pytest.mark.django_db

BUY = {"signal": "BUY", "numeric": 1, "confidence": 0.85}


@pytest.fixture
def faults(desk_demo):
    desk_demo.provider.faults.set(Fault.VIEW, BUY)
    return desk_demo.provider.faults


@pytest.fixture(autouse=True)
def begun_just_now():
    """The list was made with the test database, maybe minutes ago."""
    WatchListEntry.objects.update(added_at=utc_now())


@pytest.fixture
def started(monkeypatch):
    """What would have been sent to the queue: (task, arguments)."""
    sent = []
    for name in ("poll_ticker", "refresh_flow_context"):
        task = getattr(tasks, name)
        monkeypatch.setattr(task, "apply_async", lambda args, name=name, **options: sent.append((name, *args)))
    return sent


@pytest.fixture
def standing_clock(monkeypatch):
    """No ticker becomes due by itself between two looks, however slow they are."""
    now = utc_now()
    monkeypatch.setattr(tasks, "utc_now", lambda: now)
    return now


@pytest.fixture
def plenty(monkeypatch):
    """The budget allows all of the list at once."""
    monkeypatch.setattr(flow_link, "tokens", lambda kind: 1000.0)


def rewind(ticker, seconds):
    """Let the ticker's last attempt and success lie further back."""
    back = timedelta(seconds=seconds)
    SourceHealth.objects.filter(ticker=ticker).update(last_attempt=F("last_attempt") - back, last_success=F("last_success") - back)


def poll_all(now):
    """A tick whose polls all take place at once."""
    for ticker in (tickers := tasks.poll_due()):
        turns.end(ticker, now)
    return tickers


def test_every_watched_ticker_is_due_at_first_and_then_not(desk_demo, started, standing_clock, plenty):
    watched = list(WatchListEntry.objects.order_by("added_at", "symbol").values_list("symbol", flat=True))
    assert tasks.poll_due() == watched
    assert tasks.poll_due() == []
    assert [args for _, args in started] == watched


def test_no_more_polls_leave_than_the_budget_in_redis_allows(desk_demo, started, standing_clock):
    assert len(tasks.poll_due()) == 6
    assert tasks.poll_due() == []


def test_a_second_scheduler_finds_the_poll_claimed_until_the_claim_lapses():
    now = utc_now()
    assert turns.claim("AAPL", now)
    assert not turns.claim("AAPL", now)
    assert not turns.claim("AAPL", now + timedelta(seconds=29))
    assert turns.claim("AAPL", now + timedelta(seconds=30))


def test_a_slot_later_it_is_due_again(desk_demo, started, standing_clock, plenty):
    poll_all(standing_clock)
    rewind("AAPL", 60)
    assert tasks.poll_due() == ["AAPL"]


def test_edits_of_the_watch_list_work_at_the_next_tick(desk_demo, started, standing_clock, plenty):
    poll_all(standing_clock)
    WatchListEntry.objects.create(symbol="GOOGL")
    WatchListEntry.objects.filter(symbol="AAPL").update(enabled=False)
    rewind("AAPL", 600)
    assert tasks.poll_due() == ["GOOGL"]
    assert tasks.poll_ticker("AAPL") == "not watched any more"


def test_nothing_is_polled_while_the_market_is_closed(desk_demo, started, monkeypatch, standing_clock):
    monkeypatch.setattr(tasks, "market_open", lambda now: False)
    assert tasks.poll_due() == []


def test_a_poll_makes_one_pending_signal_however_often_it_runs(faults, started):
    assert tasks.poll_ticker("AAPL") == "signal"
    for _ in range(5):
        tasks.poll_ticker("AAPL")
    [signal] = SignalRecord.objects.all()
    assert (signal.state, signal.symbol) == ("pending", "AAPL")
    health = SourceHealth.objects.get(ticker="AAPL")
    assert (health.state, health.errors_in_row) == ("ok", 0)
    assert SourceHealth.objects.get(ticker="").state == "ok"


def test_a_changed_threshold_works_at_the_next_poll(faults, started):
    SignalSettings.objects.update(default_threshold=0.9)
    tasks.poll_ticker("AAPL")
    assert not SignalRecord.objects.exists()
    WatchListEntry.objects.filter(symbol="MSFT").update(threshold=0.8)
    tasks.poll_ticker("MSFT")
    assert SignalRecord.objects.get().symbol == "MSFT"


def test_a_wrong_key_stops_the_polling_until_the_status_answers_again(faults, started, standing_clock):
    faults.set(Fault.WRONG_KEY)
    tasks.poll_ticker("AAPL")
    assert source_health.flow_part()["state"] == "down"
    assert tasks.poll_due() == []
    assert EventRecord.objects.filter(event_type="SourceHealthEvent").count() == 1
    faults.clear(Fault.WRONG_KEY)
    assert tasks.poll_status() == "ok"
    assert tasks.poll_due() != []


def test_no_key_at_all_is_a_misconfiguration_not_a_crash(settings, live_redis, started):
    settings.FLOW_API_KEY = ""
    tasks.poll_ticker("AAPL")
    assert "FLOW_API_KEY" in source_health.flow_part()["detail"]


def test_errors_are_counted_and_three_intervals_of_them_degrade(faults, started):
    tasks.poll_ticker("AAPL")
    faults.set(Fault.NOT_JSON)
    tasks.poll_ticker("AAPL")
    assert SourceHealth.objects.get(ticker="AAPL").state == "ok"
    rewind("AAPL", 200)
    rewind("", 200)
    tasks.poll_ticker("AAPL")
    row = SourceHealth.objects.get(ticker="AAPL")
    assert (row.state, row.errors_in_row) == ("degraded", 2)
    assert source_health.flow_part()["state"] == "degraded"
    assert EventRecord.objects.filter(event_type="SourceHealthEvent").count() == 2
    tasks.poll_ticker("AAPL")
    assert EventRecord.objects.filter(event_type="SourceHealthEvent").count() == 2
    faults.clear(Fault.NOT_JSON)
    tasks.poll_ticker("AAPL")
    assert SourceHealth.objects.get(ticker="AAPL").state == "ok"


def test_an_unknown_ticker_is_left_out_for_an_hour_and_comes_back_with_the_list(faults, started, plenty):
    poll_all(utc_now())
    faults.set(Fault.UNKNOWN_TICKER, tickers=("AAPL",))
    tasks.poll_ticker("AAPL")
    rewind("AAPL", 600)
    assert "AAPL" not in tasks.poll_due()
    assert "AAPL" in source_health.flow_part()["detail"]
    tasks.refresh_tickers()
    assert "AAPL" in tasks.poll_due()


def test_after_a_gap_the_missed_predictions_are_stored_and_never_traded(faults, started, desk_demo, monkeypatch):
    now = desk_demo.provider.now()
    monkeypatch.setattr(desk_demo.provider, "_clock", lambda: now)  # a minute that ends meanwhile would bring one more
    tasks.poll_ticker("AAPL")
    rewind("AAPL", 600)
    tasks.poll_ticker("AAPL")
    assert turns.next_gap()[0] == "AAPL"
    signals = SignalRecord.objects.count()
    stored = tasks.fill_gaps()
    assert 8 <= stored <= 11
    assert turns.next_gap() is None
    assert tasks.fill_gaps() == 0
    assert SignalRecord.objects.count() == signals
    assert {p.verdict for p in PredictionRecord.objects.filter(reason__startswith="fetched after a gap")} == {"filtered"}


def test_a_history_with_rubbish_in_it_gives_what_can_be_read():
    rows = [None, 7, {}, {"signal": "BUY"}, {"signal": "NEUTRAL", "numeric": 0, "timestamp": 1_780_587_060_000}]
    rows.append({"signal": "NEUTRAL", "numeric": 0, "timestamp": 1_780_587_000_000})
    assert [p.timestamp for p in backfill.read_history("AAPL", {"predictions": rows})] == [1_780_587_000_000, 1_780_587_060_000]
    assert backfill.read_history("AAPL", {"predictions": "none"}) == []


def test_the_status_is_asked_once_per_slot_and_keeps_the_clock_skew(desk_demo, started):
    assert tasks.poll_status() == "ok"
    assert tasks.poll_status() == "done by another scheduler"
    detail = SourceHealth.objects.get(ticker="").detail
    assert detail["status"] == "running"
    assert abs(detail["clock_skew"]) < 5


def test_a_ticker_on_a_screen_gets_its_flow_stored_and_not_again_at_once(desk_demo):
    stored = tasks.refresh_flow_context("AAPL")
    assert stored["trade"] > 0
    assert stored["divergence"] > 0
    assert FlowPoint.objects.filter(kind="trade", ticker="AAPL").count() == stored["trade"]
    assert tasks.refresh_flow_context("AAPL") == {}


def test_looking_at_flow_leaves_a_token_for_the_back_fill_and_trips_nobodys_breaker(faults, started, monkeypatch):
    monkeypatch.setattr(flow_link, "CONTEXT", replace(flow_link.CONTEXT, patience=0))
    assert set(tasks.refresh_flow_context("AAPL")) >= {"trade", "divergence"}
    faults.set(Fault.SERVER_ERROR)
    for ticker in ("MSFT", "AMZN", "NVDA", "TSLA", "META", "JPM"):
        tasks.refresh_flow_context(ticker)
    faults.clear(Fault.SERVER_ERROR)
    SourceHealth.objects.create(ticker="AAPL", gap_since=int(utc_now().timestamp() * 1000) - 300_000)
    assert tasks.fill_gaps() > 0
    assert tasks.poll_ticker("AAPL") == "signal"


def test_a_spent_budget_is_no_trouble_and_the_ticker_keeps_its_place(
    faults, started, monkeypatch, caplog, standing_clock, plenty, settings
):
    settings.FLOW_REQUESTS_PER_MINUTE = 5  # two at once, then one in 20 s
    monkeypatch.setattr(flow_link, "POLLING", replace(flow_link.POLLING, patience=0))
    monkeypatch.setattr(limiter, "_said", {})
    caplog.set_level("INFO", "signals")
    watched = tasks.poll_due()
    SourceHealth.objects.update(last_success=utc_now() - timedelta(hours=9))  # as after a night
    for ticker in watched:
        tasks.poll_ticker(ticker)
    waiting = set(SourceHealth.objects.filter(last_attempt=None).exclude(ticker="").values_list("ticker", flat=True))
    assert waiting
    assert set(SourceHealth.objects.values_list("state", flat=True)) <= {"ok", "unknown"}
    assert SourceHealth.objects.get(ticker="").state == "ok"
    assert "Trouble" not in source_health.flow_part()["detail"]
    assert not EventRecord.objects.filter(event_type="SourceHealthEvent").exists()
    assert [record.levelname for record in caplog.records if "budget" in record.message] == ["INFO"]
    assert set(tasks.poll_due()) == waiting


def test_only_three_intervals_without_any_budget_degrade_a_ticker():
    health, now = TickerHealth(state=SourceState.OK, last_success=utc_now() - timedelta(hours=9)), utc_now()
    for seconds, state in ((0, "ok"), (179, "ok"), (180, "degraded")):
        health.postponed(now + timedelta(seconds=seconds), "waiting", interval=timedelta(seconds=60))
        assert health.state == state
    health.succeeded(now, new=False)
    assert (health.state, health.first_error) == ("ok", None)


def test_a_back_fill_that_finds_no_budget_is_tried_again_until_it_is_done(desk_demo, started, monkeypatch):
    since = int(utc_now().timestamp() * 1000) - 300_000
    SourceHealth.objects.create(ticker="AAPL", gap_since=since)

    def no_budget(ticker, since_ms, *, step):
        raise FlowBudgetSpent(5.0)

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "run", no_budget)
        assert tasks.fill_gaps() == 0
        assert turns.next_gap() == ("AAPL", since)
    assert tasks.fill_gaps() > 0
    assert turns.next_gap() is None


def test_after_a_night_history_is_fetched_by_one_thread_and_the_oldest_gap_first(desk_demo, started, monkeypatch):
    for ticker, since in (("AAPL", 5_000), ("MSFT", 4_000), ("SPY", 6_000)):
        SourceHealth.objects.create(ticker=ticker, gap_since=since)
    asked = []

    def fetch(ticker, since_ms, *, step):
        asked.append(ticker)
        assert tasks.fill_gaps() is None  # another thread goes on to something else
        return 1

    monkeypatch.setattr(backfill, "run", fetch)
    assert [tasks.fill_gaps() for _ in range(4)] == [1, 1, 1, 0]
    assert asked == ["MSFT", "AAPL", "SPY"]


def test_flow_rows_that_break_the_contract_are_left_out():
    good = {"ticker": "AAPL", "id": 5, "trade_timestamp": 1_780_587_000_000, "price": 1.5, "option_symbol": "AAPL260619C00200000"}
    bad = [good | {"id": None}, good | {"price": float("nan")}, good | {"ticker": "X"}, good | {"option_symbol": "<b>"}, None, "row"]
    assert flow_points.keep("trade", "AAPL", {"trades": [good, *bad]}) == 1
    assert flow_points.keep("trade", "AAPL", {"trades": [good | {"price": 2.5}]}) == 1
    [point] = FlowPoint.objects.all()
    assert point.data["price"] == 2.5
    assert flow_points.keep("trade", "AAPL", {"trades": None}) == 0


def test_old_flow_rows_are_forgotten():
    good = {"id": 5, "trade_timestamp": 1_580_587_000_000}
    flow_points.keep("trade", "AAPL", {"trades": [good]})
    assert tasks.prune_flow() == 1


def test_undecided_signals_expire(faults, started):
    tasks.poll_ticker("AAPL")
    assert tasks.expire_signals() == []
    SignalRecord.objects.update(expires_at=utc_now())
    assert len(tasks.expire_signals()) == 1
    assert SignalRecord.objects.get().state == "expired"


def test_the_health_part_says_when_polling_has_not_begun_or_has_stopped(desk_demo, started):
    assert source_health.flow_part()["state"] == "unknown"
    tasks.poll_status()
    assert source_health.flow_part()["state"] == "ok"
    rewind("", 600)
    assert source_health.flow_part()["state"] == "degraded"


def test_polling_never_stores_while_the_database_rows_say_another_interval(desk_demo):
    entry = WatchListEntry.objects.get(symbol="AAPL")
    entry.poll_seconds = 15
    assert store.poll_seconds(entry, SignalSettings.current()) == 15


def test_every_scheduled_task_exists_and_expires_before_it_is_due_again():
    for name, entry in SCHEDULE.items():
        assert callable(getattr(tasks, entry["task"].rpartition(".")[2])), name
        assert entry["options"]["expires"] <= entry["schedule"]


def test_the_control_endpoint_switches_faults_and_wants_the_key(desk_demo):
    url = desk_demo.base_url.replace("/api/v1", "/control/faults")
    key = {"X-API-Key": desk_demo.provider._api_key}
    assert httpx.post(url, json={"name": "stale", "value": 60}, timeout=PATIENCE).status_code == 401
    assert httpx.post(url, json={"name": "stale", "value": 60}, headers=key, timeout=PATIENCE).json()["on"] == ["stale"]
    assert httpx.post(url, json={"name": "nonsense"}, headers=key, timeout=PATIENCE).status_code == 400
    assert httpx.post(url, content=b"[]", headers=key, timeout=PATIENCE).status_code == 400
    assert httpx.delete(url, headers=key, timeout=PATIENCE).json()["on"] == []
