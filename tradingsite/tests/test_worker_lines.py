"""IB's market-data lines, with the real library against the simulated gateway over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from events.clock import utc_now
from positions.broker.ib import IbBroker, IbSettings
from positions.domain.ports import LinkState
from positions.gateway.gateway import Gateway
from positions.gateway.server import Server
from tradingsite.health import lines_in_words
from tradingsite.testing.patience import eventually_async
from tradingsite.worker import subscriptions
from tradingsite.worker.ears import Ears
from tradingsite.worker.lines import Lines
from tradingsite.worker.subscriptions import Subscriptions

SERVED = 4


class Here:
    """A database without a thread."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


class Desk:
    """A worker's subscriptions at a gateway that serves SERVED lines, while the setting says more."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway = gateway
        self.held, self.decided = list[str](), list[str]()
        self.watched = [f"S00{number}" for number in range(8)]
        self.errors: list[tuple[int, int]] = []
        self.ears = Ears()
        self.ears.link_heard = lambda *heard: self.links.append(heard)
        self.links: list[Any] = []
        self.broker = IbBroker(IbSettings(port=port), self.ears, on_no_line=self._no_line)
        self.listener = Subscriptions(
            self.broker,
            cast(Any, Here()),
            lines=Lines(100),
            watched=lambda: self.watched,
            decided=lambda: self.decided,
            held=lambda: self.held,
            heard_at=lambda symbol: None,
            market_open=lambda: False,
        )

    def _no_line(self, symbol: str) -> None:
        self.listener.no_line(symbol)

    def streamed(self) -> list[str]:
        """What the gateway really streams."""
        return sorted(line.symbol for session in self.gateway.sessions.values() for line in session.streams.lines.values())

    async def streams(self, *symbols: str) -> None:
        async def as_wanted() -> bool:
            await self.listener.sync()
            return self.streamed() == sorted(symbols) and self.listener.symbols == set(symbols)

        await eventually_async(as_wanted, what=f"{symbols}")


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(subscriptions, "newest_bar_at", lambda symbol: utc_now())
    gateway = Gateway(seed=7, state_dir=tmp_path, line_limit=SERVED)
    server = Server(gateway)
    await server.start()
    desk = Desk(gateway, server.port)
    await desk.broker.connect()
    yield desk
    desk.listener.stop()
    await desk.broker.disconnect()
    await server.close()


async def test_lines_that_ib_does_not_serve_are_learned_and_no_link_is_lost_over_them(desk: Desk) -> None:
    await desk.streams("S000", "S001", "S002", "S003")
    report = desk.listener.report()
    assert (
        lines_in_words(report)
        == "4 of 4 lines used; IB serves fewer than the 100 of the setting; no live price for 4 symbols of the watch list"
    )
    assert desk.broker.link is LinkState.CONNECTED
    assert not [link for link in desk.links if link[0] is LinkState.DISCONNECTED]


async def test_a_position_and_a_signal_take_the_lines_of_the_watch_list_at_the_broker(desk: Desk) -> None:
    await desk.streams("S000", "S001", "S002", "S003")
    desk.held, desk.decided = ["PFE"], ["RF"]
    await desk.streams("PFE", "RF", "S000", "S001")
    await desk.listener.one("NOW")
    await eventually_async(lambda: desk.streamed() == ["NOW", "PFE", "RF", "S000"], what="a line for what is about to be traded")
    assert lines_in_words(desk.listener.report()).startswith("4 of 4 lines used")


async def test_an_answer_that_there_is_no_line_is_no_error_of_an_order_with_the_same_number(desk: Desk) -> None:
    heard: list[Any] = []
    desk.ears.manager = cast(Any, type("Heard", (), {"on_error": staticmethod(heard.append), "on_tick": staticmethod(lambda tick: None)}))
    await desk.streams("S000", "S001", "S002", "S003")
    assert [report for report in heard if report.code == 101] == []


async def test_a_quote_that_never_comes_and_a_symbol_that_ib_does_not_know_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "QUOTE_SECONDS", 0.0)
    await desk.streams("S000", "S001", "S002", "S003")
    assert desk.listener.without_quote() == ["S000", "S001", "S002", "S003"]  # this worker hears no price of any
    desk.watched[0] = "NOTLISTED"
    await desk.listener.sync()
    assert "IB knows no US stock NOTLISTED" in desk.listener.unknown["NOTLISTED"]
