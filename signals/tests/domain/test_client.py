"""The client against the real demo server: what is sent, what each refusal becomes, and when it asks again."""

import asyncio
import logging
from datetime import date

import pytest

from signals.demo.faults import Fault
from signals.demo.provider import Provider
from signals.demo.server import DemoServer
from signals.domain.circuit import CircuitBreaker
from signals.domain.client import OptionsFlowClient, backoff
from signals.domain.flow_address import check_resolved, normal_base_url
from signals.domain.flow_answer import seconds_to_wait, spent_for, strict_json
from signals.domain.flow_errors import (
    FlowBadAnswer,
    FlowBadRequest,
    FlowCircuitOpen,
    FlowConfigError,
    FlowNotFound,
    FlowNotImplemented,
    FlowRateLimited,
    FlowServerError,
    FlowTooLarge,
    FlowUnauthorized,
    FlowUnreachable,
)
from signals.domain.limiter import CallClass, LocalLimiter
from signals.tests.conftest import KEY
from tradingsite.testing.patience import PATIENCE


async def latest(client):
    async with client:
        return await client.prediction.get_latest_prediction_async("AAPL")


def asked(demo):
    return [seen.path for seen in demo.provider.seen]


async def test_all_eight_calls_give_the_unwrapped_data(make_client):
    async with make_client() as client:
        assert (await client.status.get_status_async())["system"]["status"] == "running"
        assert "AAPL" in (await client.tickers.get_tickers_async())["tickers"]
        assert set(await client.prediction.get_latest_prediction_async("AAPL")) == {"ticker", "prediction", "model_info"}
        assert (await client.prediction.get_predictions_async("AAPL", limit=3))["count"] == 3
        trades = (await client.trades.get_trades_async("AAPL", limit=5, recent=True))["trades"]
        assert len({trade["id"] for trade in trades}) == 5
        bars = (await client.minute_data.get_minute_data_async("AAPL", limit=4, recent=True))["minute_data"]
        assert all(bar["low"] <= bar["close"] <= bar["high"] for bar in bars)
        points = (await client.divergence.get_divergence_async("AAPL", limit=4))["divergence_data"]
        assert all(p["d_diff_short"] == pytest.approx(p["d_pos_short"] + p["d_neg_short"]) for p in points)
        day = date(2026, 6, 3)
        ranged = await client.data_range.get_data_range_async("AAPL", day, day, min_size=10)
        assert ranged["data_info"]["divergence_points"] == len(ranged["divergence_data"]) == 390
        assert ranged["parameters"]["filters"] == {"min_size": 10}


async def test_the_key_travels_in_the_header_and_never_in_the_query(demo, make_client):
    await latest(make_client())
    [seen] = demo.provider.seen
    assert seen.key_in_header
    assert seen.query == {"ticker": "AAPL", "use_default_only": "false"}


@pytest.mark.parametrize("tail", ["", "/", "//"])
async def test_the_base_url_may_end_in_a_slash(demo, make_client, tail):
    await latest(make_client(url=demo.base_url + tail))
    assert asked(demo) == ["/api/v1/prediction/latest"]


async def test_zero_is_sent_and_none_is_not(demo, make_client):
    async with make_client() as client:
        assert (await client.prediction.get_predictions_async("AAPL", limit=0))["predictions"] == []
        await client.divergence.get_divergence_async("AAPL", days=0, limit=1)
    queries = [seen.query for seen in demo.provider.seen]
    assert queries[0] == {"ticker": "AAPL", "limit": "0", "use_default_only": "false"}
    assert queries[1] == {"ticker": "AAPL", "days": "0", "limit": "1"}


@pytest.mark.parametrize("ticker", ["", "A" * 22, "<b>", "AAPL&x=1", "ÄÄ"])
async def test_what_is_no_ticker_is_never_sent(demo, make_client, ticker):
    async with make_client() as client:
        with pytest.raises(FlowBadRequest):
            await client.prediction.get_latest_prediction_async(ticker)
    assert asked(demo) == []


