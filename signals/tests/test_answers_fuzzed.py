"""Answers that no provider should send, over real HTTP into the real client, tasks and tables.

Nothing raises, nothing that cannot be true is stored, nothing is decided and no wish is filed.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.models import CommandRecord
from positions.models import OrderRecord
from signals import flow_link, flow_points, tasks
from signals.demo.provider import Provider
from signals.domain.client import OptionsFlowClient
from signals.domain.flow_errors import FlowError
from signals.domain.limiter import Budget, CallClass, LocalLimiter
from signals.models import FlowPoint, PredictionRecord, SignalRecord, SourceHealth
from signals.tests.conftest import KEY
from signals.tests.hostile import CHANGE, DAMAGE, HostileServer, bent, damaged
from tradingsite.testing.patience import PATIENCE

DAY = "2026-06-03"
# path of a call → its parameters and how the client makes it
CALLS = {
    "status": ({}, lambda c: c.status.get_status_async()),
    "tickers": ({}, lambda c: c.tickers.get_tickers_async()),
    "prediction/latest": ({"ticker": "AAPL"}, lambda c: c.prediction.get_latest_prediction_async("AAPL")),
    "predictions": ({"ticker": "AAPL", "limit": "5"}, lambda c: c.prediction.get_predictions_async("AAPL", limit=5)),
    "trades": ({"ticker": "AAPL", "limit": "5", "recent": "true"}, lambda c: c.trades.get_trades_async("AAPL", limit=5)),
    "minute-data": ({"ticker": "AAPL", "limit": "5", "recent": "true"}, lambda c: c.minute_data.get_minute_data_async("AAPL", limit=5)),
    "divergence": ({"ticker": "AAPL", "limit": "5"}, lambda c: c.divergence.get_divergence_async("AAPL", limit=5)),
    "data-range": (
        {"ticker": "AAPL", "start_date": DAY, "end_date": DAY},
        lambda c: c.data_range.get_data_range_async("AAPL", DAY, DAY),
    ),
}
HEADERS = st.sampled_from(
    [
        "Content-Type: application/json\r\n",
        "Content-Type: text/html\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: deflate\r\n",
        "X-RateLimit-Reset: 1e308\r\nRetry-After: nan\r\n",
        "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: -9\r\n",
        "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
    ]
)
STATUS = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 404, 418, 429, 500, 503, 599])


class Plenty(LocalLimiter):
    """No limits, in place of the shared ones in Redis."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__({kind: Budget(burst=1e9, per_minute=1e9) for kind in CallClass})

    async def aclose(self) -> None: ...


@pytest.fixture
def hostile():
    server = HostileServer()
    yield server
    server.stop()


@pytest.fixture
def documents(world):
    """The eight answers as the provider gives them now."""
    provider = Provider(world, KEY, limited=False)
    answers = {path: provider.answer(f"/api/v1/{path}", parameters, KEY) for path, (parameters, _) in CALLS.items()}
    assert all(answer.status == 200 for answer in answers.values())
    documents = {path: json.loads(answer.body) for path, answer in answers.items()}
    documents["prediction/latest"]["data"]["prediction"] |= {"signal": "BUY", "numeric": 1, "confidence": 0.9}
    shorten = documents["data-range"]["data"]
    shorten["divergence_data"] = shorten["divergence_data"][:5]
    return documents


@pytest.fixture
def desk(settings, hostile, monkeypatch):
    """The desk's own tasks, asking the hostile provider, once each."""
    settings.FLOW_API_URL, settings.FLOW_API_KEY = hostile.base_url, KEY
    monkeypatch.setattr(flow_link, "RedisLimiter", Plenty)
    monkeypatch.setattr(flow_link, "HISTORY", replace(flow_link.HISTORY, retries=0))
    monkeypatch.setattr(tasks, "_first_in_slot", lambda name, slot: True)
    for name in ("poll_ticker", "refresh_flow_context"):
        monkeypatch.setattr(getattr(tasks, name), "apply_async", lambda args, **options: None)
    yield hostile
    flow_link._breaker.cache_clear()


def finite(value, most):
    """Whether every number in a JSON value is one, and within `most`."""
    if isinstance(value, dict):
        return all(finite(each, most) for each in value.values())
    if isinstance(value, list):
        return all(finite(each, most) for each in value)
    return not isinstance(value, int | float) or (math.isfinite(value) and abs(value) <= most)


def sane(moment):
    return moment is None or datetime(2000, 1, 1, tzinfo=UTC) <= moment <= datetime(2100, 1, 2, tzinfo=UTC)


def assert_nothing_impossible_is_stored():
    for said in PredictionRecord.objects.all():
        assert 0 <= said.confidence <= 1
        assert said.numeric in (None, -1, 0, 1)
        assert said.stock_price is None or 0 < said.stock_price <= 1e7
        assert finite(said.probabilities, 1), said.probabilities
        assert finite(said.feature_values, 1e15), said.feature_values
        assert sane(said.data_time), said.data_time
        assert sane(said.prediction_time), said.prediction_time
        assert said.verdict != "invalid" or said.reason
    for signal in SignalRecord.objects.all():
        assert signal.state in ("pending", "filtered", "superseded")
        assert not signal.decided_by
        assert 0 < signal.price <= 1e7
        assert signal.threshold <= signal.confidence <= 1
        assert signal.symbol == "AAPL"
    for point in FlowPoint.objects.all():
        assert finite(point.data, 1e12), point.data
        assert sane(point.at)
    for source in SourceHealth.objects.all():
        json.dumps(source.detail, allow_nan=False)
    assert not CommandRecord.objects.exists()
    assert not OrderRecord.objects.exists()


