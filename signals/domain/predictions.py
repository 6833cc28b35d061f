"""One prediction of the options-flow API, read and checked. What it is worth as a signal is decided in judgement.py.

An answer without an identity (no object, no ticker, no timestamp) raises BadPrediction: there is nothing to store it under.
Any other fault makes an invalid Prediction, which is stored with its reason and never becomes a signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from events.symbols import canonical_symbol
from events.wording import age_words
from signals.domain.flow_fields import BadField, flag, from_milliseconds, integer, milliseconds, moment, number, text

DIRECTIONS = {"BUY": 1, "SELL": -1, "SHORT": -1, "NEUTRAL": 0, "HOLD": 0}
MAX_FEATURES = 200
MAX_PRICE = 10_000_000.0
_EASTERN = ZoneInfo("America/New_York")
_TIME_TOLERANCE = timedelta(seconds=2)
_KNOWN_FIELDS = {
    "ticker", "signal", "numeric", "confidence", "probabilities", "timestamp", "datetime", "datetime_of_data", "prediction_time",
    "stock_price", "feature_values",
}  # fmt: skip

PredictionKey = tuple[str, str, int, str, bool]


class BadPrediction(ValueError):
    """The answer cannot even be identified; the text says why and is fit to be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the API said about `ticker` at `timestamp` (epoch milliseconds).

    `direction` is +1, 0 or -1, None when the word is unknown. `data_time` is the age of its newest input, already corrected for
    a mislabelled zone. `invalid` is empty, or why this must not be used.
    """

    source: str
    ticker: str
    timestamp: int
    model_path: str = ""
    use_default_only: bool = False
    word: str = ""
    direction: int | None = None
    numeric: int | None = None
    confidence: float = 0.0
    probabilities: dict[str, float] = field(default_factory=dict)  # sell, neutral, buy → 0..1
    feature_values: dict[str, float] = field(default_factory=dict)
    stock_price: float | None = None
    data_time: datetime
    prediction_time: datetime | None = None
    model_info: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    invalid: str = ""

    @property
    def key(self) -> PredictionKey:
        """The identity: the same key is the same prediction, whatever else changed."""
        return self.source, self.ticker, self.timestamp, self.model_path, self.use_default_only

    @property
    def at(self) -> datetime:
        """`timestamp` as aware UTC."""
        return from_milliseconds(self.timestamp)


def parse_latest(ticker: str, data: Mapping[str, Any], *, use_default_only: bool = False, source: str = "api") -> Prediction:
    """Read the unwrapped `data` of /prediction/latest (or a bare prediction object) asked for `ticker`."""
    if not isinstance(data, Mapping):
        raise BadPrediction("the answer is not an object")
    body = data.get("prediction", data if "signal" in data else None)
    model_info = data.get("model_info") if body is not data else None
    outer = data.get("ticker", ticker)
    return parse_prediction(ticker, body, model_info, outer=outer, use_default_only=use_default_only, source=source)


def parse_prediction(
    ticker: str, body: Any, model_info: Any = None, *, outer: Any = None, use_default_only: bool = False, source: str = "api"
) -> Prediction:
    """Read one prediction object. `outer` is the ticker named beside it, if any."""
    if not isinstance(body, Mapping):
        raise BadPrediction("the answer holds no prediction")
    try:
        timestamp = milliseconds(body, "timestamp")
        model = _model_info(model_info)
    except BadField as error:
        raise BadPrediction(str(error)) from None
    identity: dict[str, Any] = {"source": source, "ticker": ticker, "timestamp": timestamp, "use_default_only": use_default_only}
    identity |= {"model_path": model["model_path"], "model_info": model}
    if any(name is not None and not _means(name, ticker) for name in (outer, body.get("ticker"))):
        return Prediction(**identity, data_time=from_milliseconds(timestamp), invalid="it is about another ticker")
    try:
        return Prediction(**identity, **_content(body, timestamp))
    except BadField as error:
        return Prediction(**identity, data_time=from_milliseconds(timestamp), invalid=str(error))


def _means(name: Any, ticker: str) -> bool:
    """Whether the service's name of a share is the ticker, whatever its spelling of a share class."""
    return isinstance(name, str) and canonical_symbol(name) == canonical_symbol(ticker)