@pytest.mark.parametrize(
    ("fault", "value", "error", "requests"),
    [
        (Fault.WRONG_KEY, True, FlowUnauthorized, 1),
        (Fault.UNKNOWN_TICKER, True, FlowNotFound, 1),
        (Fault.NOT_IMPLEMENTED, "prediction/latest", FlowNotImplemented, 1),
        (Fault.RATE_LIMITED, 45, FlowRateLimited, 1),
        (Fault.NOT_JSON, True, FlowBadAnswer, 1),
        (Fault.REDIRECT, "http://127.0.0.1:9/elsewhere", FlowBadAnswer, 1),
        (Fault.HUGE, 6 * 1024 * 1024, FlowTooLarge, 1),
        (Fault.SERVER_ERROR, True, FlowServerError, 3),
        (Fault.ERROR_BODY, 500, FlowServerError, 3),
        (Fault.ERROR_BODY, 404, FlowNotFound, 1),
        (Fault.ERROR_BODY, 400, FlowBadRequest, 1),
        (Fault.RAW, '{"status":"success"}', FlowBadAnswer, 1),
        (Fault.RAW, '{"status":"success","data":[]}', FlowBadAnswer, 1),
        (Fault.RAW, '{"status":"success","data":{"x":NaN}}', FlowBadAnswer, 1),
        (Fault.RAW, '{"status":"success","data":{"x":1,"x":2}}', FlowBadAnswer, 1),
        (Fault.RAW, '{"status":"success","data":{"x":' + "[" * 30 + "]" * 30 + "}}", FlowBadAnswer, 1),
        (Fault.RAW, "[" * 100_000, FlowBadAnswer, 1),
        (Fault.RAW, "", FlowBadAnswer, 1),
        (Fault.RAW, "null", FlowBadAnswer, 1),
    ],
)
async def test_each_failure_has_its_error_and_only_what_may_pass_is_asked_again(demo, make_client, fault, value, error, requests):
    demo.provider.faults.set(fault, value)
    with pytest.raises(error):
        await latest(make_client())
    assert len(asked(demo)) == requests


async def test_a_missing_parameter_keeps_the_servers_own_words(make_client):
    async with make_client() as client:
        with pytest.raises(FlowBadRequest) as refused:
            await client.get("prediction/latest", {}, CallClass.STANDARD)
    assert "Missing required parameter: ticker" in refused.value.server_text
    assert refused.value.code == 400


async def test_a_burst_of_errors_that_passes_is_survived_with_growing_pauses(demo, make_client):
    demo.provider.faults.set(Fault.SERVER_ERROR, count=2)
    client = make_client()
    assert await latest(client)
    first, second = client.slept
    assert 0.5 <= first <= 1
    assert 1 <= second <= 2


