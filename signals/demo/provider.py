"""The demo provider behind its HTTP face: eight calls, the rate limits and the faults. No sockets here.

`answer()` takes a request apart and gives back a status, headers and a body; the server only moves bytes.
"""

from __future__ import annotations

import hmac
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from threading import Event, Lock
from typing import Any

from events.clock import utc_now
from signals.demo.faults import Fault, Faults
from signals.demo.world import EASTERN, TICKERS, World, eastern_minute, iso
from signals.domain.limiter import HEAVY_PER_MINUTE, STANDARD_PER_MINUTE

PREFIX = "/api/v1/"
_HEAVY = {"trades", "minute-data", "divergence", "data-range", "predictions"}
_FILTERS = tuple(f"{edge}_{name}" for name in ("value", "size", "delta") for edge in ("min", "max"))
_MAX_ROWS = 5_000
_SHIFTED = ("datetime", "datetime_of_data", "prediction_time")

Query = Mapping[str, str]


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code: int, error: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.code = code
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as tests look at it."""

    at: float
    path: str
    query: dict[str, str]
    key_in_header: bool
    status: int


class Provider:
    """`clock` gives wall epoch seconds. `limited=False` lifts the rate limits."""

    def __init__(
        self,
        world: World,
        api_key: str,
        *,
        clock: Callable[[], float] = lambda: utc_now().timestamp(),
        limited: bool = True,
        standard_per_minute: int = STANDARD_PER_MINUTE,
        heavy_per_minute: int = HEAVY_PER_MINUTE,
    ) -> None:
        self.world = world
        self.faults = Faults()
        self.clock_offset = 0.0
        self.seen: deque[Seen] = deque(maxlen=10_000)
        self.stopping = Event()
        self._api_key = api_key
        self._clock = clock if clock is not None else lambda: utc_now().timestamp()
        self._limited = limited
        self._limits = {"standard": standard_per_minute, "heavy": heavy_per_minute}
        self._recent: dict[str, deque[float]] = {"standard": deque(), "heavy": deque()}
        self._lock = Lock()
        self._revisions = 0
        self._calls: dict[str, Callable[[str, Query], dict[str, Any]]] = {
            "status": self._status,
            "tickers": self._tickers,
            "trades": lambda ticker, query: self._rows("trades", ticker, query),
            "minute-data": lambda ticker, query: self._rows("minute_data", ticker, query),
            "divergence": lambda ticker, query: self._rows("divergence_data", ticker, query),
            "prediction/latest": self._latest,
            "predictions": self._predictions,
            "data-range": self._data_range,
        }

    def now(self) -> float:
        return self._clock() + self.clock_offset

    def has_key(self, key: str) -> bool:
        return hmac.compare_digest(key.encode(), self._api_key.encode())

    def answer(self, path: str, query: Query, key: str) -> Answer:
        """Answer one GET."""
        headers: dict[str, str] = {}
        try:
            name, ticker = self._admit(path, query, key, headers)
            if canned := self._canned(ticker):
                return self._note(path, query, key, canned)
            body = {"status": "success", "data": self._calls[name](ticker, query)}
            answer = Answer(200, json.dumps(body).encode(), headers)
        except Refusal as refusal:
            answer = Answer(refusal.code, _error(refusal.code, str(refusal)), headers | refusal.headers)
        return self._note(path, query, key, answer)

    def _note(self, path: str, query: Query, key: str, answer: Answer) -> Answer:
        self.seen.append(Seen(self._clock(), path, dict(query), bool(key), answer.status))
        return answer

    def _admit(self, path: str, query: Query, key: str, headers: dict[str, str]) -> tuple[str, str]:
        """Everything that can refuse a request before its call is looked at."""
        ticker = query.get("ticker", "")
        if (latency := self.faults.take(Fault.LATENCY, ticker)) is not None:
            self.stopping.wait(float(latency))
        if not self.has_key(key) or self.faults.take(Fault.WRONG_KEY, ticker):
            raise Refusal(401, "Invalid API key")
        name = path.removeprefix(PREFIX).rstrip("/") if path.startswith(PREFIX) else ""
        if name not in self._calls:
            raise Refusal(404, "Resource not found")
        if (reset := self.faults.take(Fault.RATE_LIMITED, ticker)) is not None:
            raise Refusal(429, "Rate limit exceeded", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)})
        if (wait := self.faults.take(Fault.RETRY_AFTER, ticker)) is not None:
            raise Refusal(429, "Rate limit exceeded", {"Retry-After": str(wait)})
        self._count("heavy" if name in _HEAVY else "standard", headers)
        if self.faults.take(Fault.SERVER_ERROR, ticker):
            raise Refusal(500, "Internal server error")
        if self.faults.take(Fault.NOT_IMPLEMENTED, ticker) == name:
            raise Refusal(501, "Not implemented")
        if name not in ("status", "tickers"):
            self._check_ticker(ticker)
        return name, ticker

    def _check_ticker(self, ticker: str) -> None:
        if not ticker:
            raise Refusal(400, "Missing required parameter: ticker")
        if self.faults.take(Fault.UNKNOWN_TICKER, ticker) or not self.world.knows(ticker):
            raise Refusal(404, f"Ticker {ticker[:21]} not found")

    def _count(self, kind: str, headers: dict[str, str]) -> None:
        limit = self._limits[kind]
        with self._lock:
            now, recent = self._clock(), self._recent[kind]
            while recent and now - recent[0] >= 60:
                recent.popleft()
            full = self._limited and len(recent) >= limit
            if not full:
                recent.append(now)
            wait = max(1, round(60 - (now - recent[0])))
            headers["X-RateLimit-Limit"] = str(limit)
            headers["X-RateLimit-Remaining"] = str(max(0, limit - len(recent)) if self._limited else limit)
            headers["X-RateLimit-Reset"] = str(wait)
        if full:
            raise Refusal(429, "Rate limit exceeded")

    def _canned(self, ticker: str) -> Answer | None:
        """Faults that replace the whole answer."""
        if (code := self.faults.take(Fault.ERROR_BODY, ticker)) is not None:
            return Answer(200, _error(int(code), "Something went wrong inside"))
        if self.faults.take(Fault.NOT_JSON, ticker):
            return Answer(200, b"<html><body>502 Bad Gateway " + self._api_key.encode() + b"</body></html>")
        if (target := self.faults.take(Fault.REDIRECT, ticker)) is not None:
            return Answer(302, b"", {"Location": str(target)})
        if (size := self.faults.take(Fault.HUGE, ticker)) is not None:
            return Answer(200, b'{"status":"success","data":{"x":"' + b"x" * int(size) + b'"}}')
        if (text := self.faults.take(Fault.RAW, ticker)) is not None:
            return Answer(200, str(text).encode())
        return None

    def _status(self, ticker: str, query: Query) -> dict[str, Any]:
        local = datetime.fromtimestamp(self.now(), EASTERN)
        worker = {"running": True, "active": True, "tickers": list(TICKERS)}
        return {
            "system": {
                "service": "Multi-Ticker Options Flow Monitor (demo)",
                "status": "running",
                "current_time_et": f"{local:%Y-%m-%d %H:%M:%S}",
                "timezone": "America/New_York",
            },
            "market": {"is_market_hours": True, "market_open": "9:00", "market_close": "16:15"},
            "tickers": list(TICKERS),
            "threads": {"ticker_manager": worker, "data_updaters": {}, "stocks": {}, "options": {}},
            "ml_system": {"running": True, "predictors": {}},
        }

    def _tickers(self, ticker: str, query: Query) -> dict[str, Any]:
        return {"tickers": list(TICKERS), "count": len(TICKERS)}

    def _latest(self, ticker: str, query: Query) -> dict[str, Any]:
        default_only = query.get("use_default_only") == "true"
        minute = self.faults.take(Fault.REPEAT, ticker)
        shift = (self.faults.take(Fault.FUTURE, ticker) or 0) - (self.faults.take(Fault.STALE, ticker) or 0)
        minute = self.world.newest_minute(self.now()) if minute is None else int(minute)
        prediction = self._faulty(ticker, _shifted(self.world.prediction(ticker, minute, default_only=default_only), shift))
        data = {"ticker": ticker, "prediction": prediction, "model_info": self.world.model_info(ticker, default_only=default_only)}
        if self.faults.take(Fault.MISSING_PREDICTION, ticker):
            del data["prediction"]
        return data

    def _faulty(self, ticker: str, prediction: dict[str, Any]) -> dict[str, Any]:
        if view := self.faults.take(Fault.VIEW, ticker):
            prediction |= view
        if self.faults.take(Fault.NULL_CONFIDENCE, ticker):
            prediction["confidence"] = None
        if other := self.faults.take(Fault.OTHER_TICKER, ticker):
            prediction["ticker"] = other
        if self.faults.take(Fault.PROBABILITIES_OBJECT, ticker):
            prediction["probabilities"] = dict(zip(("sell", "hold", "buy"), prediction["probabilities"], strict=True))
        if self.faults.take(Fault.REVISED, ticker):
            self._revisions += 1
            prediction["confidence"] = round(0.8 + self._revisions % 10 / 100, 4)
        if off := self.faults.take(Fault.DATETIME_OFF, ticker):
            for name in _SHIFTED:
                prediction[name] = iso(datetime.fromisoformat(prediction[name]).timestamp() + float(off))
        return prediction

    def _predictions(self, ticker: str, query: Query) -> dict[str, Any]:
        default_only = query.get("use_default_only") == "true"
        first, last = self._window(query)
        limit = self._limit(query, 100)
        minutes = range(max(first, last - limit + 1), last + 1) if limit else range(0)
        rows = [self.world.prediction(ticker, minute, default_only=default_only) for minute in minutes]
        info = self.world.model_info(ticker, default_only=default_only)
        return {"ticker": ticker, "count": len(rows), "predictions": rows, "model_info": info}

    def _rows(self, name: str, ticker: str, query: Query) -> dict[str, Any]:
        make: Callable[[str, int], list[dict[str, Any]]] = {
            "trades": self.world.trades,
            "minute_data": lambda t, minute: [self.world.minute_bar(t, minute)],
            "divergence_data": lambda t, minute: [self.world.divergence_point(t, minute)],
        }[name]
        limit = self._limit(query, _MAX_ROWS if name == "divergence_data" else 100)
        first, last = self._window(query)
        last = min(last, int(self.now() // 60) - 1)  # a minute's rows exist once it is over
        newest = query.get("recent") == "true"
        rows: list[dict[str, Any]] = []
        for minute in range(last, last - _MAX_ROWS, -1) if newest else range(first, last + 1):
            if len(rows) >= limit:
                break
            rows += reversed(make(ticker, minute)) if newest else make(ticker, minute)
        rows = rows[:limit]
        return {"ticker": ticker, "count": len(rows), name: rows[::-1] if newest else rows}

    def _data_range(self, ticker: str, query: Query) -> dict[str, Any]:
        if not query.get("start_date") or not query.get("end_date"):
            raise Refusal(400, "Missing required parameter: start_date, end_date")
        first, last = _day(query, "start_date"), _day(query, "end_date")
        points: list[dict[str, Any]] = []
        day = first
        while day <= last and len(points) < _MAX_ROWS:
            opens = eastern_minute(day, time(9, 30))
            points += [self.world.divergence_point(ticker, opens + k) for k in range(390) if (opens + k) * 60 <= self.now()]
            day += timedelta(days=1)
        given = {name: _float(query, name, 0) for name in _FILTERS if query.get(name)}
        trades = sum(point["number_of_trades"] for point in points)
        info = {"original_trades": trades, "filtered_trades": trades // (1 + len(given)), "minute_data_points": len(points)}
        parameters = {
            "start_date": f"{first} 09:00:00",
            "end_date": f"{last} 16:15:00",
            "lookback_hours": _float(query, "lookback_hours", 8),
            "lambda_short": _float(query, "lambda_short", 0.45),
            "lambda_long": _float(query, "lambda_long", 0.9),
            "date_range": f"{first} to {last}",
            "filters": given,
        }
        data = {"ticker": ticker, "parameters": parameters, "data_info": info | {"divergence_points": len(points)}}
        return data | {"divergence_data": points}

    def _limit(self, query: Query, otherwise: int) -> int:
        try:
            limit = int(query.get("limit", otherwise))
        except ValueError:
            raise Refusal(400, "Invalid parameter: limit") from None
        cut = self.faults.take(Fault.TRUNCATED)
        return max(0, min(limit, _MAX_ROWS if cut is None else int(cut)))

    def _window(self, query: Query) -> tuple[int, int]:
        """(first, last) epoch minute asked for; the days are Eastern, and nothing after the newest minute exists."""
        today = datetime.fromtimestamp(self.now(), EASTERN).date()
        start, end = _day(query, "start_date", today), _day(query, "end_date", today)
        if query.get("days") and not query.get("start_date"):
            start = today - timedelta(days=int(query["days"]) - 1) if query["days"].isdigit() else today
        first = eastern_minute(start, _clock(query, "start_time", time(0)))
        last = eastern_minute(end, _clock(query, "end_time", time(23, 59)))
        newest = self.world.newest_minute(self.now())
        return max(first, newest - 60 * 24 * 31), min(last, newest)


def _error(code: int, error: str) -> bytes:
    return json.dumps({"status": "error", "error": error, "code": code, "message": f"{error}."}).encode()


def _shifted(prediction: dict[str, Any], seconds: float) -> dict[str, Any]:
    if seconds:
        prediction["timestamp"] += int(seconds * 1000)
        for name in _SHIFTED:
            prediction[name] = iso(datetime.fromisoformat(prediction[name]).timestamp() + seconds)
    return prediction


def _day(query: Query, name: str, otherwise: date | None = None) -> date:
    text = query.get(name)
    if not text and otherwise is not None:
        return otherwise
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        raise Refusal(400, f"Invalid parameter: {name}") from None


def _clock(query: Query, name: str, otherwise: time) -> time:
    try:
        return time.fromisoformat(query[name]) if query.get(name) else otherwise
    except ValueError:
        raise Refusal(400, f"Invalid parameter: {name}") from None


def _float(query: Query, name: str, otherwise: float) -> float:
    try:
        return float(query.get(name, otherwise))
    except ValueError:
        raise Refusal(400, f"Invalid parameter: {name}") from None