def _model_info(value: Any) -> dict[str, Any]:
    if value is None:
        return {"model_path": "", "is_ticker_specific": False}
    if not isinstance(value, Mapping):
        raise BadField("model_info is not an object")
    return {"model_path": text(value, "model_path"), "is_ticker_specific": flag(value, "is_ticker_specific")}


def _content(body: Mapping[str, Any], timestamp: int) -> dict[str, Any]:
    warnings: list[str] = []
    word = text(body, "signal", longest=20).upper()
    numeric = integer(body, "numeric", low=-1, high=1)
    confidence = number(body, "confidence", low=0, high=1)
    if confidence is None:
        warnings.append("confidence is missing, taken as 0")
    probabilities = _probabilities(body.get("probabilities"), warnings)
    direction = DIRECTIONS.get(word)
    if numeric is None and direction is not None:
        warnings.append("numeric is missing")
    price = number(body, "stock_price", low=0, high=MAX_PRICE)
    if unknown := sorted(ascii(name)[:32] for name in body if name not in _KNOWN_FIELDS):
        warnings.append(f"unknown fields ignored: {', '.join(unknown[:5])}")
    return {
        "word": word,
        "direction": direction,
        "numeric": numeric,
        "confidence": confidence or 0.0,
        "probabilities": probabilities,
        "feature_values": _features(body.get("feature_values"), warnings),
        "stock_price": price or None,
        "data_time": _data_time(body, timestamp, warnings),
        "prediction_time": moment(body, "prediction_time"),
        "invalid": _contradiction(word, direction, numeric, price),
        "warnings": tuple(warnings),
    }


def _contradiction(word: str, direction: int | None, numeric: int | None, price: float | None) -> str:
    if direction is None:
        return f"unknown signal word {word!r}" if word else "the signal word is missing"
    if numeric is not None and numeric != direction:
        return f"the word {word} and the number {numeric:+d} contradict each other"
    if direction and not price:
        return "it names no price of the stock"
    return ""


def _probabilities(value: Any, warnings: list[str]) -> dict[str, float]:
    """{sell, neutral, buy} from a list in that order or from an object that may call neutral hold."""
    if value is None:
        return {}
    if isinstance(value, list):
        if len(value) != 3:
            raise BadField("probabilities are not three")
        value = dict(zip(("sell", "neutral", "buy"), value, strict=True))
    if not isinstance(value, Mapping):
        raise BadField("probabilities are neither a list nor an object")
    named = {str(name).lower(): share for name, share in value.items()}
    if "hold" in named:
        named.setdefault("neutral", named.pop("hold"))
    result = {}
    for name in ("sell", "neutral", "buy"):
        share = number(named, name, low=0, high=1)
        if share is None:
            raise BadField(f"probabilities lack {name}")
        result[name] = share
    if abs(sum(result.values()) - 1) > 0.02:
        warnings.append("probabilities do not add up to 1")
    return result


def _features(value: Any, warnings: list[str]) -> dict[str, float]:
    """The open set of inputs; what is not a short name with a finite number is left out and counted."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadField("feature_values is not an object")
    result: dict[str, float] = {}
    for name in value:
        try:
            share = number(value, name, low=-1e15, high=1e15)
            if share is not None and isinstance(name, str) and len(name) <= 64 and text({"name": name}, "name"):
                result[name] = share
        except BadField:
            continue
        if len(result) == MAX_FEATURES:
            break
    if len(result) < len(value):
        warnings.append(f"{len(value) - len(result)} feature values left out")
    return result


def _data_time(body: Mapping[str, Any], timestamp: int, warnings: list[str]) -> datetime:
    """When the newest input was taken. The epoch is right where the two ways of telling the time disagree."""
    epoch = from_milliseconds(timestamp)
    said = moment(body, "datetime")
    newest = moment(body, "datetime_of_data")
    shift = epoch - said if said is not None else timedelta(0)
    if abs(shift) <= _TIME_TOLERANCE:
        return newest or epoch
    offset = -(epoch.astimezone(_EASTERN).utcoffset() or timedelta(0))
    if abs(shift - offset) <= _TIME_TOLERANCE:
        warnings.append("its text times are Eastern, labelled as UTC")
    else:
        warnings.append(f"its two times differ by {age_words(abs(shift.total_seconds()))}; the epoch is used")
    # The text beside a shifted text is shifted alike; where even that makes no sense, the epoch stands alone.
    corrected = newest + shift if newest is not None else epoch
    return corrected if abs(corrected - epoch) <= timedelta(minutes=10) else epoch
