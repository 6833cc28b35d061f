"""Reading one prediction: what is believed, what is corrected, what is refused."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.domain.predictions import BadPrediction, Prediction, parse_latest

AT = 1_780_587_000_000
ISO = "2026-06-04T15:30:00+00:00"


def answer(model_info=None, **changes):
    prediction = {
        "ticker": "AAPL",
        "signal": "BUY",
        "numeric": 1,
        "confidence": 0.85,
        "probabilities": [0.05, 0.10, 0.85],
        "timestamp": AT,
        "datetime": ISO,
        "datetime_of_data": ISO,
        "prediction_time": "2026-06-04T15:30:05+00:00",
        "stock_price": 201.5,
        "feature_values": {"d_diff_short": 0.04},
    } | changes
    prediction = {name: value for name, value in prediction.items() if value != "absent"}
    return {"ticker": "AAPL", "prediction": prediction, "model_info": model_info or {"model_path": "m/aapl.pt", "is_ticker_specific": True}}


def test_a_whole_prediction_is_read():
    said = parse_latest("AAPL", answer())
    assert (said.word, said.direction, said.numeric, said.confidence, said.stock_price) == ("BUY", 1, 1, 0.85, 201.5)
    assert said.probabilities == {"sell": 0.05, "neutral": 0.10, "buy": 0.85}
    assert said.key == ("api", "AAPL", AT, "m/aapl.pt", False)
    assert said.data_time == said.at == datetime(2026, 6, 4, 15, 30, tzinfo=UTC)
    assert said.invalid == ""
    assert said.warnings == ()


@pytest.mark.parametrize(
    ("word", "numeric", "direction"), [("BUY", 1, 1), ("sell", -1, -1), ("SHORT", -1, -1), ("NEUTRAL", 0, 0), ("HOLD", 0, 0)]
)
def test_each_known_word_has_its_direction(word, numeric, direction):
    said = parse_latest("AAPL", answer(signal=word, numeric=numeric))
    assert said.direction == direction
    assert said.invalid == ""


@pytest.mark.parametrize("word", ["", "STRONG_BUY", None, "BUY!"])
def test_an_unknown_word_is_invalid_not_an_error(word):
    assert "word" in parse_latest("AAPL", answer(signal=word)).invalid


@pytest.mark.parametrize(("word", "numeric"), [("BUY", -1), ("SELL", 1), ("NEUTRAL", 1), ("BUY", 0)])
def test_a_word_and_a_number_that_contradict_each_other_are_invalid(word, numeric):
    assert "contradict" in parse_latest("AAPL", answer(signal=word, numeric=numeric)).invalid


def test_probabilities_may_be_an_object_that_says_hold():
    said = parse_latest("AAPL", answer(probabilities={"buy": 0.85, "hold": 0.1, "sell": 0.05}))
    assert said.probabilities == {"sell": 0.05, "neutral": 0.1, "buy": 0.85}


@pytest.mark.parametrize("confidence", [None, "absent"])
def test_a_missing_confidence_counts_as_zero(confidence):
    said = parse_latest("AAPL", answer(confidence=confidence))
    assert said.confidence == 0
    assert said.invalid == ""
    assert said.warnings


@pytest.mark.parametrize(
    "fault",
    [
        {"confidence": math.nan},
        {"confidence": math.inf},
        {"confidence": 1.01},
        {"confidence": -0.1},
        {"confidence": "0.9"},
        {"confidence": True},
        {"confidence": 10**400},
        {"numeric": 2},
        {"numeric": 0.5},
        {"numeric": True},
        {"stock_price": -1},
        {"stock_price": math.nan},
        {"stock_price": 1e12},
        {"stock_price": 0},
        {"stock_price": None},
        {"stock_price": [1]},
        {"signal": 1},
        {"signal": "B" * 21},
        {"signal": "<b>BUY</b>"},
        {"signal": "BUY\x00"},
        {"probabilities": [0.1, 0.9]},
        {"probabilities": [0.1, 0.2, math.nan]},
        {"probabilities": [0.1, 0.2, 7]},
        {"probabilities": {"buy": 1}},
        {"probabilities": "high"},
        {"datetime": "yesterday"},
        {"datetime": 5},
        {"datetime_of_data": "2026-13-45T00:00:00Z"},
        {"prediction_time": "x" * 41},
        {"feature_values": [1, 2]},
        {"ticker": "MSFT"},
        {"ticker": 7},
    ],
    ids=str,
)
def test_a_broken_field_makes_the_prediction_invalid_and_says_why(fault):
    said = parse_latest("AAPL", answer(**fault))
    assert said.invalid
    assert said.key[:3] == ("api", "AAPL", AT)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"ticker": "AAPL"},
        {"prediction": None},
        {"prediction": []},
        {"prediction": "BUY"},
        [],
        None,
        answer(timestamp=None),
        answer(timestamp="absent"),
        answer(timestamp=1_780_587_000),  # seconds
        answer(timestamp=-5),
        answer(timestamp=math.nan),
        answer(timestamp=True),
        answer(timestamp=AT + 0.5),
        answer(model_info={"model_path": "x" * 201}),
        answer(model_info={"model_path": "<script>alert(1)</script>"}),
        answer(model_info={"model_path": ["m"]}),
        answer(model_info=[1]),
    ],
)
def test_what_cannot_be_identified_is_quarantined(data):
    with pytest.raises(BadPrediction):
        parse_latest("AAPL", data)


def test_the_ticker_beside_the_prediction_must_match_too():
    assert "another ticker" in parse_latest("AAPL", answer() | {"ticker": "TSLA"}).invalid


def test_bad_features_are_left_out_and_counted():
    said = parse_latest("AAPL", answer(feature_values={"good": 1.5, "bad": math.nan, "x" * 65: 1, "<i>": 2, "text": "no", "none": None}))
    assert said.feature_values == {"good": 1.5}
    assert any("5 feature values" in warning for warning in said.warnings)


def test_a_flood_of_features_is_cut():
    assert len(parse_latest("AAPL", answer(feature_values={f"f{n}": n for n in range(900)})).feature_values) == 200


def test_unknown_fields_are_ignored_with_a_warning():
    assert any("surprise" in warning for warning in parse_latest("AAPL", answer(surprise=1)).warnings)


def test_where_text_and_epoch_disagree_the_epoch_is_right():
    off = "2026-06-04T14:30:00+00:00"
    said = parse_latest("AAPL", answer(datetime=off, datetime_of_data=off))
    assert said.data_time == said.at
    assert any("differ by 1 hour" in warning for warning in said.warnings)


def test_eastern_text_labelled_as_utc_is_recognized():
    eastern = "2026-06-04T11:30:00+00:00"
    said = parse_latest("AAPL", answer(datetime=eastern, datetime_of_data=eastern))
    assert said.data_time == said.at
    assert any("Eastern" in warning for warning in said.warnings)


def test_old_data_under_a_new_timestamp_keeps_its_age():
    said = parse_latest("AAPL", answer(datetime_of_data="2026-06-04T15:10:00+00:00"))
    assert said.at - said.data_time == timedelta(minutes=20)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(answer()["prediction"])), _json, max_size=4), info=_json, outer=_json)
def test_no_payload_ever_breaks_the_parser(changes, info, outer):
    data = answer()
    data["prediction"] |= changes
    data |= {"model_info": info, "ticker": outer}
    try:
        said = parse_latest("AAPL", data)
    except BadPrediction:
        return
    assert isinstance(said, Prediction)
    assert 0 <= said.confidence <= 1
    assert said.data_time.tzinfo is UTC
    if not said.invalid:
        assert said.direction in (-1, 0, 1)
        assert said.direction == 0 or said.stock_price > 0
    json.dumps([said.feature_values, said.probabilities, said.warnings, said.invalid], allow_nan=False)
