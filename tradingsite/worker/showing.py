"""What the pages are told of what became durable: order and position rows, and the tape."""

from __future__ import annotations

from typing import Any

from events.base import BaseEvent
from events.feed import Feed
from events.journal import Batch
from events.order import OrderEvent
from events.position import PositionEvent
from positions.domain.packing import order_state, position_state
from positions.models import shown

MOST_REMEMBERED = 5_000


class Showing:
    """Puts rows into the feed and never an older version over a newer one."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._versions: dict[tuple[str, str], int] = {}  # (topic, id) → version last shown

    def durable(self, batch: Batch) -> None:
        """The journal's `on_durable`."""
        for event, seq in batch:
            self._show_state(event)
            self._feed.tape(event, seq)

    def row(self, topic: str, row: dict[str, Any]) -> None:
        """One object's whole state."""
        key = (topic, row["id"])
        if row["v"] < self._versions.get(key, 0):
            return
        self._versions[key] = row["v"]
        if len(self._versions) > MOST_REMEMBERED:
            self._versions.pop(next(iter(self._versions)))
        self._feed.put(topic, row["id"], shown(row))

    def _show_state(self, event: BaseEvent) -> None:
        if isinstance(event, OrderEvent) and event.order_data:
            self.row("orders", order_state(event))
        elif isinstance(event, PositionEvent) and event.position_data:
            self.row("positions", position_state(event))
