"""The last price of a symbol, shared by its positions, and the band in which a tick changes nothing but that price."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any


class Mark:
    """`low <= price <= high` is the hot path; outside, the tracker looks at every position of the symbol."""

    __slots__ = ("high", "low", "positions", "price", "symbol", "tick")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.price: float | None = None
        self.tick: Any = None  # the PriceEvent the price is from; its identity tells readers that it is new
        self.low = math.inf  # nothing fits into the empty band, so the first tick is looked at
        self.high = -math.inf
        self.positions: list[Any] = []  # active positions of the symbol

    @property
    def at(self) -> datetime | None:
        """When the price was made: by the venue's clock if it said, else when we heard it."""
        if self.tick is None:
            return None
        venue: datetime | None = self.tick.price_time
        heard: datetime = self.tick.timestamp
        return venue or heard

    def disarm(self) -> None:
        """Something about the positions changed: look at the next tick whatever its price."""
        self.low, self.high = math.inf, -math.inf
