"""The bus: who hears what, in which order, and what happens when a handler fails."""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.api import PredictionSignalEvent
from events.base import BaseEvent
from events.bus import EventBus, WrongLoop
from events.market import MarketEvent, PriceEvent, VolumeEvent
from events.system import HandlerFailedEvent
from tradingsite.testing.patience import PATIENCE

SOON = 0.01  # seconds that a handler which never ends is given


def tick(symbol: str = "AAPL") -> PriceEvent:
    return PriceEvent(symbol=symbol, price=150.0)


async def test_a_handler_hears_its_class_and_all_below_it_and_nothing_else() -> None:
    bus, heard = EventBus(), []
    await bus.subscribe(MarketEvent, heard.append)
    for event in (tick(), VolumeEvent(symbol="X"), MarketEvent(), PredictionSignalEvent()):
        await bus.emit(event)
    assert [event.event_type for event in heard] == ["PriceEvent", "VolumeEvent", "MarketEvent"]


async def test_the_most_specific_class_hears_first_and_then_in_order_of_subscription() -> None:
    bus, heard = EventBus(), []
    for name, kind in [("base", BaseEvent), ("market", MarketEvent), ("price 1", PriceEvent), ("price 2", PriceEvent)]:
        await bus.subscribe(kind, lambda event, name=name: heard.append(name))
    await bus.emit(tick())
    assert heard == ["price 1", "price 2", "market", "base"]


async def test_sync_async_and_callable_objects_all_run_before_emit_returns() -> None:
    bus, heard = EventBus(), []

    async def slow(event: BaseEvent) -> None:
        await asyncio.sleep(0)
        heard.append("async function")

    class Listener:
        async def __call__(self, event: BaseEvent) -> None:
            await asyncio.sleep(0)
            heard.append("async object")

        async def method(self, event: BaseEvent, word: str) -> None:
            heard.append(word)

    listener = Listener()
    for handler in (slow, listener, functools.partial(listener.method, word="partial"), lambda event: heard.append("sync")):
        await bus.subscribe(PriceEvent, handler)
    await bus.emit(tick())
    assert heard == ["async function", "async object", "partial", "sync"]


async def test_an_emit_from_a_handler_waits_until_the_current_event_is_through() -> None:
    bus, heard = EventBus(), []

    async def first(event: PriceEvent) -> None:
        heard.append(f"first {event.symbol}")
        if event.symbol == "A":
            await bus.emit(tick("B"))
            await bus.emit(tick("C"))
            heard.append("emitted")

    await bus.subscribe(PriceEvent, first)
    await bus.subscribe(PriceEvent, lambda event: heard.append(f"second {event.symbol}"))
    await bus.emit(tick("A"))
    assert heard == ["first A", "emitted", "second A", "first B", "second B", "first C", "second C"]


async def test_a_handler_that_emits_through_wait_for_does_not_wait_for_itself() -> None:
    bus, heard = EventBus(), []

    async def handler(event: PriceEvent) -> None:
        heard.append(event.symbol)
        if event.symbol == "A":
            await asyncio.wait_for(bus.emit(tick("B")), PATIENCE)

    await bus.subscribe(PriceEvent, handler)
    await bus.emit(tick("A"))
    assert heard == ["A", "B"]


async def test_an_emit_of_another_task_returns_only_when_its_event_is_through() -> None:
    bus, heard, gate = EventBus(), [], asyncio.Event()

    async def handler(event: PriceEvent) -> None:
        if event.symbol == "A":
            await gate.wait()
        heard.append(event.symbol)

    await bus.subscribe(PriceEvent, handler)
    first = asyncio.create_task(bus.emit(tick("A")))
    second = asyncio.create_task(bus.emit(tick("B")))
    await asyncio.sleep(0)
    assert not second.done()
    gate.set()
    await second
    assert heard == ["A", "B"]
    await first


async def test_a_cancelled_emit_does_not_lose_what_queued_up_behind_it() -> None:
    bus, heard, started = EventBus(), [], asyncio.Event()

    async def handler(event: PriceEvent) -> None:
        if event.symbol == "A":
            started.set()
            await asyncio.Event().wait()
        heard.append(event.symbol)

    await bus.subscribe(PriceEvent, handler)
    first = asyncio.create_task(bus.emit(tick("A")))
    await started.wait()
    second = asyncio.create_task(bus.emit(tick("B")))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, PATIENCE)
    assert heard == ["B"]
    await bus.emit(tick("C"))
    assert heard == ["B", "C"]


