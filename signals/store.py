"""What becomes of a judged prediction in the database: its record, its signal and its event, in one commit.

The database decides what is new: a prediction's identity is unique, and a symbol has at most one pending signal. A signal changes
state only by compare-and-set on (state, version). Rows go to the feed after the commit that made them true.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, Sum

from events import feed
from events.api import PredictionSignalEvent, SignalClosedEvent, SignalDecisionEvent, SignalReopenedEvent
from events.journal import record_event
from positions.accounts import traded_account
from positions.models import PositionRecord
from signals.domain.judgement import Judgement, Reason, Rules, Run, Verdict
from signals.domain.monitor import signal_event
from signals.domain.polling import INTERVALS_TO_DEGRADED
from signals.domain.predictions import Prediction
from signals.models import PredictionRecord, SignalRecord, SignalSettings, WatchListEntry

MAX_REVISIONS = 20
State = SignalRecord.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What storing did. `new` is False when this very prediction was known, unchanged."""

    new: bool
    signal: SignalRecord | None = None


def poll_seconds(entry: WatchListEntry | None, settings: SignalSettings) -> int:
    return (entry.poll_seconds if entry else None) or settings.poll_seconds


def rules_for(entry: WatchListEntry | None, settings: SignalSettings) -> Rules:
    """The rules of one ticker as the admin has them now."""
    threshold = entry.threshold if entry is not None and entry.threshold is not None else settings.default_threshold
    gap = max(settings.pending_seconds, INTERVALS_TO_DEGRADED * poll_seconds(entry, settings))
    return Rules(threshold=threshold, max_age=timedelta(seconds=settings.max_age_seconds), run_gap=timedelta(seconds=gap))


def load_run(ticker: str) -> Run:
    """Where a ticker's series stands by what is stored, so that a restart neither repeats nor forgets a signal."""
    unheeded = Q(reason__startswith="stale") | Q(reason__contains="from the future") | Q(reason__in=(Reason.OLD, Reason.BACKFILLED))
    telling = PredictionRecord.objects.filter(ticker=ticker).exclude(verdict=Verdict.INVALID).exclude(unheeded)
    record = telling.order_by("-timestamp").first()
    if record is None:
        return Run()
    if not record.signal_id:
        return Run(newest=record.timestamp)
    direction = record.numeric or (1 if record.word == "BUY" else -1)
    return Run(direction=direction, newest=record.timestamp, last_at=record.received_at, signal_id=record.signal_id)


def held_quantity(symbol: str) -> float:
    """Signed shares now held, from the worker's rows."""
    held = (
        PositionRecord.objects.filter(account=traded_account(), symbol=symbol)
        .exclude(status__in=("closed", "planned"))
        .aggregate(held=Sum("quantity"))
    )
    return float(held["held"] or 0)


def record(
    judgement: Judgement,
    event: PredictionSignalEvent | None = None,
    *,
    entry: WatchListEntry | None,
    settings: SignalSettings,
    now: datetime,
    revise: bool = True,
) -> Recorded:
    """Store one judged prediction and what follows from it. Safe to repeat, and to run in two places at once.
    `revise=False` leaves a known prediction as it is, whatever this one says."""
    try:
        with transaction.atomic():
            known = PredictionRecord.objects.filter(**_identity(judgement.prediction)).first()
            if known is not None:
                return _revise(known, judgement, now) if revise else Recorded(new=False)
            prediction = PredictionRecord.objects.create(
                **_identity(judgement.prediction),
                **_content(judgement.prediction),
                received_at=now,
                verdict=judgement.verdict,
                reason=judgement.why[:200],
                signal_id=judgement.signal_id,
            )
            return Recorded(new=True, signal=_follow(prediction, judgement, event, entry, settings, now))
    except IntegrityError:
        # Somebody else stored it between our look and our write; theirs is as good as ours.
        return Recorded(new=False)