def test_back_off_doubles_to_a_minute_and_is_spread():
    assert [backoff(n, jitter=lambda: 1.0) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(3, jitter=lambda: 0.0) == 4


async def test_nothing_is_asked_before_the_reset_ends(demo, make_client, clock):
    demo.provider.faults.set(Fault.RATE_LIMITED, 45, count=1)
    limiter = LocalLimiter(clock=clock.monotonic)

    async def sleep(seconds):
        clock.advance(seconds)

    async with make_client(limiter=limiter, sleep=sleep) as client:
        began = clock.now()
        with pytest.raises(FlowRateLimited) as refused:
            await client.prediction.get_latest_prediction_async("AAPL")
        assert refused.value.retry_after == 45
        assert client.rate_limited == 1
        await client.prediction.get_latest_prediction_async("MSFT")
    assert demo.provider.seen[-1].at - began.timestamp() >= 45


async def test_retry_after_wins_over_the_reset(demo, make_client):
    demo.provider.faults.set(Fault.RETRY_AFTER, 7)
    with pytest.raises(FlowRateLimited) as refused:
        await latest(make_client())
    assert refused.value.retry_after == 7


def test_a_large_reset_is_an_epoch_and_rubbish_is_nothing():
    assert seconds_to_wait({"x-ratelimit-reset": "45"}) == 45
    assert seconds_to_wait({"x-ratelimit-reset": "1780587030"}, now=lambda: 1_780_587_000.0) == 30
    assert seconds_to_wait({"retry-after": "3", "x-ratelimit-reset": "45"}) == 3
    for rubbish in ("", "soon", "-5", "nan", "inf"):
        assert seconds_to_wait({"x-ratelimit-reset": rubbish}) is None
    assert seconds_to_wait({"retry-after": "999999"}) == 900


def test_an_answer_that_says_none_remain_pauses_too():
    assert spent_for({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "20"}) == 20
    assert spent_for({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "20"}) is None


async def test_five_failures_in_a_row_open_the_breaker_and_nothing_more_is_sent(demo, make_client):
    demo.provider.faults.set(Fault.SERVER_ERROR)
    async with make_client(retries=0, breaker=CircuitBreaker()) as client:
        for _ in range(5):
            with pytest.raises(FlowServerError):
                await client.prediction.get_latest_prediction_async("AAPL")
        with pytest.raises(FlowCircuitOpen):
            await client.prediction.get_latest_prediction_async("AAPL")
    assert len(asked(demo)) == 5


async def test_a_refused_connection_is_unreachable(make_client):
    with pytest.raises(FlowUnreachable):
        await latest(make_client(url="http://127.0.0.1:9/api/v1"))


async def test_a_server_that_does_not_answer_is_given_up(demo, make_client):
    demo.provider.faults.set(Fault.LATENCY, 10 * PATIENCE)
    client = make_client(retries=0, read_seconds=0.2, connect_seconds=0.2)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(FlowUnreachable):
            await latest(client)


async def test_the_key_shows_up_nowhere(demo, make_client, caplog):
    caplog.set_level(logging.DEBUG)
    demo.provider.faults.set(Fault.NOT_JSON)  # this page echoes the key
    client = make_client()
    with pytest.raises(FlowBadAnswer) as refused:
        await latest(client)
    assert "***" in str(refused.value)
    for text in (repr(client), str(refused.value), caplog.text):
        assert KEY not in text


async def test_redirects_are_not_followed(demo, make_client):
    elsewhere = DemoServer(Provider(demo.provider.world, KEY))
    elsewhere.start()
    demo.provider.faults.set(Fault.REDIRECT, f"{elsewhere.base_url}/status")
    with pytest.raises(FlowBadAnswer):
        await latest(make_client())
    assert not elsewhere.provider.seen
    elsewhere.stop()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ftp://host/api",
        "file:///etc/passwd",
        "http://example.com/api/v1",
        "https://user:pw@example.com/api/v1",
        "https://example.com/api/v1?api_key=x",
        "https://example.com/#x",
        "http://169.254.169.254/latest",
    ],
)
def test_an_address_that_could_leak_the_key_is_refused(url):
    with pytest.raises(FlowConfigError):
        normal_base_url(url)


@pytest.mark.parametrize("url", ["https://10.0.0.8/api/v1", "https://169.254.169.254/", "https://[fe80::1]/", "https://192.168.1.1/"])
async def test_an_address_inside_a_network_is_refused_unless_declared(url):
    with pytest.raises(FlowConfigError):
        await check_resolved(url)


async def test_a_declared_private_network_is_allowed_but_never_the_metadata_service():
    await check_resolved("http://10.0.0.8/api/v1", private_network=True)
    assert normal_base_url("http://flowapi:4010/api/v1/", private_network=True) == "http://flowapi:4010/api/v1"
    with pytest.raises(FlowConfigError):
        await check_resolved("http://169.254.169.254/", private_network=True)


@pytest.mark.parametrize("key", ["", "a\nb", "schlüssel", "x" * 501])
def test_a_key_that_no_header_can_carry_is_refused(key):
    with pytest.raises(FlowConfigError):
        OptionsFlowClient("http://127.0.0.1/api/v1", key)


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"1e999", b'{"a":Infinity}', b'{"a":1,"a":1}', b""])
def test_json_that_is_not_strictly_json_is_refused(text):
    with pytest.raises(ValueError):
        strict_json(text)
