"""The specification's third usage example, word for word but for the import paths."""

from typing import Any

from events.api import PredictionSignalEvent
from events.bus import EventBus
from positions.domain.tracker import PositionTracker
from signals.demo.faults import Fault
from signals.domain.monitor import OptionsFlowMonitor


async def example(event_bus: EventBus, position_tracker: PositionTracker, api_client: Any) -> OptionsFlowMonitor:
    # Create options flow monitor
    monitor = OptionsFlowMonitor(event_bus, api_client)

    # Configure and start
    monitor.configure(tickers=["AAPL", "MSFT", "GOOGL"])
    await monitor.start_monitoring()

    # Handle prediction signals
    async def prediction_handler(event):
        if event.signal == "BUY" and event.confidence > 0.8:
            # Create position based on prediction
            await position_tracker.create_stock_position(
                symbol=event.symbol,
                quantity=100,
                entry_price=event.price,
                stop_loss=event.price * 0.95,
                take_profit=event.price * 1.15,
            )

    await event_bus.subscribe(PredictionSignalEvent, prediction_handler)
    return monitor


async def test_the_third_usage_example_opens_positions_on_confident_buys(desk_demo, eventually_async, make_client):
    faults = desk_demo.provider.faults
    faults.set(Fault.VIEW, {"signal": "BUY", "numeric": 1, "confidence": 0.85})
    faults.set(Fault.SERVER_ERROR, tickers=("MSFT",))
    event_bus = EventBus()
    position_tracker = PositionTracker(event_bus)

    async def both_opened():
        return len(await position_tracker.get_all_positions()) == 2

    async with make_client(url=desk_demo.base_url) as api_client:
        monitor = await example(event_bus, position_tracker, api_client)
        await eventually_async(both_opened)
        await eventually_async(lambda: monitor.health["MSFT"].errors_in_row == 1)
        await monitor.stop_monitoring()
    for position in await position_tracker.get_all_positions():
        assert position.symbol in ("AAPL", "GOOGL")
        assert position.quantity == 100
        assert position.stop_loss < position.entry_price < position.take_profit
