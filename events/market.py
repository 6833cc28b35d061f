"""What the market did. Ticks are marked in memory and kept as bars, never journaled one by one.

Prices are in the contract's currency per share; a price the venue never sent is None.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any, ClassVar

from events.base import BaseEvent, event


@event
class MarketEvent(BaseEvent):
    """Something about one symbol's market."""

    source: str = "market"
    symbol: str = ""


@event
class PriceEvent(MarketEvent):
    """A new price. `change_percent` is in percent; `price_time` is the venue's clock, `timestamp` ours."""

    journaled: ClassVar[bool] = False

    price: float | None = None
    change: float | None = None
    change_percent: float | None = None
    bid: float | None = None
    ask: float | None = None
    volume: float | None = None
    price_time: datetime | None = None


@event
class VolumeEvent(MarketEvent):
    """The day's volume in shares, and how much it grew."""

    journaled: ClassVar[bool] = False

    volume: float | None = None
    change: float | None = None
    volume_time: datetime | None = None


@event
class IndicatorEvent(MarketEvent):
    """A technical indicator crossed or changed."""

    indicator: str = ""
    value: float | None = None
    previous_value: float | None = None
    signal_type: str = ""
    indicator_data: dict[str, Any] = dataclasses.field(default_factory=dict)
