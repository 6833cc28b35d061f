"""Predictions missed while we or the provider were away: fetched from /predictions, stored, never traded."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from events.clock import utc_now
from signals import flow_link, store
from signals.domain.client import OptionsFlowClient
from signals.domain.flow_errors import FlowError
from signals.domain.judgement import Judgement, Reason, Verdict
from signals.domain.predictions import BadPrediction, Prediction, parse_prediction
from signals.models import SignalSettings, WatchListEntry

log = logging.getLogger(__name__)

LIMIT = 500
_EASTERN = ZoneInfo("America/New_York")


def run(ticker: str, since_ms: int) -> int:
    """Fetch and store what is newer than `since_ms`; returns how many predictions were new."""
    try:
        answer = flow_link.ask(lambda client: _fetch(client, ticker, since_ms))
    except FlowError as error:
        log.warning("no back-fill of %s: %s", ticker, error)
        return 0
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


async def _fetch(client: OptionsFlowClient, ticker: str, since_ms: int) -> dict[str, Any]:
    since = datetime.fromtimestamp(since_ms / 1000, UTC).astimezone(_EASTERN).date()
    return await client.prediction.get_predictions_async(ticker, limit=LIMIT, start_date=since)


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