def _follow(
    prediction: PredictionRecord,
    judgement: Judgement,
    event: PredictionSignalEvent | None,
    entry: WatchListEntry | None,
    settings: SignalSettings,
    now: datetime,
) -> SignalRecord | None:
    """The signal that a new prediction opens or refreshes."""
    if judgement.verdict is Verdict.REFRESH:
        running = SignalRecord.objects.filter(pk=judgement.signal_id).first()
        if running is None or running.state != State.FILTERED:
            return _refresh(running, judgement, settings, now)
        if running.reason == _action(running.symbol, running.direction, entry)[1]:
            return None
        # It was filtered for a reason that is gone, for instance a long is held now: that makes it new.
        judgement = replace(judgement, verdict=Verdict.SIGNAL, reason=Reason.NONE, signal_id=str(uuid.uuid4()))
    if judgement.verdict is not Verdict.SIGNAL:
        return None
    return _open(prediction, judgement, event or signal_event(judgement), entry, settings, now)


def _open(
    prediction: PredictionRecord,
    judgement: Judgement,
    event: PredictionSignalEvent,
    entry: WatchListEntry | None,
    settings: SignalSettings,
    now: datetime,
) -> SignalRecord | None:
    said = judgement.prediction
    direction = said.direction or 0
    pending = SignalRecord.objects.filter(symbol=said.ticker, state=State.PENDING).first()
    if pending is not None and pending.direction == direction:
        PredictionRecord.objects.filter(pk=prediction.pk).update(
            verdict=Verdict.REFRESH, reason=Reason.RUNNING, signal_id=pending.signal_id
        )
        return _refresh(pending, judgement, settings, now)
    if pending is not None:
        change(pending, state=State.SUPERSEDED, reason="the direction changed", decided_at=now)
    action, denied = _action(said.ticker, direction, entry)
    signal = SignalRecord.objects.create(
        signal_id=judgement.signal_id,
        prediction=prediction,
        symbol=said.ticker,
        direction=direction,
        action=action,
        confidence=said.confidence,
        threshold=judgement.threshold,
        model=said.model_path,
        state=State.FILTERED if denied else State.PENDING,
        reason=denied,
        price=said.stock_price or 0,
        data_time=said.data_time,
        created_at=now,
        expires_at=now + timedelta(seconds=settings.pending_seconds),
    )
    verdict = Verdict.FILTERED if denied else Verdict.SIGNAL
    PredictionRecord.objects.filter(pk=prediction.pk).update(verdict=verdict, reason=denied, signal_id=signal.signal_id)
    if not denied:
        record_event(event)
    _show(signal)
    return signal


def _action(symbol: str, direction: int, entry: WatchListEntry | None) -> tuple[str, str]:
    """(what the signal would do, why it may not)."""
    held = held_quantity(symbol)
    if direction > 0:
        return ("close_short" if held < 0 else "open_long"), ""
    if held > 0:
        return "close_long", ""
    return "open_short", "" if entry is not None and entry.allow_short else "short not allowed"


def _refresh(signal: SignalRecord | None, judgement: Judgement, settings: SignalSettings, now: datetime) -> SignalRecord | None:
    """Extend a pending signal. Its version stays: nothing that a person decides on has turned."""
    if signal is None or signal.state != State.PENDING:
        return None
    said = judgement.prediction
    SignalRecord.objects.filter(pk=signal.pk, state=State.PENDING, version=signal.version).update(
        confidence=said.confidence,
        price=said.stock_price or signal.price,
        data_time=said.data_time,
        refreshed_at=now,
        refresh_count=signal.refresh_count + 1,
        expires_at=now + timedelta(seconds=settings.pending_seconds),
    )
    signal.refresh_from_db()
    _show(signal)
    return signal


def change(signal: SignalRecord, **fields: Any) -> bool:
    """Compare-and-set on (state, version): False when somebody was faster, and nothing changed."""
    before = signal.state
    with transaction.atomic():
        if not _set(signal, **fields):
            return False
        if signal.state != before:
            record_event(_end_of(signal))
    return True


