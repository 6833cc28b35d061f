"""What the options-flow API said."""

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
