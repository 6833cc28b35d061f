"""OptionsFlowMonitor: polls the options-flow API and emits a PredictionSignalEvent for each new signal.

It validates, filters, de-duplicates and keeps each ticker's health; it stores nothing itself. What it learned goes to a
`Ledger` (the database, for the desk) before anything is emitted, and the ledger may say that it knew it already.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from events.api import PredictionSignalEvent
from events.bus import EventBus
from events.clock import Clock, SystemClock
from events.symbols import canonical_symbol, is_symbol
from events.system import SourceHealthEvent
from signals.domain.flow_errors import FlowBadRequest, FlowBudgetSpent, FlowConfigError, FlowError, FlowNotFound, FlowUnauthorized
from signals.domain.judgement import Judgement, Reason, Rules, Run, Verdict, judge
from signals.domain.polling import SourceState, TickerHealth, is_due, phase
from signals.domain.predictions import BadPrediction, Prediction, PredictionKey, parse_latest

log = logging.getLogger(__name__)

DEFAULT_THRESHOLD = 0.75
DEFAULT_KEYS = ("default", "prediction_confidence_min")
_TICK_SECONDS = 0.25


class Ledger(Protocol):
    """Who remembers predictions."""

    def keep(self, judgement: Judgement, event: PredictionSignalEvent | None) -> bool:
        """Store it; False when this very prediction was known already, unchanged."""
        ...


class MemoryLedger:
    """Remembers the last few thousand predictions of this process."""

    def __init__(self, size: int = 5_000) -> None:
        self._size = size
        self._known: OrderedDict[PredictionKey, Prediction] = OrderedDict()

    def keep(self, judgement: Judgement, event: PredictionSignalEvent | None) -> bool:
        key = judgement.prediction.key
        known = self._known.get(key) == judgement.prediction
        self._known[key] = judgement.prediction
        self._known.move_to_end(key)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return not known


class OptionsFlowMonitor:
    """Polls every configured ticker each `poll_seconds`, spread evenly, at most `parallel` at a time.

    `api_client.prediction.get_latest_prediction_async(ticker)` must return the unwrapped `data` object.
    """

    def __init__(
        self,
        event_bus: EventBus,
        api_client: Any,
        *,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        poll_seconds: float = 60.0,
        rules: Rules | None = None,
        parallel: int = 4,
    ) -> None:
        self._bus = event_bus
        self._api = api_client
        self._ledger = ledger or MemoryLedger()
        self._clock = clock or SystemClock()
        self._poll_seconds = poll_seconds
        self._rules = rules or Rules(threshold=DEFAULT_THRESHOLD)
        self._parallel = asyncio.Semaphore(parallel)
        self._tickers: tuple[str, ...] = ()
        self._thresholds: dict[str, float] = {}
        self._last_keys: dict[str, PredictionKey] = {}
        self._loop_task: asyncio.Task[None] | None = None
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self.runs: dict[str, Run] = {}  # ticker → where its series of predictions stands
        self.health: dict[str, TickerHealth] = {}  # ticker → how polling goes
        self.postponed: set[str] = set()  # tickers whose last poll was not sent, for want of our own budget
        self.quarantined = 0  # answers that could not even be identified
        self.stopped_because = ""  # not empty once the provider refused our key

    def configure(self, tickers: Iterable[str], thresholds: Mapping[str, float] | None = None) -> None:
        """Set what is watched. `thresholds`: ticker → lowest confidence (0 to 1); "default" for all others. Raises ValueError."""
        wanted = tuple(dict.fromkeys(canonical_symbol(ticker) for ticker in tickers))
        if bad := [ticker for ticker in wanted if not is_symbol(ticker)]:
            raise ValueError(f"not a ticker: {bad[0][:40]!r}")
        limits = {name if name in DEFAULT_KEYS else canonical_symbol(name): float(value) for name, value in (thresholds or {}).items()}
        if not all(0 <= value <= 1 for value in limits.values()):
            raise ValueError("a threshold is a confidence between 0 and 1")
        self._tickers, self._thresholds = wanted, limits
        for ticker in wanted:
            self.health.setdefault(ticker, TickerHealth())

    async def start_monitoring(self) -> None:
        """Begin polling in the background; a second call changes nothing."""
        if self._loop_task is None or self._loop_task.done():
            self.stopped_because = ""
            self._loop_task = asyncio.create_task(self._run(), name="options-flow-monitor")

    async def stop_monitoring(self) -> None:
        """End polling, requests under way included; returns when everything has ended."""
        tasks = [task for task in (self._loop_task, *self._in_flight.values()) if task is not None]
        self._loop_task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._in_flight.clear()

    async def _run(self) -> None:
        """Start each ticker's poll when its slot comes; a slow one holds up nobody but itself."""
        await asyncio.sleep(0)
        while not self.stopped_because:
            for ticker in self._due():
                if ticker not in self._in_flight:
                    task = asyncio.create_task(self._poll_ticker(ticker), name=f"poll {ticker}")
                    self._in_flight[ticker] = task
                    task.add_done_callback(partial(self._landed, ticker))
            await asyncio.sleep(_TICK_SECONDS)

    def _landed(self, ticker: str, _: asyncio.Task[None]) -> None:
        self._in_flight.pop(ticker, None)

    def _due(self) -> list[str]:
        now = self._clock.now().timestamp()
        due = []
        for index, ticker in enumerate(self._tickers):
            health = self.health[ticker]
            last = health.last_attempt.timestamp() if health.last_attempt else None
            offset = phase(index, len(self._tickers), self._poll_seconds)
            if not health.dropped and is_due(now, last, interval=self._poll_seconds, offset=offset):
                due.append(ticker)
        return sorted(due, key=self._waits_since)

    def _waits_since(self, ticker: str) -> float:
        last = self.health[ticker].last_attempt
        return last.timestamp() if last else 0.0

    async def _poll_predictions(self) -> None:
        """Ask for every watched ticker once, now."""
        await asyncio.gather(*(self._poll_ticker(ticker) for ticker in self._tickers if not self.health[ticker].dropped))

    async def _poll_ticker(self, ticker: str) -> None:
        health = self.health[ticker]
        last_attempt, health.last_attempt = health.last_attempt, self._clock.now()
        self.postponed.discard(ticker)
        before = health.state
        async with self._parallel:
            if self.stopped_because:
                return
            try:
                data = await self._api.prediction.get_latest_prediction_async(ticker)
                await self._process_prediction(ticker, data)
            except (FlowUnauthorized, FlowConfigError) as error:
                await self._stop_for(error)
            except FlowBudgetSpent as error:
                health.postponed(self._clock.now(), str(error), interval=timedelta(seconds=self._poll_seconds))
                health.last_attempt = last_attempt  # it keeps its place
                self.postponed.add(ticker)
            except (FlowNotFound, FlowBadRequest) as error:
                health.misconfigured(str(error), dropped=isinstance(error, FlowNotFound))
            except (FlowError, BadPrediction) as error:
                health.failed(self._clock.now(), str(error), interval=timedelta(seconds=self._poll_seconds))
            except Exception as error:
                # Whatever a client or a payload does, the other tickers must go on.
                log.exception("polling %s failed", ticker)
                health.failed(self._clock.now(), type(error).__name__, interval=timedelta(seconds=self._poll_seconds))
        if health.state is not before:
            await self._announce(ticker, health.state, health.errors_in_row, health.last_error)

    async def _process_prediction(self, ticker: str, prediction: dict[str, Any]) -> None:
        """Judge one answer (the unwrapped `data`), give it to the ledger, emit an event if it is a new signal."""
        try:
            parsed = parse_latest(ticker, prediction)
        except BadPrediction:
            self.quarantined += 1
            raise
        now = self._clock.now()
        judgement, run = self._judge(ticker, parsed)
        event = signal_event(judgement) if judgement.verdict is Verdict.SIGNAL else None
        new = self._ledger.keep(judgement, event)
        self.health.setdefault(ticker, TickerHealth()).succeeded(now, new=new)
        if not new:
            return
        self.runs[ticker] = run
        self._last_keys[ticker] = parsed.key
        if event is not None:
            await self._bus.emit(event)

    def _judge(self, ticker: str, parsed: Prediction) -> tuple[Judgement, Run]:
        run = self.runs.get(ticker, Run())
        default = next((self._thresholds[key] for key in DEFAULT_KEYS if key in self._thresholds), self._rules.threshold)
        rules = replace(self._rules, threshold=self._thresholds.get(ticker, default))
        judgement, after = judge(parsed, rules, run, now=self._clock.now(), new_id=str(uuid.uuid4()))
        if judgement.verdict is Verdict.SIGNAL and parsed.key == self._last_keys.get(ticker):
            # The same prediction with other values is a correction, never a second signal.
            return replace(judgement, verdict=Verdict.REFRESH, reason=Reason.REVISED, signal_id=run.signal_id), run
        return judgement, after

    async def _stop_for(self, error: FlowError) -> None:
        if not self.stopped_because:
            self.stopped_because = str(error)
            log.error("options-flow polling stopped: %s", error)
            await self._announce("", SourceState.MISCONFIGURED, 1, str(error))

    async def _announce(self, ticker: str, state: SourceState, errors: int, detail: str) -> None:
        await self._bus.emit(SourceHealthEvent(ticker=ticker, state=state.value, errors_in_row=errors, detail=detail))


def signal_event(judgement: Judgement) -> PredictionSignalEvent:
    """The event of a new signal."""
    prediction = judgement.prediction
    return PredictionSignalEvent(
        symbol=prediction.ticker,
        signal_id=judgement.signal_id,
        api_reference=f"{prediction.ticker}:{prediction.timestamp}:{prediction.model_path}",
        data_time=prediction.data_time,
        flow_data={"timestamp": prediction.timestamp, "use_default_only": prediction.use_default_only},
        signal="BUY" if prediction.direction == 1 else "SELL",
        numeric=prediction.direction,
        confidence=prediction.confidence,
        price=prediction.stock_price,
        probabilities=prediction.probabilities,
        feature_values=prediction.feature_values,
        model_info=prediction.model_info,
        prediction_time=prediction.prediction_time,
        metadata={"threshold": judgement.threshold, "warnings": list(prediction.warnings)},
    )
