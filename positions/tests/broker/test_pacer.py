"""At most 30 messages in any second, orders first."""

import asyncio

import pytest

from positions.broker.pacer import Pacer, Priority
from tradingsite.testing.patience import PATIENCE


async def test_no_second_ever_carries_more_than_thirty_messages():
    pacer, loop = Pacer(), asyncio.get_running_loop()
    stamps = []

    async def speak():
        await pacer.turn(Priority.DATA)
        stamps.append(loop.time())

    await asyncio.gather(*(speak() for _ in range(45)))
    for start in stamps:
        assert sum(start <= stamp < start + 1 for stamp in stamps) <= 31


async def test_an_order_overtakes_everything_that_waits():
    pacer = Pacer(per_second=50, burst=3)
    heard = []

    async def speak(name, priority, cost=1):
        await pacer.turn(priority, cost)
        heard.append(name)

    await pacer.turn(Priority.DATA, 3)
    tasks = [asyncio.create_task(speak(f"data {n}", Priority.DATA)) for n in range(3)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(speak("order", Priority.ORDER, 3)))
    await asyncio.gather(*tasks)
    assert heard[0] == "order"


async def test_a_family_gets_its_turn_together_or_not_at_all():
    pacer = Pacer(burst=8)
    with pytest.raises(ValueError):
        await pacer.turn(Priority.ORDER, 9)


async def test_somebody_who_stops_waiting_holds_nobody_up():
    pacer = Pacer(per_second=100, burst=1)
    await pacer.turn(Priority.ORDER)
    impatient = asyncio.create_task(pacer.turn(Priority.ORDER))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait_for(pacer.turn(Priority.DATA), PATIENCE)
    assert pacer.waiting() == 0
