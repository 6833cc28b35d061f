"""What the options-flow API said, and what became of the signals made from it."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from events.base import BaseEvent, event


@event
class OptionsFlowEvent(BaseEvent):
    """Something from the options-flow API about one symbol."""

    source: str = "api"
    symbol: str = ""
    api_reference: str = ""
    data_time: datetime | None = None
    flow_data: dict[str, Any] = dataclasses.field(default_factory=dict)


@event
class PredictionSignalEvent(OptionsFlowEvent):
    """A prediction worth considering. `confidence` is 0 to 1; `price` is the underlying when predicted, a reference only."""

    signal: str = ""
    numeric: int | None = None
    confidence: float = 0.0
    price: float | None = None
    probabilities: dict[str, Any] = dataclasses.field(default_factory=dict)
    feature_values: dict[str, Any] = dataclasses.field(default_factory=dict)
    model_info: dict[str, Any] = dataclasses.field(default_factory=dict)
    prediction_time: datetime | None = None


@event
class FlowThresholdEvent(OptionsFlowEvent):
    """A watched flow measure crossed its threshold."""

    threshold_type: str = ""
    threshold_value: float | None = None
    actual_value: float | None = None
    crossing_direction: str = ""
    previous_value: float | None = None


@event
class SignalDecisionEvent(BaseEvent):
    """A person approved or rejected a signal. Prices per share; `edited` names the numbers that the person changed."""

    source: str = "signals"
    symbol: str = ""
    state: str = ""  # approved, rejected
    reason: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None
    direction: int = 0
    quantity: float | None = None
    limit_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    edited: list[str] = dataclasses.field(default_factory=list)


@event
class SignalReopenedEvent(BaseEvent):
    """An approved signal waits for a decision again: its approval came to nothing, for the reason `code`, before anything was sent."""

    source: str = "signals"
    symbol: str = ""
    version: int = 0
    reopened_by: str = ""
    code: str = ""


@event
class SignalClosedEvent(BaseEvent):
    """A signal ended without a decision: expired, or superseded by what the API said next."""

    source: str = "signals"
    symbol: str = ""
    state: str = ""  # expired, superseded
    reason: str = ""
