"""The demo provider's data: the same for the same seed, in step with the market, modestly right, and alive."""

import json
from datetime import date

import pytest

from positions.gateway.market import Market, market_time
from signals.demo.faults import Fault
from signals.demo.provider import Provider
from signals.demo.world import TICKERS, World, black_scholes, next_friday
from signals.domain.predictions import parse_prediction
from signals.tests.conftest import KEY

MINUTE = 29_676_450  # 2026-06-04 15:30 UTC
WATCHED = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "META", "SPY", "QQQ")


def actionable(world, ticker, minute):
    direction, confidence = world._view(ticker, minute, False)
    return direction if confidence >= 0.75 else 0


def test_the_same_seed_says_the_same(world):
    again = World(7, market=Market(7))
    for ticker in TICKERS:
        assert again.prediction(ticker, MINUTE) == world.prediction(ticker, MINUTE)
        assert again.trades(ticker, MINUTE) == world.trades(ticker, MINUTE)
        assert again.divergence_point(ticker, MINUTE) == world.divergence_point(ticker, MINUTE)
    assert World(8).prediction("AAPL", MINUTE) != world.prediction("AAPL", MINUTE)


def test_prices_are_those_of_the_market_of_that_seed(world):
    assert world.prediction("TSLA", MINUTE)["stock_price"] == world.market.quote("TSLA", MINUTE * 60).last
    fast = World(7, speed=60, market=world.market)
    assert fast.prediction("TSLA", MINUTE)["stock_price"] == world.market.last("TSLA", market_time(MINUTE * 60, 60))


def test_every_prediction_keeps_the_contract(world):
    for ticker in TICKERS:
        for minute in range(MINUTE, MINUTE + 30):
            said = parse_prediction(ticker, world.prediction(ticker, minute), world.model_info(ticker))
            assert (said.invalid, said.warnings) == ("", ())
            assert said.confidence == pytest.approx(max(said.probabilities.values()), abs=0.01)


def test_neutral_is_common_and_confident(world):
    views = [world._view(ticker, minute, False) for ticker in WATCHED for minute in range(MINUTE, MINUTE + 600)]
    neutral = [confidence for direction, confidence in views if direction == 0]
    assert 0.4 < len(neutral) / len(views) < 0.7
    assert 0.90 < sum(neutral) / len(neutral) < 0.94


def test_its_predictions_are_right_a_little_more_often_than_not(world):
    """Each spell once: the edge is real, and modest enough to look like life."""
    right = total = 0
    for ticker in WATCHED:
        for minute in range(MINUTE, MINUTE + 6_000, 4):
            if direction := world._view(ticker, minute, False)[0]:
                right += (world.market.drift(ticker, minute * 60, 45 * 60) > 0) == (direction > 0)
                total += 1
    assert total > 4_000
    assert 0.52 < right / total < 0.62


def test_a_new_signal_comes_every_minute_or_two_and_one_is_there_at_the_start(world):
    changes, quiet = 0, 0
    for minute in range(MINUTE, MINUTE + 1_000):
        now = {ticker: actionable(world, ticker, minute) for ticker in WATCHED}
        before = {ticker: actionable(world, ticker, minute - 1) for ticker in WATCHED}
        changes += sum(now[ticker] != 0 and now[ticker] != before[ticker] for ticker in WATCHED)
        quiet += not any(now.values())
    assert 400 < changes < 1_200
    assert quiet < 60


def test_option_prints_look_like_option_prints(world):
    for minute in range(MINUTE, MINUTE + 20):
        for trade in world.trades("AAPL", minute):
            assert trade["bid"] <= trade["price"] <= trade["ask"]
            assert trade["trade_value"] == pytest.approx(trade["price"] * trade["size"] * 100)
            assert 0 <= trade["price_threshold"] <= 1
            assert -1 <= trade["delta"] <= 1
            assert minute * 60_000 <= trade["trade_timestamp"] < (minute + 1) * 60_000
    assert next_friday(date(2026, 6, 4), weeks=0) == date(2026, 6, 5)
    value, delta = black_scholes(100, 100, 1, call=True)
    put, put_delta = black_scholes(100, 100, 1, call=False)
    assert value == pytest.approx(put)
    assert delta - put_delta == pytest.approx(1)


