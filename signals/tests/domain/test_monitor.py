"""The monitor against the real demo server: one signal each, health per ticker, and a stop that stops."""

import asyncio

import pytest

from events.api import PredictionSignalEvent
from events.bus import EventBus
from events.system import SourceHealthEvent
from signals.demo.faults import Fault
from signals.domain.judgement import Run
from signals.domain.monitor import OptionsFlowMonitor
from signals.domain.polling import SourceState, is_due, phase
from signals.domain.predictions import BadPrediction
from tradingsite.testing.patience import PATIENCE

FOREVER = 10 * PATIENCE
BUY = {"signal": "BUY", "numeric": 1, "confidence": 0.85}
NEUTRAL = {"signal": "NEUTRAL", "numeric": 0, "confidence": 0.93}


@pytest.fixture
async def heard():
    return []


@pytest.fixture
async def make_monitor(make_client, clock, heard):
    made = []

    async def make(tickers=("AAPL",), thresholds=None, **options):
        bus = EventBus()
        await bus.subscribe(PredictionSignalEvent, heard.append)
        client = make_client(retries=0, read_seconds=FOREVER)
        monitor = OptionsFlowMonitor(bus, client, clock=clock, **options)
        monitor.bus = bus
        monitor.configure(tickers, thresholds)
        made.append((monitor, client))
        return monitor

    yield make
    for monitor, client in made:
        await monitor.stop_monitoring()
        await client.aclose()


async def test_one_event_carries_the_whole_prediction(demo, make_monitor, heard):
    demo.provider.faults.set(Fault.VIEW, BUY)
    await (await make_monitor())._poll_predictions()
    [event] = heard
    assert (event.symbol, event.signal, event.numeric, event.confidence) == ("AAPL", "BUY", 1, 0.85)
    assert event.price > 0
    assert event.signal_id
    assert set(event.probabilities) == {"sell", "neutral", "buy"}
    assert event.model_info["model_path"] == "models/AAPL/directional_v3.pt"
    assert event.data_time.tzinfo is not None


async def test_the_same_prediction_polled_a_hundred_times_is_one_signal(demo, make_monitor, heard):
    demo.provider.faults.set(Fault.VIEW, BUY)
    monitor = await make_monitor()
    for _ in range(100):
        await monitor._poll_predictions()
    assert len(demo.provider.seen) == 100
    assert len(heard) == 1


async def test_new_minutes_in_the_same_direction_are_one_signal(demo, make_monitor, heard, clock):
    demo.provider.faults.set(Fault.VIEW, BUY)
    monitor = await make_monitor()
    for _ in range(4):
        await monitor._poll_predictions()
        clock.advance(60)
    assert len(heard) == 1


async def test_revised_values_under_the_same_timestamp_are_no_second_signal(demo, make_monitor, heard):
    demo.provider.faults.set(Fault.VIEW, BUY)
    demo.provider.faults.set(Fault.REVISED)
    monitor = await make_monitor()
    for _ in range(5):
        await monitor._poll_predictions()
    demo.provider.faults.set(Fault.VIEW, {"signal": "SELL", "numeric": -1})
    await monitor._poll_predictions()
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        (Fault.VIEW, NEUTRAL),
        (Fault.VIEW, {"signal": "HOLD", "numeric": 0, "confidence": 0.99}),
        (Fault.VIEW, BUY | {"numeric": -1}),
        (Fault.VIEW, BUY | {"confidence": 0.7499}),
        (Fault.VIEW, BUY | {"signal": "<script>"}),
        (Fault.VIEW, BUY | {"stock_price": None}),
        (Fault.NULL_CONFIDENCE, True),
        (Fault.OTHER_TICKER, "TSLA"),
        (Fault.MISSING_PREDICTION, True),
        (Fault.STALE, 300),
        (Fault.FUTURE, 120),
    ],
)
async def test_what_must_not_be_traded_makes_no_signal(demo, make_monitor, heard, fault, value):
    demo.provider.faults.set(Fault.VIEW, BUY)
    demo.provider.faults.set(fault, value)
    await (await make_monitor())._poll_predictions()
    assert heard == []


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        (Fault.PROBABILITIES_OBJECT, True),
        (Fault.DATETIME_OFF, -3600),
        (Fault.DATETIME_OFF, -4 * 3600),
        (Fault.VIEW, BUY | {"signal": "buy"}),
    ],
)
async def test_what_is_only_told_differently_still_makes_one(demo, make_monitor, heard, fault, value):
    demo.provider.faults.set(Fault.VIEW, BUY)
    demo.provider.faults.set(fault, value)
    await (await make_monitor())._poll_predictions()
    assert len(heard) == 1


async def test_the_word_short_sells(demo, make_monitor, heard):
    demo.provider.faults.set(Fault.VIEW, {"signal": "SHORT", "numeric": -1, "confidence": 0.9})
    await (await make_monitor())._poll_predictions()
    assert [event.signal for event in heard] == ["SELL"]


async def test_thresholds_are_per_ticker_with_a_default(demo, make_monitor, heard):
    demo.provider.faults.set(Fault.VIEW, BUY | {"confidence": 0.6})
    thresholds = {"prediction_confidence_min": 0.6, "MSFT": 0.9}
    await (await make_monitor(("AAPL", "MSFT"), thresholds))._poll_predictions()
    assert [event.symbol for event in heard] == ["AAPL"]


@pytest.mark.parametrize("tickers", [["<b>"], ["A" * 30], [""]])
async def test_a_ticker_that_is_none_cannot_be_configured(make_monitor, tickers):
    with pytest.raises(ValueError):
        await make_monitor(tickers)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