async def test_post_lets_a_sync_handler_emit() -> None:
    bus, heard = EventBus(), []

    def handler(event: PriceEvent) -> None:
        heard.append(event.symbol)
        if event.symbol == "A":
            bus.post(tick("B"))

    await bus.subscribe(PriceEvent, handler)
    await bus.emit(tick("A"))
    assert heard == ["A", "B"]


async def test_a_posted_event_is_delivered_when_the_bus_is_idle(eventually_async: Any) -> None:
    bus, heard = EventBus(), []
    await bus.subscribe(PriceEvent, heard.append)
    bus.post(tick())
    await eventually_async(lambda: len(heard) == 1)


async def test_a_disabled_bus_drops_events_until_it_is_enabled() -> None:
    bus, heard = EventBus(), []
    await bus.subscribe(PriceEvent, heard.append)
    bus.disable()
    await bus.emit(tick("A"))
    bus.enable()
    await bus.emit(tick("B"))
    assert [event.symbol for event in heard] == ["B"]


async def test_an_unsubscribed_handler_hears_nothing_more_and_a_stranger_cannot_be_unsubscribed() -> None:
    bus, heard = EventBus(), []
    await bus.subscribe(PriceEvent, heard.append)
    await bus.emit(tick())
    assert await bus.unsubscribe(PriceEvent, heard.append)
    assert not await bus.unsubscribe(PriceEvent, heard.append)
    assert not await bus.unsubscribe(MarketEvent, print)
    await bus.emit(tick())
    assert len(heard) == 1
    assert bus.get_subscriber_count() == {}


async def test_subscribing_twice_is_subscribing_once() -> None:
    bus, heard = EventBus(), []
    await bus.subscribe(PriceEvent, heard.append)
    await bus.subscribe(PriceEvent, heard.append)
    assert bus.get_subscriber_count() == {"PriceEvent": 1}
    await bus.emit(tick())
    assert len(heard) == 1


@pytest.mark.parametrize(("kind", "handler"), [(str, print), ("PriceEvent", print), (PriceEvent, "not callable")])
async def test_only_event_classes_and_callables_can_be_subscribed(kind: Any, handler: Any) -> None:
    with pytest.raises(TypeError):
        await EventBus().subscribe(kind, handler)


