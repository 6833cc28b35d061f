"""Predictions missed while we or the provider were away: fetched from /predictions, stored, never traded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from events.clock import utc_now
from events.exchange_time import exchange_date
from signals import flow_link, store
from signals.domain.flow_errors import FlowBudgetSpent, FlowError
from signals.domain.judgement import Judgement, Reason, Verdict
from signals.domain.predictions import BadPrediction, Prediction, parse_prediction
from signals.models import SignalSettings, WatchListEntry

log = logging.getLogger(__name__)

LIMIT = 500  # rows of one answer
MOST = 5_000  # rows of one day's answer, should a day have more than LIMIT
ONE_DAY = timedelta(days=1)
LONGEST = timedelta(days=31)  # older gaps stay gaps
AskWindow = Callable[[date, date, int], dict[str, Any]]  # first and last day (Eastern), most rows → the answer's data


def run(ticker: str, since_ms: int, *, step: Callable[[], None] = lambda: None) -> int:
    """Fetch and store what is newer than `since_ms`; returns how many predictions were new. Calls `step` after each answer.
    Raises FlowBudgetSpent when our own budget ran out before the end; what was stored until then stays."""
    today = exchange_date(utc_now())
    first = max(exchange_date(datetime.fromtimestamp(since_ms / 1000, UTC)), today - LONGEST)
    new = 0
    try:
        for answer in collect(partial(_ask, ticker), first, today):
            new += _store(ticker, answer, since_ms)
            step()
    except FlowBudgetSpent:
        raise
    except FlowError as error:
        log.warning("no back-fill of %s: %s", ticker, error)
    return new


def collect(ask: AskWindow, first: date, last: date) -> Iterator[dict[str, Any]]:
    """The answers that hold every prediction of the days from `first` to `last`. An answer as long as its limit may have been
    cut: its days are halved, and a single day is asked for again with a higher limit."""
    windows = [(first, last, LIMIT)]
    while windows:
        start, end, limit = windows.pop()
        answer = ask(start, end, limit)
        rows = answer.get("predictions")
        if not isinstance(rows, list) or len(rows) < limit:
            yield answer
        elif start < end:
            middle = start + (end - start) // 2
            windows += [(middle + ONE_DAY, end, limit), (start, middle, limit)]
        elif limit < MOST:
            windows.append((start, end, MOST))
        else:
            log.warning("the predictions of %s may be incomplete: %d rows for one day", start, len(rows))
            yield answer


def _ask(ticker: str, first: date, last: date, limit: int) -> dict[str, Any]:
    return flow_link.ask(
        lambda client: client.prediction.get_predictions_async(ticker, limit=limit, start_date=first, end_date=last), flow_link.HISTORY
    )


def _store(ticker: str, answer: dict[str, Any], since_ms: int) -> int:
    entry = WatchListEntry.objects.filter(symbol=ticker).first()
    settings = SignalSettings.current()
    now = utc_now()
    new = 0
    for prediction in read_history(ticker, answer):
        if prediction.timestamp <= since_ms:
            continue
        judgement = Judgement(
            prediction=prediction,
            verdict=Verdict.INVALID if prediction.invalid else Verdict.FILTERED,
            reason=Reason.BACKFILLED,
            detail=prediction.invalid,
            threshold=store.rules_for(entry, settings).threshold,
        )
        new += store.record(judgement, entry=entry, settings=settings, now=now, revise=False).new
    return new


def read_history(ticker: str, data: dict[str, Any]) -> list[Prediction]:
    """The predictions of a /predictions answer, oldest first; what cannot be identified is left out and counted in the log."""
    rows = data.get("predictions")
    if not isinstance(rows, list):
        return []
    found, bad = [], 0
    for row in rows:
        try:
            found.append(parse_prediction(ticker, row, data.get("model_info")))
        except BadPrediction:
            bad += 1
    if bad:
        log.warning("%d of %d predictions of %s could not be read", bad, len(rows), ticker)
    return sorted(found, key=lambda prediction: prediction.timestamp)
