"""Stores a replayed history: the journal and its rows by the worker's own projection, signals, and the brokerage's book.

All of it or nothing: the book is put in place first, under a mark that says it is unfinished, then one database commit.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from events.clock import utc_now
from events.encoding import to_row
from events.journal import insert_rows
from positions.gateway.market_calendar import ExchangeCalendar, date_of, day_of, day_start
from positions.models import EquityPoint, OrderRecord
from positions.store import project
from signals.demo.history import DECIDED_BY, STRATEGY, THRESHOLD, Decided, History, Replay, Session
from signals.models import PredictionRecord, SignalRecord, WatchListEntry

BOOK, UNFINISHED = "gateway.sqlite3", "demo_history.unfinished"
MINUTES_FOR, HOURS_FOR = timedelta(days=4), timedelta(days=16)  # older points are one an hour, one a day
CHUNK = 2_000


class NotEmpty(RuntimeError):
    """There is something already that a made-up history must not mix with."""


def make_history(
    *, seed: int, state_dir: Path, days: int, client_id: int, now: datetime | None = None, say: Callable[[str], None]
) -> History:
    """Replay the sessions of the last `days` days up to yesterday and store them. Raises NotEmpty."""
    now = now or utc_now()
    _refuse_to_mix(state_dir)
    sessions = past_sessions(now, days)
    if not sessions:
        return History()
    watched = dict(WatchListEntry.objects.filter(enabled=True).values_list("symbol", "allow_short")) or {"SPY": True}
    draft = state_dir / "history.draft"
    shutil.rmtree(draft, ignore_errors=True)
    begins = float(sessions[0].opens - 3600)
    replay = Replay(seed=seed, state_dir=draft, begins=begins, client_id=client_id, watched=watched)
    say(f"replaying {len(sessions)} trading days")
    history = asyncio.run(replay.run(sessions, until=now.timestamp()))
    say(f"storing {history.positions} positions")
    _put_book_in_place(draft, state_dir)
    with transaction.atomic():
        _store_signals(history.decided)
        _store_events(history)
        _name_resolutions(now)
    (state_dir / UNFINISHED).unlink()
    return history


def past_sessions(now: datetime, days: int) -> list[Session]:
    """The exchange's sessions of so many calendar days that ended before this UTC day and this exchange day began."""
    calendar, sessions = ExchangeCalendar(), []
    today = day_of(now.timestamp())
    for number in range(max(0, today - days), today):
        trading = calendar.trading(number)
        if trading is None:
            continue
        opens, closes = day_start(number) + trading[0], day_start(number) + trading[1]
        if closes < datetime.combine(now.astimezone(UTC).date(), datetime.min.time(), UTC).timestamp():
            sessions.append(Session(opens=opens, closes=closes, noted=_noted(opens, closes, date_of(number), now)))
    return sessions


def _noted(opens: int, closes: int, day: date, now: datetime) -> frozenset[int]:
    """When the account's worth is noted: each minute lately, each hour before, at the close long ago."""
    age = now.date() - day
    if age <= MINUTES_FOR:
        return frozenset(range(opens, closes + 1, 60))
    if age <= HOURS_FOR:
        return frozenset({*range(opens, closes, 3600), closes})
    return frozenset({closes})


def _refuse_to_mix(state_dir: Path) -> None:
    if OrderRecord.objects.exists() or EquityPoint.objects.exists() or SignalRecord.objects.exists():
        raise NotEmpty("the database holds orders, signals or equity points already")
    if (state_dir / BOOK).exists() and not (state_dir / UNFINISHED).exists():
        raise NotEmpty(f"the simulated gateway in {state_dir} has a book already")


def _put_book_in_place(draft: Path, state_dir: Path) -> None:
    (state_dir / UNFINISHED).touch()
    for leftover in state_dir.glob(f"{BOOK}*"):
        leftover.unlink()
    (draft / BOOK).replace(state_dir / BOOK)
    shutil.rmtree(draft)


def _store_events(history: History) -> None:
    """As the journal does: rows of events, and what follows from them, in order."""
    for start in range(0, len(history.events), CHUNK):
        batch = history.events[start : start + CHUNK]
        seqs = insert_rows([to_row(event) for event in batch], epoch=0)
        project(list(zip(batch, seqs, strict=True)), 0)


def _store_signals(decided: list[Decided]) -> None:
    predictions = [PredictionRecord(**_prediction(one)) for one in decided]
    PredictionRecord.objects.bulk_create(predictions, batch_size=200)
    stored = {record.signal_id: record for record in PredictionRecord.objects.filter(source=STRATEGY)}
    SignalRecord.objects.bulk_create([SignalRecord(prediction=stored[one.signal_id], **_signal(one)) for one in decided], batch_size=200)


def _prediction(one: Decided) -> dict[str, Any]:
    said = one.prediction
    data_time = datetime.fromtimestamp(said["timestamp"] / 1000, UTC)
    return {
        "source": STRATEGY,
        "ticker": one.symbol,
        "timestamp": said["timestamp"],
        "model_path": one.model,
        "word": said["signal"],
        "numeric": one.direction,
        "confidence": said["confidence"],
        "probabilities": dict(zip(("sell", "neutral", "buy"), said["probabilities"], strict=True)),
        "feature_values": said["feature_values"],
        "stock_price": said["stock_price"],
        "data_time": data_time,
        "prediction_time": data_time + timedelta(seconds=5),
        "received_at": one.created_at,
        "verdict": PredictionRecord.Verdict.SIGNAL,
        "signal_id": one.signal_id,
    }


def _signal(one: Decided) -> dict[str, Any]:
    return {
        "signal_id": one.signal_id,
        "symbol": one.symbol,
        "direction": one.direction,
        "action": one.action,
        "confidence": one.prediction["confidence"],
        "threshold": THRESHOLD,
        "model": one.model,
        "state": one.state,
        "reason": one.reason,
        "version": 2,
        "price": one.prediction["stock_price"],
        "data_time": datetime.fromtimestamp(one.prediction["timestamp"] / 1000, UTC),
        "created_at": one.created_at,
        "expires_at": one.created_at + timedelta(seconds=120),
        "decided_by": DECIDED_BY if one.decided_at else "",
        "decided_at": one.decided_at,
        "decision": one.decision,
    }


def _name_resolutions(now: datetime) -> None:
    """The projection calls every point a tick; say what each really is."""
    for resolution, age in (("minute", timedelta(0)), ("hour", MINUTES_FOR + timedelta(days=1)), ("day", HOURS_FOR + timedelta(days=1))):
        EquityPoint.objects.filter(at__lt=now - age).update(resolution=resolution)
