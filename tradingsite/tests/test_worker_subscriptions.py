"""What the worker listens to: a line that brings nothing is asked for again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
import time_machine

from events.clock import utc_now
from positions.domain.ports import LinkState
from tradingsite.worker import subscriptions
from tradingsite.worker.subscriptions import SILENT_SECONDS, Subscriptions


class Line:
    """A broker that counts what is asked of it, and a database without a thread."""

    link = LinkState.CONNECTED

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heard: dict[str, datetime] = {}
        self.open = True

    async def subscribe(self, symbol: str) -> None:
        self.asked.append(f"+{symbol}")

    async def unsubscribe(self, symbol: str) -> None:
        self.asked.append(f"-{symbol}")

    async def history(self, symbol: str, minutes: int) -> list[Any]:
        return []

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line()
    monkeypatch.setattr(subscriptions, "newest_bar_at", lambda symbol: utc_now())
    monkeypatch.setattr(subscriptions, "monotonic", lambda: utc_now().timestamp())
    return line


def listening(line: Line) -> Subscriptions:
    stand_in = cast(Any, line)
    return Subscriptions(
        stand_in, stand_in, watched=lambda: ["AAPL", "MSFT"], held=list, heard_at=line.heard.get, market_open=lambda: line.open
    )


async def test_a_line_that_ib_refused_is_asked_for_again_when_it_stays_silent(line: Line) -> None:
    listener = listening(line)
    with time_machine.travel(utc_now(), tick=False) as clock:
        await listener.sync()
        clock.shift(timedelta(seconds=SILENT_SECONDS + 1))
        line.heard["AAPL"] = utc_now()
        await listener.sync()
        assert line.asked == ["+AAPL", "+MSFT", "-MSFT", "+MSFT"]
        await listener.sync()
        assert line.asked[4:] == [], "it was asked for a moment ago"


async def test_silence_while_the_market_is_closed_is_no_reason_to_ask(line: Line) -> None:
    listener, line.open = listening(line), False
    with time_machine.travel(utc_now(), tick=False) as clock:
        await listener.sync()
        clock.shift(timedelta(seconds=SILENT_SECONDS + 1))
        await listener.sync()
    assert line.asked == ["+AAPL", "+MSFT"]
