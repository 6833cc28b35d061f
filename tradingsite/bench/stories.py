"""What one signal led to, as a mould: its rows as the product wrote them, cast again under other ids, another symbol, another day."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from events.encoding import to_json
from events.models import EventRecord
from positions.models import FillRecord, OrderRecord, PositionRecord
from signals.domain.judgement import Judgement, Verdict
from signals.domain.monitor import signal_event
from signals.domain.predictions import Prediction
from signals.models import PredictionRecord, SignalRecord

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)"
ID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
REF = r"\b[0-9A-HJKMNP-TV-Z]{26}\b"
EXECUTION = r"\b[0-9a-f]{8}\.[0-9a-f]{8}(?=\.\d\d\b)"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KINDS: dict[str, type[models.Model]] = {
    "prediction": PredictionRecord,
    "signal": SignalRecord,
    "position": PositionRecord,
    "order": OrderRecord,
    "fill": FillRecord,
    "event": EventRecord,
}

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`text` is what stands between the `holes`; a hole is an id ("id"), the symbol ("symbol") or a time (seconds from the start)."""

    text: tuple[str, ...]
    holes: tuple[tuple[str, str | float], ...]
    symbol: str
    seconds: float  # from its first moment to its last

    def cast(self, *, start: datetime, symbol: str, chance: random.Random) -> Rows:
        """The rows of the same story, begun at `start`, in `symbol`, under ids of that moment."""
        known: dict[tuple[str, str | float], str] = {}
        stem = int(start.timestamp() * 1000)
        filled = []
        for hole in self.holes:
            text = known.get(hole)
            if text is None:
                text = known[hole] = _filling(hole, start, symbol, stem, chance)
            filled.append(text)
        parts = [self.text[0]]
        for text, literal in zip(filled, self.text[1:], strict=True):
            parts += (text, literal)
        rows: Rows = orjson.loads("".join(parts))
        return rows


def _filling(hole: tuple[str, str | float], start: datetime, symbol: str, stem: int, chance: random.Random) -> str:
    kind, what = hole
    if kind == "time":
        return (start + timedelta(seconds=float(what))).isoformat()
    if kind == "symbol":
        return symbol
    if kind == "ref":
        return "".join(chance.choices(CROCKFORD, k=26))
    if kind == "execution":
        return f"{chance.getrandbits(32):08x}.{chance.getrandbits(32):08x}"
    return timed_id(stem, chance)


def timed_id(milliseconds: int, chance: random.Random) -> str:
    """A UUID as `events.base.new_id` makes it, of that moment."""
    time, rest = f"{milliseconds:012x}", f"{chance.getrandbits(72):018x}"
    return f"{time[:8]}-{time[8:]}-7{rest[:3]}-a{rest[3:6]}-{rest[6:]}"


def stories_of(records: models.QuerySet[SignalRecord]) -> list[Story]:
    """The moulds of the stored signals."""
    return [_mould(signal) for signal in records.select_related("prediction")]


def _mould(signal: SignalRecord) -> Story:
    rows = {kind: list(_plain(found)) for kind, found in _found(signal).items()}
    rows["event"].insert(0, _said(signal))
    text = DjangoJSONEncoder(separators=(",", ":")).encode(rows)
    pattern = re.compile(f'({TIME})|({ID})|({REF})|({EXECUTION})|(?<=")({re.escape(signal.symbol)})(?=")')
    moments = sorted(_moment(found) for found in re.findall(TIME, text))
    literals, holes, at = [], [], 0
    for match in pattern.finditer(text):
        literals.append(text[at : match.start()])
        holes.append(_hole(match, moments[0]))
        at = match.end()
    literals.append(text[at:])
    # What is not of the story's own day (the last bar known before it, a session's end) does not make it longer.
    return Story(text=tuple(literals), holes=tuple(holes), symbol=signal.symbol, seconds=(moments[-1] - moments[0]).total_seconds())


def _hole(match: re.Match[str], first: datetime) -> tuple[str, str | float]:
    time, one, ref, execution, symbol = match.groups()
    if time:
        return "time", (_moment(time) - first).total_seconds()
    if symbol:
        return "symbol", ""
    return ("id", one) if one else ("ref", ref) if ref else ("execution", execution)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _found(signal: SignalRecord) -> dict[str, models.QuerySet[Any]]:
    orders = OrderRecord.objects.filter(signal_id=signal.pk)
    positions = PositionRecord.objects.filter(signal_id=signal.pk)
    about = Q(signal_id=signal.pk) | Q(order_id__in=orders.values("pk")) | Q(position_id__in=positions.values("pk"))
    return {
        "prediction": PredictionRecord.objects.filter(signals=signal),
        "signal": SignalRecord.objects.filter(pk=signal.pk),
        "position": positions,
        "order": orders,
        "fill": FillRecord.objects.filter(signal_id=signal.pk),
        "event": EventRecord.objects.filter(about).order_by("seq"),
    }


def _plain(found: models.QuerySet[Any]) -> Iterator[dict[str, Any]]:
    """Rows without the keys that the database counts."""
    for row in found.values():
        row.pop("id", None)
        row.pop("seq", None)
        yield {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _said(signal: SignalRecord) -> dict[str, Any]:
    """The event of the signal itself, which a made-up history leaves out."""
    stored = signal.prediction
    if stored is None or stored.data_time is None:
        raise ValueError(f"signal {signal.pk} has no prediction")
    prediction = Prediction(
        source=stored.source,
        ticker=stored.ticker,
        timestamp=stored.timestamp,
        model_path=stored.model_path,
        word=stored.word,
        direction=stored.numeric,
        confidence=stored.confidence,
        probabilities=stored.probabilities,
        feature_values=stored.feature_values,
        stock_price=stored.stock_price,
        data_time=stored.data_time,
        prediction_time=stored.prediction_time,
    )
    judged = Judgement(prediction=prediction, verdict=Verdict.SIGNAL, signal_id=signal.pk, threshold=signal.threshold)
    event = signal_event(judged)
    return {
        "event_id": event.event_id,
        "event_type": type(event).__name__,
        "source": event.source,
        "symbol": signal.symbol,
        "timestamp": signal.created_at.isoformat(),
        "signal_id": signal.pk,
        "data": orjson.loads(to_json(event)) | {"timestamp": signal.created_at.isoformat()},
    }