async def test_a_failing_core_handler_is_told_to_on_failure_and_the_others_still_run(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []
    bus, heard, failures = EventBus(on_failure=lambda event, name, error: told.append((event, name, error))), [], []

    def broken(event: PriceEvent) -> None:
        raise ZeroDivisionError("no")

    await bus.subscribe(PriceEvent, broken, core=True)
    await bus.subscribe(PriceEvent, heard.append)
    await bus.subscribe(HandlerFailedEvent, failures.append)
    event = tick()
    with caplog.at_level(logging.ERROR):
        await bus.emit(event)
    assert heard == [event]
    assert told[0][0] is event
    assert isinstance(told[0][2], ZeroDivisionError)
    assert failures[0].core
    assert failures[0].cause == event.event_id
    assert sum(bus.failures.values()) == 1
    assert "broken" in caplog.text


async def test_a_failing_observer_is_logged_and_counted_and_halts_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []
    bus = EventBus(on_failure=lambda *said: told.append(said))

    async def broken(event: PriceEvent) -> None:
        raise ValueError("no")

    await bus.subscribe(PriceEvent, broken, core=False)
    with caplog.at_level(logging.ERROR):
        await bus.emit(tick())
        await bus.emit(tick())
    assert told == []
    assert sum(bus.failures.values()) == 2
    assert "observer handler" in caplog.text


async def test_a_failing_listener_of_failures_does_not_feed_itself() -> None:
    bus = EventBus()

    def broken(event: BaseEvent) -> None:
        raise ValueError("no")

    await bus.subscribe(BaseEvent, broken, core=False)
    await asyncio.wait_for(bus.emit(tick()), PATIENCE)
    assert sum(bus.failures.values()) == 2


async def test_an_emit_on_failure_makes_is_delivered_too() -> None:
    bus, heard = EventBus(), []

    async def halt(event: BaseEvent, name: str, error: Exception) -> None:
        await bus.emit(tick("HALT"))

    async def broken(event: PriceEvent) -> None:
        if event.symbol == "A":
            raise ValueError("no")
        heard.append(event.symbol)

    bus.on_failure = halt
    await bus.subscribe(PriceEvent, broken)
    await asyncio.wait_for(bus.emit(tick("A")), PATIENCE)
    assert heard == ["HALT"]


async def test_other_threads_emit_through_one_explicit_call() -> None:
    bus, heard = EventBus(), []
    await bus.subscribe(PriceEvent, heard.append)

    def from_a_thread(symbol: str) -> None:
        bus.emit_threadsafe(tick(symbol)).result(PATIENCE)

    await asyncio.gather(*(asyncio.to_thread(from_a_thread, str(n)) for n in range(20)))
    assert sorted(event.symbol for event in heard) == sorted(str(n) for n in range(20))


async def test_the_bus_refuses_a_foreign_thread_at_once_and_says_what_to_call() -> None:
    bus, heard = EventBus(), []

    async def slow(event: BaseEvent) -> None:
        await asyncio.sleep(0)
        heard.append(event)

    await bus.subscribe(PriceEvent, slow)

    def refused(use: Callable[[], Any]) -> str:
        with pytest.raises(WrongLoop) as refusal:
            use()
        return str(refusal.value)

    uses = [
        lambda: asyncio.run(bus.emit(tick())),
        lambda: asyncio.run(bus.subscribe(PriceEvent, heard.append)),
        lambda: bus.post(tick()),
    ]
    for use in uses * 3:
        emitting = asyncio.create_task(bus.emit(tick()))  # also while the bus is at work
        assert "emit_threadsafe" in await asyncio.wait_for(asyncio.to_thread(refused, use), PATIENCE)
        await emitting
    assert len(heard) == 9, "and its own loop goes on"


def test_a_bus_goes_on_in_the_next_loop_when_its_own_is_over() -> None:
    bus, heard = EventBus(), []
    asyncio.run(bus.subscribe(PriceEvent, heard.append))
    asyncio.run(bus.emit(tick()))
    assert len(heard) == 1


async def test_an_emit_that_runs_out_of_time_still_reaches_the_handlers_after_the_slow_one(eventually_async: Any) -> None:
    bus, heard = EventBus(), []
    never = asyncio.Event()

    async def hangs(event: PriceEvent) -> None:
        heard.append(f"hangs on {event.symbol}")
        await never.wait()

    await bus.subscribe(PriceEvent, hangs)
    await bus.subscribe(PriceEvent, lambda event: heard.append(f"price {event.symbol}"))
    await bus.subscribe(MarketEvent, lambda event: heard.append(f"market {event.symbol}"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bus.emit(tick("A")), SOON)
    await eventually_async(lambda: heard == ["hangs on A", "price A", "market A"])
    assert not never.is_set()


async def test_a_queued_event_whose_deliverer_is_cancelled_reaches_its_remaining_handlers(eventually_async: Any) -> None:
    bus, heard = EventBus(), []
    inside, never = asyncio.Event(), asyncio.Event()

    async def first(event: PriceEvent) -> None:
        if event.symbol == "A":
            bus.post(tick("B"))
            return
        inside.set()
        await never.wait()

    await bus.subscribe(PriceEvent, first)
    await bus.subscribe(PriceEvent, lambda event: heard.append(event.symbol))
    emitting = asyncio.create_task(bus.emit(tick("A")))
    await asyncio.wait_for(inside.wait(), PATIENCE)
    emitting.cancel()
    await eventually_async(lambda: heard == ["A", "B"])


def test_a_bus_nobody_subscribed_to_says_that_it_has_no_loop() -> None:
    with pytest.raises(RuntimeError, match="no loop"):
        EventBus().emit_threadsafe(tick())


@given(
    subscriptions=st.lists(
        st.tuples(st.sampled_from([BaseEvent, MarketEvent, PriceEvent, VolumeEvent]), st.integers(0, 4), st.booleans()), max_size=12
    ),
    emitted=st.lists(st.sampled_from([PriceEvent, VolumeEvent, MarketEvent, PredictionSignalEvent]), max_size=8),
)
def test_the_bus_agrees_with_a_naive_model(subscriptions: list[tuple[type[BaseEvent], int, bool]], emitted: list[type[BaseEvent]]) -> None:
    """The model: walk the bases, call whoever is subscribed to exactly that class, in order."""

    async def story() -> tuple[list[Any], list[Any]]:
        bus, heard, expected = EventBus(), [], []
        model: dict[type[BaseEvent], list[int]] = {}
        handlers = [lambda event, n=n: heard.append((n, event.event_type)) for n in range(5)]
        for kind, n, remove in subscriptions:
            if remove:
                assert await bus.unsubscribe(kind, handlers[n]) == (n in model.get(kind, []))
                model[kind] = [m for m in model.get(kind, []) if m != n]
            else:
                await bus.subscribe(kind, handlers[n])
                if n not in model.setdefault(kind, []):
                    model[kind].append(n)
        for kind in emitted:
            await bus.emit(kind())
            expected += [(n, kind.__name__) for base in kind.__mro__ for n in model.get(base, [])]
        return heard, expected

    heard, expected = asyncio.run(story())
    assert heard == expected
