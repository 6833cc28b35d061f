"""What a prediction is worth: a signal, or the reason why not. Pure, and the only place where that is decided.

The order of the checks is part of the rule: a NEUTRAL at 93 % is neutral, not confident. A run is a ticker's unbroken series
of actionable predictions in one direction: its first is a new signal, the others refresh it, and it ends with a neutral
or weak prediction, a change of direction, or a silence longer than the signal lives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from events.wording import age_words
from signals.domain.predictions import Prediction

FUTURE_TOLERANCE = timedelta(seconds=5)


class Verdict(StrEnum):
    SIGNAL = "signal"
    REFRESH = "refresh"
    FILTERED = "filtered"
    INVALID = "invalid"


class Reason(StrEnum):
    """Why a prediction is not a new signal; the words are shown to people and stored."""

    NONE = ""
    NEUTRAL = "neutral"
    WEAK = "confidence below the threshold"
    STALE = "stale"
    FUTURE = "from the future: check the clocks"
    OLD = "older than the newest one known"
    RUNNING = "same direction as the running signal"
    REVISED = "the same prediction with other values"
    BACKFILLED = "fetched after a gap, not traded"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of one ticker. `run_gap` is how long a silence ends a run."""

    threshold: float = 0.75
    max_age: timedelta = timedelta(seconds=180)
    run_gap: timedelta = timedelta(seconds=180)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where a ticker stands. `newest` is the newest timestamp seen (ms); direction 0 = armed for either."""

    direction: int = 0
    newest: int = 0
    last_at: datetime | None = None  # when the run was last confirmed
    signal_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict on one prediction. `threshold` is the one it was held against; `detail` adds numbers to the reason."""

    prediction: Prediction
    verdict: Verdict
    reason: Reason = Reason.NONE
    detail: str = ""
    threshold: float
    signal_id: str = ""

    @property
    def why(self) -> str:
        return self.detail or self.reason.value


def judge(prediction: Prediction, rules: Rules, run: Run, *, now: datetime, new_id: str) -> tuple[Judgement, Run]:
    """The verdict, and where the ticker stands after it. `new_id` becomes the signal's id if there is a new one."""
    blank = Judgement(prediction=prediction, verdict=Verdict.FILTERED, threshold=rules.threshold)
    if prediction.invalid:
        return replace(blank, verdict=Verdict.INVALID, reason=Reason.INVALID, detail=prediction.invalid), run
    if refused := _time_fault(prediction, rules, run, now):
        return replace(blank, reason=refused[0], detail=refused[1]), run
    run = replace(run, newest=prediction.timestamp)
    if not prediction.direction:
        return replace(blank, reason=Reason.NEUTRAL), replace(run, direction=0, signal_id="")
    if prediction.confidence < rules.threshold:
        detail = f"confidence {prediction.confidence:.1%} is below {rules.threshold:.1%}"
        return replace(blank, reason=Reason.WEAK, detail=detail), replace(run, direction=0, signal_id="")
    if _continues(prediction, rules, run, now):
        known = replace(blank, verdict=Verdict.REFRESH, reason=Reason.RUNNING, signal_id=run.signal_id)
        return known, replace(run, last_at=now)
    fresh = replace(blank, verdict=Verdict.SIGNAL, signal_id=new_id)
    return fresh, replace(run, direction=prediction.direction, last_at=now, signal_id=new_id)


def _time_fault(prediction: Prediction, rules: Rules, run: Run, now: datetime) -> tuple[Reason, str] | None:
    newest = max(prediction.data_time, prediction.at)
    if newest - now > FUTURE_TOLERANCE:
        return Reason.FUTURE, f"{age_words((newest - now).total_seconds())} from the future: check the clocks"
    age = now - min(prediction.data_time, prediction.at)
    if age > rules.max_age:
        return Reason.STALE, f"stale: its data is {age_words(age.total_seconds())} old"
    if prediction.timestamp < run.newest:
        return Reason.OLD, ""
    return None


def _continues(prediction: Prediction, rules: Rules, run: Run, now: datetime) -> bool:
    if run.direction != prediction.direction or run.last_at is None:
        return False
    return now - run.last_at <= rules.run_gap
