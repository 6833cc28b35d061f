"""What a prediction is worth: the order of the checks, and where a run begins and ends."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from signals.domain.flow_fields import from_milliseconds
from signals.domain.judgement import Reason, Rules, Run, Verdict, judge
from signals.domain.predictions import Prediction

AT = 1_780_587_000_000
RULES = Rules()


def said(word="BUY", confidence=0.85, minute=0, **changes):
    direction = {"BUY": 1, "SELL": -1, "NEUTRAL": 0}[word]
    at = AT + minute * 60_000
    fields = {"source": "api", "ticker": "AAPL", "timestamp": at, "word": word, "direction": direction, "numeric": direction}
    fields |= {"confidence": confidence, "stock_price": 200.0, "data_time": from_milliseconds(at)}
    return Prediction(**fields | changes)


def series(*predictions, delay=9, rules=RULES):
    """Judge one after the other, each `delay` seconds after its own time."""
    run, judgements = Run(), []
    for number, prediction in enumerate(predictions):
        now = prediction.at + timedelta(seconds=delay)
        judgement, run = judge(prediction, rules, run, now=now, new_id=f"s{number}")
        judgements.append(judgement)
    return judgements


def verdicts(*predictions, **options):
    return [judgement.verdict.value for judgement in series(*predictions, **options)]


def test_a_fresh_confident_direction_is_a_signal():
    [judgement] = series(said())
    assert (judgement.verdict, judgement.signal_id) == (Verdict.SIGNAL, "s0")


def test_a_confident_neutral_is_filtered_as_neutral():
    [judgement] = series(said("NEUTRAL", 0.93))
    assert (judgement.verdict, judgement.reason) == (Verdict.FILTERED, Reason.NEUTRAL)


def test_a_confidence_equal_to_the_threshold_counts():
    assert verdicts(said(confidence=0.75)) == ["signal"]
    [judgement] = series(said(confidence=0.7499999))
    assert (judgement.verdict, judgement.reason) == (Verdict.FILTERED, Reason.WEAK)


def test_direction_is_checked_before_confidence():
    [judgement] = series(said("NEUTRAL", 0.1))
    assert judgement.reason is Reason.NEUTRAL


def test_data_older_than_the_limit_is_stale():
    assert verdicts(said(), delay=180) == ["signal"]
    [judgement] = series(said(), delay=181)
    assert judgement.reason is Reason.STALE


def test_old_inputs_make_a_new_prediction_stale():
    [judgement] = series(said(data_time=from_milliseconds(AT) - timedelta(hours=1)))
    assert judgement.reason is Reason.STALE


def test_data_from_the_future_is_refused():
    assert verdicts(said(), delay=-5) == ["signal"]
    [judgement] = series(said(), delay=-6)
    assert judgement.reason is Reason.FUTURE


def test_an_invalid_prediction_says_why_and_changes_nothing():
    run = Run(direction=1, newest=AT, last_at=from_milliseconds(AT), signal_id="x")
    judgement, after = judge(said(invalid="broken"), RULES, run, now=from_milliseconds(AT), new_id="n")
    assert (judgement.verdict, judgement.why) == (Verdict.INVALID, "broken")
    assert after == run


def test_the_same_direction_again_refreshes_the_running_signal():
    first, second, third = series(said(), said(minute=1), said(minute=2, confidence=0.95))
    assert [j.verdict.value for j in (first, second, third)] == ["signal", "refresh", "refresh"]
    assert second.signal_id == third.signal_id == first.signal_id


def test_a_change_of_direction_is_a_new_signal():
    assert verdicts(said(), said("SELL", minute=1), said(minute=2)) == ["signal", "signal", "signal"]


def test_a_neutral_in_between_arms_again():
    assert verdicts(said(), said("NEUTRAL", 0.93, minute=1), said(minute=2)) == ["signal", "filtered", "signal"]


def test_crossing_the_threshold_upward_is_a_new_signal():
    assert verdicts(said(confidence=0.7), said(minute=1), said(confidence=0.7, minute=2), said(minute=3)) == [
        "filtered",
        "signal",
        "filtered",
        "signal",
    ]


def test_a_long_silence_ends_the_run():
    assert verdicts(said(), said(minute=3)) == ["signal", "refresh"]
    assert verdicts(said(), said(minute=4)) == ["signal", "signal"]


def test_an_older_prediction_after_a_newer_one_changes_nothing():
    judgements = series(said("NEUTRAL", 0.93, minute=2), said(minute=1))
    assert judgements[1].reason is Reason.OLD


def test_a_stale_one_neither_ends_nor_extends_a_run():
    stale = said("NEUTRAL", 0.93, minute=1, data_time=from_milliseconds(AT) - timedelta(hours=2))
    assert verdicts(said(), stale, said(minute=2)) == ["signal", "filtered", "refresh"]


_steps = st.lists(st.tuples(st.sampled_from(["BUY", "SELL", "NEUTRAL"]), st.floats(0, 1), st.integers(1, 6)), max_size=25)


@given(_steps)
def test_signals_are_exactly_where_a_plain_model_expects_them(steps):
    minute, predictions, expected, running = 0, [], [], None
    for word, confidence, later in steps:
        minute += later
        predictions.append(said(word, confidence, minute))
        actionable = word != "NEUTRAL" and confidence >= 0.75
        same_run = running is not None and running[0] == word and minute - running[1] <= 3
        expected.append("filtered" if not actionable else "refresh" if same_run else "signal")
        running = (word, minute) if actionable else None
    assert verdicts(*predictions) == expected
