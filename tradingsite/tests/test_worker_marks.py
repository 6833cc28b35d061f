"""What ticks become: a bar is sent when it grew, not at every frame."""

from __future__ import annotations

from typing import Any, cast

from events.bus import EventBus
from events.clock import utc_now
from positions.domain.ports import Tick
from positions.domain.tracker import PositionTracker
from tradingsite.worker.marks import Marks
from tradingsite.worker.showing import Showing


class Frame:
    """A feed that keeps what is put into it."""

    def __init__(self) -> None:
        self.put_in: list[tuple[str, str]] = []

    def put(self, topic: str, key: str, row: dict[str, Any]) -> None:
        self.put_in.append((topic, key))


async def test_only_the_bars_of_symbols_that_traded_since_the_last_frame_are_in_the_next() -> None:
    bus, frame = EventBus(), Frame()
    feed = cast(Any, frame)
    marks = Marks(bus, PositionTracker(bus), feed, Showing(feed))
    for symbol in ("AAPL", "MSFT"):
        marks.on_tick(Tick(symbol=symbol, last=100.0, bid=99.9, ask=100.1, volume=1.0, time=utc_now()))
    marks.publish()
    assert sorted(frame.put_in) == [("bars", "AAPL"), ("bars", "MSFT")]
    frame.put_in.clear()
    marks.on_tick(Tick(symbol="MSFT", last=101.0, bid=100.9, ask=101.1, volume=2.0, time=utc_now()))
    marks.publish()
    assert frame.put_in == [("bars", "MSFT")]
    marks.publish()
    assert frame.put_in == [("bars", "MSFT")]