async def test_a_threshold_is_a_share(make_monitor, threshold):
    with pytest.raises(ValueError):
        await make_monitor(["AAPL"], {"AAPL": threshold})


async def test_a_slow_ticker_delays_nobody(demo, make_monitor, heard, eventually_async):
    demo.provider.faults.set(Fault.VIEW, BUY)
    demo.provider.faults.set(Fault.LATENCY, FOREVER, tickers=("TSLA",))
    monitor = await make_monitor(("TSLA", "AAPL", "MSFT"))
    await monitor.start_monitoring()
    await eventually_async(lambda: {event.symbol for event in heard} == {"AAPL", "MSFT"})


async def test_a_failing_ticker_leaves_the_others_alone(demo, make_monitor, heard):
    demo.provider.faults.set(Fault.VIEW, BUY)
    demo.provider.faults.set(Fault.NOT_JSON, tickers=("TSLA",))
    monitor = await make_monitor(("TSLA", "AAPL"))
    await monitor._poll_predictions()
    assert [event.symbol for event in heard] == ["AAPL"]
    assert monitor.health["TSLA"].errors_in_row == 1
    assert monitor.health["AAPL"].state is SourceState.OK


async def test_stopping_in_mid_request_does_not_wait_for_the_answer(demo, make_monitor, eventually_async):
    demo.provider.faults.set(Fault.LATENCY, FOREVER)
    monitor = await make_monitor(("AAPL", "MSFT"))
    await monitor.start_monitoring()
    await eventually_async(lambda: len(monitor._in_flight) == 2)
    async with asyncio.timeout(PATIENCE):
        await monitor.stop_monitoring()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("poll ", "options-flow"))]


async def test_it_can_be_started_twice_and_again_after_a_stop(demo, make_monitor, heard, eventually_async):
    demo.provider.faults.set(Fault.VIEW, BUY)
    monitor = await make_monitor()
    await monitor.start_monitoring()
    await monitor.start_monitoring()
    await eventually_async(lambda: len(heard) == 1)
    await monitor.stop_monitoring()
    await monitor.stop_monitoring()
    await monitor.start_monitoring()


async def test_a_refused_key_stops_the_polling_and_is_announced_once(demo, make_monitor, eventually_async):
    demo.provider.faults.set(Fault.WRONG_KEY)
    monitor = await make_monitor(("AAPL", "MSFT", "TSLA"))
    alerts = []
    await monitor.bus.subscribe(SourceHealthEvent, alerts.append)
    await monitor.start_monitoring()
    await eventually_async(lambda: monitor._loop_task.done())
    assert [(alert.ticker, alert.state) for alert in alerts if not alert.ticker] == [("", "misconfigured")]
    assert "key" in monitor.stopped_because


async def test_an_unknown_ticker_is_dropped_from_the_polling(demo, make_monitor):
    demo.provider.faults.set(Fault.UNKNOWN_TICKER, tickers=("TSLA",))
    monitor = await make_monitor(("TSLA", "AAPL"))
    for _ in range(2):
        await monitor._poll_predictions()
    assert monitor.health["TSLA"].dropped
    assert [seen.query["ticker"] for seen in demo.provider.seen].count("TSLA") == 1


async def test_a_ticker_without_success_for_three_intervals_is_degraded_once_and_recovers(demo, make_monitor, clock):
    monitor = await make_monitor()
    alerts = []
    await monitor.bus.subscribe(SourceHealthEvent, alerts.append)
    await monitor._poll_predictions()
    demo.provider.faults.set(Fault.NOT_JSON)
    for _ in range(4):
        clock.advance(60)
        await monitor._poll_predictions()
    assert [alert.state for alert in alerts] == ["ok", "degraded"]
    demo.provider.faults.clear()
    clock.advance(60)
    await monitor._poll_predictions()
    assert [alert.state for alert in alerts] == ["ok", "degraded", "ok"]


async def test_an_answer_that_cannot_be_identified_is_counted(make_monitor):
    monitor = await make_monitor()
    with pytest.raises(BadPrediction):
        await monitor._process_prediction("AAPL", {"prediction": {"signal": "BUY"}})
    assert monitor.quarantined == 1


async def test_a_restart_that_knows_the_run_makes_no_second_signal(demo, make_monitor, heard, clock):
    demo.provider.faults.set(Fault.VIEW, BUY)
    first = await make_monitor()
    await first._poll_predictions()
    clock.advance(60)
    second = await make_monitor()
    second.runs["AAPL"] = first.runs["AAPL"]
    await second._poll_predictions()
    assert len(heard) == 1


async def test_a_client_that_raises_anything_does_not_end_the_monitor(make_monitor):
    class Broken:
        async def get_latest_prediction_async(self, ticker):
            raise RuntimeError("surprise")

    monitor = await make_monitor()
    monitor._api = type("Client", (), {"prediction": Broken()})()
    await monitor._poll_predictions()
    assert monitor.health["AAPL"].last_error == "RuntimeError"
    assert monitor.runs.get("AAPL", Run()) == Run()


def test_polls_are_spread_over_the_interval_and_begin_after_the_minute():
    assert [phase(n, 4, 60) for n in range(4)] == [8, 23, 38, 53]
    assert phase(0, 1, 60) == 8
    assert all(0 <= phase(n, 24, 60) < 60 for n in range(24))


def test_a_ticker_is_due_once_per_slot_and_at_once_when_never_asked():
    assert is_due(1000, None, interval=60, offset=8)
    assert not is_due(1030, 1029, interval=60, offset=8)
    assert is_due(1028, 1027, interval=60, offset=8)
    assert is_due(9999, 1027, interval=60, offset=8)