def reopen(signal: SignalRecord, *, by: str, code: str, cause: str) -> bool:
    """Let a decided signal wait again, until its own end: a compare-and-set too. What was decided stays in the journal.

    `code` is why the approval came to nothing. Raises IntegrityError while another signal of the symbol waits.
    """
    with transaction.atomic():
        if not _set(signal, state=State.PENDING, reason="", decided_by="", decided_at=None, decision={}):
            return False
        told: dict[str, Any] = {"signal_id": signal.signal_id, "symbol": signal.symbol, "version": signal.version, "cause": cause}
        record_event(SignalReopenedEvent(**told, reopened_by=by, code=code))
    return True


def _set(signal: SignalRecord, **fields: Any) -> bool:
    """The compare-and-set on (state, version). Inside the caller's transaction."""
    fields["version"] = signal.version + 1
    changed = SignalRecord.objects.filter(pk=signal.pk, state=signal.state, version=signal.version).update(**fields)
    if not changed:
        return False
    signal.refresh_from_db()
    _show(signal)
    return True


def _end_of(signal: SignalRecord) -> SignalDecisionEvent | SignalClosedEvent:
    """What the journal keeps of how a signal ended: who decided what, or why nobody could."""
    told: dict[str, Any] = {"signal_id": signal.signal_id, "symbol": signal.symbol, "state": str(signal.state), "reason": signal.reason}
    if signal.state not in (State.APPROVED, State.REJECTED):
        return SignalClosedEvent(**told)
    ticket: dict[str, Any] = {name: signal.decision.get(name) for name in ("quantity", "limit_price", "stop_loss", "take_profit")}
    return SignalDecisionEvent(
        **told,
        **ticket,
        decided_by=signal.decided_by,
        decided_at=signal.decided_at,
        direction=signal.direction,
        edited=list(signal.decision.get("edited", [])),
    )


def expire_due(now: datetime) -> list[SignalRecord]:
    """Expire every pending signal whose life is over."""
    due = SignalRecord.objects.filter(state=State.PENDING, expires_at__lte=now)
    expired = []
    for signal in due:
        with transaction.atomic():
            # A refresh between the look and the write moves expires_at on without a new version.
            if SignalRecord.objects.filter(pk=signal.pk, expires_at__lte=now).exists() and change(
                signal, state=State.EXPIRED, reason="nobody decided in time", decided_at=now
            ):
                expired.append(signal)
    return expired


def _revise(known: PredictionRecord, judgement: Judgement, now: datetime) -> Recorded:
    """The same identity again: nothing when it says the same, else a revision, never a second signal."""
    content = _content(judgement.prediction)
    was = {name: getattr(known, name) for name in content}
    if was == content:
        return Recorded(new=False)
    for name, value in content.items():
        setattr(known, name, value)
    before = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in was.items() if value != content[name]}
    known.revisions = [*known.revisions, before][-MAX_REVISIONS:]
    known.revision += 1
    known.save()
    signal = SignalRecord.objects.filter(pk=known.signal_id, state=State.PENDING).first() if known.signal_id else None
    if signal is None:
        return Recorded(new=True)
    said = judgement.prediction
    if said.invalid or said.direction != signal.direction or said.confidence < signal.threshold:
        change(signal, state=State.SUPERSEDED, reason="the prediction was revised", decided_at=now)
    else:
        change(signal, confidence=said.confidence, price=said.stock_price or signal.price, refreshed_at=now)
    return Recorded(new=True, signal=signal)


def _identity(said: Prediction) -> dict[str, Any]:
    return {
        "source": said.source,
        "ticker": said.ticker,
        "timestamp": said.timestamp,
        "model_path": said.model_path,
        "use_default_only": said.use_default_only,
    }


def _content(said: Prediction) -> dict[str, Any]:
    return {
        "word": said.word,
        "numeric": said.numeric,
        "confidence": said.confidence,
        "probabilities": said.probabilities,
        "feature_values": said.feature_values,
        "stock_price": said.stock_price,
        "data_time": said.data_time,
        "prediction_time": said.prediction_time,
        "warnings": list(said.warnings),
    }


def _show(signal: SignalRecord) -> None:
    row = signal.as_row()
    transaction.on_commit(lambda: feed.publish("signals", [row]), robust=True)