async def test_no_answer_makes_a_call_do_anything_but_return_an_object_or_raise_its_error(hostile, documents):
    loop = asyncio.get_running_loop()
    steps = []

    @given(st.sampled_from(sorted(CALLS)), st.lists(CHANGE, max_size=2), st.lists(DAMAGE, max_size=2), HEADERS, STATUS)
    @settings(max_examples=150)
    def collect(path, changes, damages, headers, status):
        steps.append((path, damaged(json.dumps(bent(documents[path], changes)).encode(), damages), headers, status))

    await loop.run_in_executor(None, collect)
    assert len(steps) >= 100
    returned = refused = 0
    for path, body, headers, status in steps:
        hostile.say(body, status=status, headers=headers)
        async with OptionsFlowClient(hostile.base_url, KEY, limiter=Plenty(), retries=0) as client, asyncio.timeout(PATIENCE):
            try:
                data = await CALLS[path][1](client)
            except FlowError:
                refused += 1
                continue
        assert isinstance(data, dict)
        json.dumps(data, allow_nan=False)
        returned += 1
    assert returned, "some answers were still good"
    assert refused, "and some were not"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 999 \xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
        b'HTTP/1.1 200 OK\r\nContent-Length: 6000000\r\n\r\n{"data":"' + b"a" * 6_000_000,
    ],
    ids=["empty", "no http", "cut", "bad chunk", "negative length", "odd status", "huge header", "cut gzip", "6 MB"],
)
async def test_what_is_hardly_http_is_an_error_of_the_flow_api(hostile, answer):
    hostile.answer = answer
    async with OptionsFlowClient(hostile.base_url, KEY, limiter=Plenty(), retries=0) as client, asyncio.timeout(PATIENCE):
        with pytest.raises(FlowError):
            await client.prediction.get_latest_prediction_async("AAPL")


@pytest.mark.django_db
def test_polls_of_bent_answers_store_nothing_impossible_and_decide_nothing(desk, documents, caplog):
    told = documents["prediction/latest"]
    verdicts = set()

    @given(st.lists(CHANGE, max_size=3), st.lists(DAMAGE, max_size=1))
    @settings(max_examples=120)
    def poll(changes, damages):
        for model in (SignalRecord, PredictionRecord, SourceHealth):
            model.objects.all().delete()
        flow_link._breaker.cache_clear()
        desk.say(damaged(json.dumps(bent(told, changes)).encode(), damages))
        tasks.poll_ticker("AAPL")
        health = SourceHealth.objects.get(ticker="AAPL")
        kept = PredictionRecord.objects.first()
        assert (kept is not None) != (health.errors_in_row > 0), "either stored, with its verdict, or counted as a failure"
        verdicts.add(kept.verdict if kept else "refused")
        assert_nothing_impossible_is_stored()

    poll()
    assert not [record for record in caplog.records if record.exc_info], "every answer was judged, none met by accident"
    assert {"signal", "invalid", "refused"} <= verdicts


def fills_a_gap(ticker):
    SourceHealth.objects.update_or_create(ticker=ticker, defaults={"gap_since": 0})
    return tasks.fill_gaps() > 0


@pytest.mark.django_db
def test_bent_context_history_status_and_tickers_store_nothing_impossible(desk, documents):
    stored = set()

    @given(st.sampled_from(["trades", "divergence", "minute-data", "predictions", "status", "tickers"]), st.lists(CHANGE, max_size=3))
    @settings(max_examples=120)
    def fetch(path, changes):
        flow_link._breaker.cache_clear()
        desk.say(json.dumps(bent(documents[path], changes)).encode())
        if path == "status":
            tasks.poll_status()
        elif path == "tickers":
            tasks.refresh_tickers()
        elif path == "predictions":
            stored.add(("predictions", fills_a_gap("AAPL")))
        else:
            kind = {"trades": "trade", "minute-data": "minute"}.get(path, path)
            stored.add((path, flow_points.refresh("AAPL").get(kind, 0) > 0))

    fetch()
    assert_nothing_impossible_is_stored()
    assert FlowPoint.objects.exists()
    assert {name for name, some in stored if some} == {"trades", "divergence", "minute-data", "predictions"}


@pytest.mark.django_db
def test_a_list_of_tickers_longer_than_a_database_takes_is_no_error(desk):
    SourceHealth.objects.create(ticker="AAPL", detail={"dropped": True})
    many = [f"T{n}" for n in range(300_000)] + ["AAPL"]
    desk.say(json.dumps({"status": "success", "data": {"tickers": many}}).encode())
    assert tasks.refresh_tickers() == len(many)
    assert SourceHealth.objects.get(ticker="AAPL").detail["dropped"] is False


@pytest.mark.django_db
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "1999-12-31T23:59:59", "2100-01-02T00:00:00"])
@pytest.mark.parametrize("field", ["datetime", "datetime_of_data", "prediction_time"])
def test_a_time_outside_this_century_makes_a_prediction_invalid_with_the_name_of_the_field(desk, documents, field, moment):
    told = json.loads(json.dumps(documents["prediction/latest"]))
    told["data"]["prediction"] |= {"datetime": "2000-01-01T00:00:00", field: moment}
    desk.say(json.dumps(told).encode())
    assert tasks.poll_ticker("AAPL") == "invalid"
    assert PredictionRecord.objects.get().reason == f"{field} is not between 2000 and 2100"