@pytest.fixture
def provider(world):
    return Provider(world, KEY, clock=lambda: MINUTE * 60 + 30.0)


@pytest.mark.parametrize(
    ("call", "name", "options"),
    [
        ("trades", "trades", {"recent": "true"}),
        ("minute-data", "minute_data", {"recent": "true"}),
        ("predictions", "predictions", {}),
        ("divergence", "divergence_data", {}),
    ],
)
def test_nothing_is_told_before_it_happened(provider, call, name, options):
    answer = provider.answer(f"/api/v1/{call}", {"ticker": "AAPL", "limit": "5000"} | options, KEY)
    rows = json.loads(answer.body)["data"][name]
    assert max(row.get("trade_timestamp") or row["timestamp"] for row in rows) <= provider.now() * 1000


def test_the_thirty_first_call_of_a_minute_is_refused_with_the_seconds_to_wait(provider):
    answers = [provider.answer("/api/v1/status", {}, KEY) for _ in range(31)]
    assert [answer.status for answer in answers] == [200] * 30 + [429]
    assert answers[-1].headers["X-RateLimit-Reset"] == "60"
    assert answers[0].headers["X-RateLimit-Remaining"] == "29"


@pytest.mark.parametrize(
    ("path", "query", "key", "status"),
    [
        ("/api/v1/status", {}, "wrong", 401),
        ("/api/v1/status", {}, "", 401),
        ("/api/v1/status", {}, "schlüssel", 401),
        ("/api/v1/nothing", {}, KEY, 404),
        ("/api/v1/api/v1/status", {}, KEY, 404),
        ("/etc/passwd", {}, KEY, 404),
        ("/api/v1/prediction/latest", {}, KEY, 400),
        ("/api/v1/prediction/latest", {"ticker": "ZZUNKNOWN"}, KEY, 404),
        ("/api/v1/prediction/latest", {"ticker": "<b>"}, KEY, 404),
        ("/api/v1/predictions", {"ticker": "AAPL", "limit": "many"}, KEY, 400),
        ("/api/v1/predictions", {"ticker": "AAPL", "start_date": "June"}, KEY, 400),
        ("/api/v1/trades", {"ticker": "AAPL", "start_time": "noon"}, KEY, 400),
        ("/api/v1/data-range", {"ticker": "AAPL"}, KEY, 400),
        ("/api/v1/data-range", {"ticker": "AAPL", "start_date": "2026-06-01", "end_date": "2026-06-01", "min_size": "x"}, KEY, 400),
    ],
)
def test_a_wrong_request_is_refused_in_the_documented_way(provider, path, query, key, status):
    answer = provider.answer(path, query, key)
    assert answer.status == status
    assert b'"status": "error"' in answer.body


def test_a_fault_can_be_for_one_ticker_and_for_a_while(provider):
    provider.faults.set(Fault.SERVER_ERROR, tickers=("TSLA",), count=2)
    ask = lambda ticker: provider.answer("/api/v1/prediction/latest", {"ticker": ticker}, KEY).status  # noqa: E731
    assert [ask("AAPL"), ask("TSLA"), ask("TSLA"), ask("TSLA")] == [200, 500, 500, 200]


def test_a_list_cut_short_is_as_long_as_its_limit(provider):

    provider.faults.set(Fault.TRUNCATED, 7)
    data = json.loads(provider.answer("/api/v1/predictions", {"ticker": "AAPL", "limit": "100"}, KEY).body)["data"]
    assert data["count"] == len(data["predictions"]) == 7
