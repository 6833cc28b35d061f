"""Never more than 44 messages in any second; what protects money first."""

import asyncio

import pytest

from positions.broker.pacer import CEILINGS, Pacer, Priority
from tradingsite.testing.patience import PATIENCE


class Clock:
    """Time that the test moves; the pacer's own timer looks at it."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


def small(now=None, **ceilings):
    named = {priority: ceilings.get(priority.name.lower(), 3) for priority in Priority}
    return Pacer(ceilings=named, **({"now": now} if now else {"window": 0.02}))


async def spoken(pacer, *turns):
    """Which of these turns are given at once."""
    tasks = [asyncio.create_task(pacer.turn(priority, cost)) for priority, cost in turns]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    given = [task.done() for task in tasks]
    for task in tasks:
        task.cancel()
    return given


async def test_no_second_ever_carries_more_than_its_ceiling():
    pacer, loop = Pacer(window=0.2), asyncio.get_running_loop()
    stamps = []

    async def speak(priority):
        await pacer.turn(priority)
        stamps.append(loop.time())

    await asyncio.gather(
        *(speak(priority) for priority in (Priority.DATA, Priority.QUERY, Priority.ORDER, Priority.MOVE) for _ in range(30))
    )
    for start in stamps:
        assert sum(start <= stamp < start + 0.19 for stamp in stamps) <= max(CEILINGS.values())


async def test_an_order_overtakes_everything_that_waits():
    pacer = small()
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


async def test_moves_of_trailing_stops_leave_room_for_an_exit_and_both_for_the_heartbeat():
    pacer = Pacer(now=Clock())
    moves = await spoken(pacer, *[(Priority.MOVE, 1)] * 200)
    assert sum(moves) == CEILINGS[Priority.MOVE]
    assert await spoken(pacer, (Priority.ORDER, 3)) == [True]
    assert sum(await spoken(pacer, *[(Priority.ORDER, 1)] * 50)) == CEILINGS[Priority.ORDER] - CEILINGS[Priority.MOVE] - 3
    assert await spoken(pacer, (Priority.HEARTBEAT, 1)) == [True]


async def test_what_can_be_written_in_some_seconds_is_what_the_pacer_says():
    clock = Clock()
    pacer = Pacer(now=clock)
    given = 0
    for _ in range(2):
        given += sum(await spoken(pacer, *[(Priority.ORDER, 1)] * 200))
        clock.at += 1.0
    assert given == pacer.within(2.0, Priority.ORDER) == 84


async def test_a_family_gets_its_turn_together_or_not_at_all():
    pacer = small(order=8)
    with pytest.raises(ValueError):
        await pacer.turn(Priority.ORDER, 9)
    assert await spoken(pacer, (Priority.ORDER, 7), (Priority.ORDER, 2)) == [True, False]


async def test_somebody_who_stops_waiting_holds_nobody_up():
    pacer = small(order=1, data=1)
    await pacer.turn(Priority.ORDER)
    impatient = asyncio.create_task(pacer.turn(Priority.ORDER))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait_for(pacer.turn(Priority.DATA), PATIENCE)
    assert pacer.waiting() == 0
