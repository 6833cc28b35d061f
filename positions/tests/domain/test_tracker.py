"""PositionTracker: the specification's surface, marks from ticks, fills from the bus."""

from __future__ import annotations

import logging
import random
from datetime import UTC, datetime

import pytest

from events.bus import EventBus
from events.clock import ManualClock
from events.market import PriceEvent
from events.order import FillEvent, OrderSide
from events.position import PositionCloseEvent, PositionEvent, PositionOpenEvent, PositionStatus, PositionUpdateEvent
from positions.domain.errors import DuplicateId, InvalidPrice, PositionClosed, UnknownPosition
from positions.domain.packing import position_state
from positions.domain.stock import StockPosition
from positions.domain.tracker import PositionTracker


class Heard:
    """A tracker and everything it told the bus."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 3, 2, 15, tzinfo=UTC))
        self.bus = EventBus()
        self.tracker = PositionTracker(self.bus, now=self.clock.now)
        self.events: list[PositionEvent] = []


@pytest.fixture
async def heard() -> Heard:
    heard = Heard()
    await heard.bus.subscribe(PositionEvent, heard.events.append)
    return heard


async def test_the_usage_example_of_the_specification() -> None:
    event_bus = EventBus()

    # Create position tracker
    position_tracker = PositionTracker(event_bus)

    # Create a position
    position = await position_tracker.create_stock_position(
        symbol="AAPL", quantity=100, entry_price=150.0, stop_loss=145.0, take_profit=165.0
    )

    # Update with new price
    await position_tracker.update_position_price(position.position_id, 155.0)
    assert position.unrealized_pnl == 500.0

    # Close position
    await position_tracker.close_position(position.position_id, 160.0, "Take profit")
    assert position.realized_pnl == 1000.0
    assert position.status is PositionStatus.CLOSED


async def test_a_position_id_is_taken_once_also_when_its_position_is_closed(heard: Heard) -> None:
    await heard.tracker.create_stock_position("AAPL", 100, 150.0, position_id="mine")
    with pytest.raises(DuplicateId, match="'mine' exists"):
        await heard.tracker.create_stock_position("MSFT", 10, 50.0, position_id="mine")
    assert [position.symbol for position in await heard.tracker.get_all_positions()] == ["AAPL"]
    await heard.tracker.close_position("mine", 151.0)
    with pytest.raises(DuplicateId):
        await heard.tracker.create_stock_position("AAPL", 100, 150.0, position_id="mine")
    assert (await heard.tracker.get_position("mine")).realized_pnl == 100.0


async def test_debug_logging_tells_what_a_position_went_through(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="positions.domain")
    position = await heard.tracker.create_stock_position("AAPL", 100, 150.0, stop_loss=145.0)
    await heard.tracker.update_stop_loss(position.position_id, 147.0, "tighter")
    with pytest.raises(InvalidPrice):
        await heard.tracker.update_stop_loss(position.position_id, 999.0)
    await heard.tracker.close_position(position.position_id, 151.0, "enough")
    with pytest.raises(PositionClosed):
        await heard.tracker.update_position_price(position.position_id, 150.0)
    said = "\n".join(record.getMessage() for record in caplog.records)
    for part in (
        "planned",
        "filled",
        "now open",
        "levels {'stop_loss': [145.0, 147.0]}, now open: tighter",
        "refused: InvalidPrice",
        "now closed: enough",
        "refused: PositionClosed",
    ):
        assert part in said, part
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


async def test_the_event_example_of_the_specification(capsys: pytest.CaptureFixture[str]) -> None:
    # Create event bus
    event_bus = EventBus()

    # Subscribe to events
    async def price_handler(event: PriceEvent) -> None:
        print(f"Price update: {event.symbol} @ {event.price}")

    await event_bus.subscribe(PriceEvent, price_handler)

    # Emit an event
    await event_bus.emit(PriceEvent(symbol="AAPL", price=150.0))
    assert capsys.readouterr().out == "Price update: AAPL @ 150.0\n"


async def test_its_life_is_told_in_events_with_the_whole_state(heard: Heard) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 100, 150.0, stop_loss=145.0)
    await heard.tracker.update_stop_loss(position.position_id, 147.0)
    await heard.tracker.close_position(position.position_id, 160.0, "Take profit")
    first, moved, last = heard.events
    assert isinstance(first, PositionOpenEvent)
    assert first.stop_loss == 145.0
    assert isinstance(moved, PositionUpdateEvent)
    assert moved.stop_loss_updated
    assert moved.new_stop_loss == 147.0
    assert isinstance(last, PositionCloseEvent)
    assert last.fully_closed
    assert last.quantity_closed == 100
    assert last.exit_price == 160.0
    assert [event.version for event in heard.events] == sorted({event.version for event in heard.events})
    assert position_state(last) == position.state()
    assert position_state(PositionCloseEvent.from_dict(last.to_dict())) == position.state()


async def test_a_planned_position_keeps_quantity_stop_and_target(heard: Heard) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 100, stop_loss=145.0, take_profit=165.0)
    assert (position.status, position.quantity, position.stop_loss, position.take_profit) == (PositionStatus.PLANNED, 100, 145.0, 165.0)
    assert position.held == 0
    assert not await heard.tracker.has_open_positions("AAPL")


async def test_a_position_with_a_stop_on_the_wrong_side_is_not_made(heard: Heard) -> None:
    with pytest.raises(InvalidPrice):
        await heard.tracker.create_stock_position("AAPL", 100, 150.0, stop_loss=155.0)
    assert heard.events == []
    assert await heard.tracker.get_all_positions() == []


@pytest.mark.parametrize("call", ["get_position", "update_position_price", "close_position", "update_stop_loss", "adjust_position"])
async def test_unknown_ids_raise(heard: Heard, call: str) -> None:
    arguments: tuple[float, ...] = () if call in ("get_position", "adjust_position") else (1.0,)
    with pytest.raises(UnknownPosition):
        await getattr(heard.tracker, call)("nobody", *arguments)


async def test_a_move_of_at_most_a_cent_is_no_news(heard: Heard) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 1, 150.0)
    heard.events.clear()
    await heard.tracker.update_position_price(position.position_id, 150.01)
    assert heard.events == []
    await heard.tracker.update_position_price(position.position_id, 150.02)
    assert len(heard.events) == 1


async def test_ticks_are_told_once_per_flush(heard: Heard) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 100, 150.0)
    heard.events.clear()
    for price in (151.0, 152.0, 153.0):
        await heard.bus.emit(PriceEvent(symbol="AAPL", price=price))
    assert heard.events == []
    assert position.unrealized_pnl == 300.0
    assert await heard.tracker.flush() == [position]
    assert await heard.tracker.flush() == []
    assert [event.unrealized_pnl for event in heard.events] == [300.0]


@pytest.mark.parametrize("price", [None, float("inf"), -1.0, 0.0])
async def test_a_tick_without_a_price_changes_nothing(heard: Heard, price: float | None) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 100, 150.0)
    event = PriceEvent(symbol="AAPL")
    object.__setattr__(event, "price", price)
    heard.tracker.on_price(event)
    assert position.current_price == 150.0


async def test_marks_by_band_equal_marks_one_by_one(heard: Heard) -> None:
    """The band may skip work, never a fact: excursions and drawdown are those of a position that saw every price."""
    chance = random.Random(7)
    lazy = [await heard.tracker.create_stock_position("AAPL", quantity, 100.0) for quantity in (100, -50)]
    eager = [StockPosition("AAPL") for _ in lazy]
    for one, other in zip(eager, lazy, strict=True):
        await one.open(other.held, 100.0)
    price = 100.0
    for _ in range(3_000):
        price = max(1.0, round(price + chance.gauss(0, 0.2), 2))
        await heard.bus.emit(PriceEvent(symbol="AAPL", price=price))
        for one in eager:
            await one.update_price(price)
    for one, other in zip(eager, lazy, strict=True):
        assert (other.unrealized_pnl, other.mfe, other.mae) == (one.unrealized_pnl, one.mfe, one.mae)
        assert other.max_drawdown == pytest.approx(one.max_drawdown)
        assert other.current_drawdown == pytest.approx(one.current_drawdown)


async def test_one_position_may_be_marked_without_its_neighbour(heard: Heard) -> None:
    one = await heard.tracker.create_stock_position("AAPL", 1, 100.0)
    other = await heard.tracker.create_stock_position("AAPL", 1, 100.0)
    await heard.tracker.update_position_price(one.position_id, 110.0)
    assert (one.current_price, other.current_price) == (110.0, 100.0)
    await heard.tracker.update_all_positions_price("AAPL", 120.0)
    assert (one.current_price, other.current_price) == (120.0, 120.0)


def fill(position_id: str, quantity: float, price: float, side: OrderSide, fill_id: str) -> FillEvent:
    return FillEvent(
        position_id=position_id, symbol="AAPL", fill_quantity=quantity, fill_price=price, side=side, fill_id=fill_id, signal_id="s"
    )


async def test_fills_from_the_bus_open_reduce_and_close(heard: Heard) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 100)
    await heard.bus.emit(fill(position.position_id, 60, 100.0, OrderSide.BUY, "a.01"))
    await heard.bus.emit(fill(position.position_id, 60, 100.0, OrderSide.BUY, "a.01"))
    await heard.bus.emit(fill(position.position_id, 20, 101.0, OrderSide.SELL, "b.01"))
    assert position.held == 40
    await heard.bus.emit(fill(position.position_id, 40, 101.0, OrderSide.SELL, "c.01"))
    kinds = [event.event_type for event in heard.events]
    assert kinds == ["PositionOpenEvent", "PositionOpenEvent", "PositionCloseEvent", "PositionCloseEvent"]
    assert [event.fully_closed for event in heard.events[2:]] == [False, True]
    assert position.realized_pnl == 60.0


async def test_a_fill_beyond_zero_opens_another_position(heard: Heard) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 100, 100.0)
    await heard.bus.emit(fill(position.position_id, 130, 101.0, OrderSide.SELL, "a.01"))
    (other,) = await heard.tracker.get_all_positions()
    assert position.status is PositionStatus.CLOSED
    assert other.held == -30
    assert other.signal_id == "s"
    await heard.bus.emit(fill(position.position_id, 130, 101.0, OrderSide.SELL, "a.01"))
    assert other.held == -30


async def test_a_fill_after_the_close_opens_another_position(heard: Heard) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 100, 100.0)
    await heard.tracker.close_position(position.position_id, 101.0)
    await heard.bus.emit(fill(position.position_id, 10, 99.0, OrderSide.BUY, "a.01"))
    (other,) = await heard.tracker.get_all_positions()
    assert other.held == 10
    assert other.position_id != position.position_id


async def test_fills_after_the_close_are_one_holding_and_not_one_on_each_side(heard: Heard) -> None:
    """An entry fills on while its stop already sells: two positions would each get a stop, and both could trade."""
    position = await heard.tracker.create_stock_position("AAPL", 100, 100.0)
    await heard.tracker.close_position(position.position_id, 101.0)
    await heard.bus.emit(fill(position.position_id, 10, 99.0, OrderSide.BUY, "a.01"))
    await heard.bus.emit(fill(position.position_id, 5, 98.0, OrderSide.BUY, "b.01"))
    (other,) = await heard.tracker.get_all_positions()
    assert other.held == 15
    await heard.bus.emit(fill(position.position_id, 15, 97.0, OrderSide.SELL, "c.01"))
    assert await heard.tracker.get_all_positions() == []
    await heard.bus.emit(fill(position.position_id, 15, 97.0, OrderSide.SELL, "c.01"))
    assert await heard.tracker.get_all_positions() == []


async def test_the_summary_adds_up(heard: Heard) -> None:
    await heard.tracker.create_stock_position("AAPL", 100, 150.0)
    await heard.tracker.create_stock_position("AAPL", -10, 150.0)
    done = await heard.tracker.create_stock_position("MSFT", 10, 400.0)
    await heard.tracker.update_all_positions_price("AAPL", 151.0)
    await heard.tracker.close_position(done.position_id, 410.0)
    summary = await heard.tracker.get_position_summary()
    assert summary["total_positions"] == 2
    assert summary["total_value"] == 110 * 151.0
    assert summary["total_unrealized_pnl"] == 90.0
    assert summary["total_realized_pnl"] == summary["total_realized_pnl_today"] == 100.0
    assert summary["by_symbol"] == {"AAPL": {"count": 2, "value": 110 * 151.0, "unrealized_pnl": 90.0}}
    heard.clock.advance(86_400)
    assert (await heard.tracker.get_position_summary())["total_realized_pnl_today"] == 0.0


async def test_rows_restore_the_tracker(heard: Heard) -> None:
    position = await heard.tracker.create_stock_position("AAPL", 100, stop_loss=95.0)
    await heard.bus.emit(fill(position.position_id, 100, 100.0, OrderSide.BUY, "a.01"))
    again = PositionTracker(heard.bus, now=heard.clock.now)
    again.restore([position.to_dict()])
    assert again.position(position.position_id).to_dict() == position.to_dict()
    assert again.apply(fill(position.position_id, 100, 100.0, OrderSide.BUY, "a.01")) == []
