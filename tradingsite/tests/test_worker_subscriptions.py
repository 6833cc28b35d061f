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
from tradingsite.worker.lines import FORGIVE_SECONDS, Lines
from tradingsite.worker.subscriptions import SILENT_SECONDS, Subscriptions


class Line:
    """A broker that counts what is asked of it, and a database without a thread."""

    link = LinkState.CONNECTED

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heard: dict[str, datetime] = {}
        self.open = True
        self.watched, self.decided, self.held = ["AAPL", "MSFT"], list[str](), list[str]()

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


def listening(line: Line, most: int = 100) -> Subscriptions:
    stand_in = cast(Any, line)
    return Subscriptions(
        stand_in,
        stand_in,
        lines=Lines(most),
        watched=lambda: line.watched,
        decided=lambda: line.decided,
        held=lambda: line.held,
        heard_at=line.heard.get,
        market_open=lambda: line.open,
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


async def test_positions_come_first_then_signals_then_the_watch_list(line: Line) -> None:
    line.held, line.decided = ["POS"], ["SIG", "POS"]
    await listening(line, most=3).sync()
    assert line.asked == ["+POS", "+SIG", "+AAPL"]


async def test_a_symbol_of_the_watch_list_gives_its_line_to_a_position_and_to_a_signal(line: Line) -> None:
    listener = listening(line, most=2)
    await listener.sync()
    line.held = ["POS"]
    await listener.sync()
    line.decided = ["SIG"]
    await listener.sync()
    assert line.asked == ["+AAPL", "+MSFT", "-MSFT", "+POS", "-AAPL", "+SIG"]
    assert listener.report() == {
        "used": 2,
        "limit": 2,
        "setting": 2,
        "positions_without": 0,
        "signals_without": 0,
        "watched_without": 2,
    }


async def test_what_somebody_is_about_to_trade_takes_the_line_that_matters_least(line: Line) -> None:
    line.held = ["POS"]
    listener = listening(line, most=2)
    await listener.sync()
    await listener.one("NOW")
    assert line.asked == ["+POS", "+AAPL", "-AAPL", "+NOW"]


async def test_fewer_lines_than_the_setting_says_are_learned_from_ib_and_forgiven_after_a_while(line: Line) -> None:
    line.watched = ["A", "B", "C", "D"]
    with time_machine.travel(utc_now(), tick=False) as clock:
        listener = listening(line)
        listener._lines._now = lambda: utc_now().timestamp()
        await listener.sync()
        listener.no_line("C")
        listener.no_line("D")
        await listener.sync()
        assert line.asked == ["+A", "+B", "+C", "+D"], "it is not asked again at once"
        assert (listener.report()["used"], listener.report()["limit"], listener.report()["watched_without"]) == (2, 2, 2)
        line.held = ["POS"]
        await listener.sync()
        assert line.asked[4:] == ["-B", "+POS"]
        line.open = False
        clock.shift(timedelta(seconds=FORGIVE_SECONDS + 1))
        await listener.sync()
        assert line.asked[6:] == ["+B", "+C", "+D"]
