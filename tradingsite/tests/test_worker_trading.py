"""The trading switch: a halt holds at once, is written when it can be, and is only written by the worker that leads."""

from types import SimpleNamespace

import pytest
from django.db import OperationalError

from events.bus import EventBus
from events.commands import FlattenAll, HaltTrading
from events.journal import Fenced
from events.models import CommandRecord
from events.system import TradingStateEvent
from positions.models import RiskLimits, TradingState
from tradingsite.worker.commands import CommandDesk
from tradingsite.worker.composition import limits_from
from tradingsite.worker.database import Database
from tradingsite.worker.trading import ACTIVE, HALTED, REDUCE_ONLY, StateNotWritten, TradingSwitch, read_rows

pytestmark = pytest.mark.django_db(transaction=True)


class Broken(Database):
    """A database that can be switched off."""

    off = False

    async def run(self, function, *args):
        if self.off:
            raise OperationalError("no database")
        return await super().run(function, *args)


@pytest.fixture
async def database():
    made = Broken()
    yield made
    await made.close()


@pytest.fixture
def heard():
    return []


@pytest.fixture
async def switch(database, heard):
    bus = EventBus()
    await bus.subscribe(TradingStateEvent, lambda event: heard.append((event.previous_state, event.state)))
    made = TradingSwitch(bus, database, on_limits=lambda row: None, on_state=lambda state, reason: None, fence=lambda: None)
    await database.run(lambda: TradingState.objects.update_or_create(pk=1, defaults={"state": "active"}))
    return made


async def stored(database):
    return (await database.run(read_rows))[0]["state"]


async def test_nothing_may_leave_before_the_state_was_read(switch):
    assert switch.state == HALTED
    await switch.refresh()
    assert switch.state == ACTIVE


async def test_a_halt_is_written_and_told(switch, database, heard):
    await switch.refresh()
    await switch.change(HALTED, "enough", "a trader")
    assert await stored(database) == HALTED
    assert heard == [(ACTIVE, HALTED)]


async def test_a_halt_without_a_database_holds_and_is_written_later(switch, database):
    await switch.refresh()
    database.off = True
    switch.halt_now("the journal failed")
    with pytest.raises(OperationalError):
        await switch.refresh()
    assert switch.state == HALTED
    database.off = False
    await switch.refresh()
    assert await stored(database) == HALTED


async def test_a_change_without_a_database_says_so_holds_and_is_written_later(switch, database, heard):
    await switch.refresh()
    database.off = True
    with pytest.raises(StateNotWritten, match="reduce only in the worker"):
        await switch.change(REDUCE_ONLY, "enough", "a trader")
    assert (switch.state, heard) == (REDUCE_ONLY, [(ACTIVE, REDUCE_ONLY)])
    database.off = False
    assert await stored(database) == ACTIVE
    await switch.refresh()
    assert (switch.state, await stored(database)) == (REDUCE_ONLY, REDUCE_ONLY)


class Flattened:
    """Stands for the orders: notes that everything was closed, and lets the database come back meanwhile if it is to."""

    def __init__(self, database, *, comes_back):
        self.core = SimpleNamespace(set_aside=(), account="DUSIM001")
        self.reasons = []
        self._database = database
        self._comes_back = comes_back

    async def flatten_all(self, reason):
        self.reasons.append(reason)
        self._database.off = not self._comes_back
        return []


def desk_of(switch, manager):
    nothing = SimpleNamespace(handlers={})
    parts = dict.fromkeys(("tracker", "session", "subscriptions", "guard", "margins", "entry_life_seconds", "shown"))
    return CommandDesk(bus=EventBus(), manager=manager, switch=switch, resolutions=nothing, exits=nothing, **parts)


async def test_a_halt_is_not_answered_as_done_before_it_is_written(switch, database):
    await switch.refresh()
    database.off = True
    desk = desk_of(switch, Flattened(database, comes_back=False))
    outcome = await desk.handle(HaltTrading(reason="enough"), CommandRecord(pk=1, name="HaltTrading"))
    assert (outcome.state, outcome.code) == ("refused", "not_written")
    assert "a restart before that would not know" in outcome.reason
    assert switch.state == HALTED


@pytest.mark.parametrize(("comes_back", "answer"), [(True, ("done", "")), (False, ("refused", "not_written"))])
async def test_a_flatten_closes_without_the_row_but_is_done_only_with_it(switch, database, comes_back, answer):
    await switch.refresh()
    database.off = True
    manager = Flattened(database, comes_back=comes_back)
    outcome = await desk_of(switch, manager).handle(FlattenAll(reason="all out"), CommandRecord(pk=1, name="FlattenAll"))
    assert manager.reasons == ["all out"]
    assert (outcome.state, outcome.code) == answer
    assert outcome.reason.startswith("Everything is being closed") is not comes_back
    assert switch.state == REDUCE_ONLY
    database.off = False
    assert await stored(database) == (REDUCE_ONLY if comes_back else ACTIVE)


async def test_a_worker_that_lost_its_lease_cannot_halt_its_successor(database):
    def fence():
        raise Fenced("a newer worker has taken over")

    await database.run(lambda: TradingState.objects.update_or_create(pk=1, defaults={"state": "active"}))
    old = TradingSwitch(EventBus(), database, on_limits=lambda row: None, on_state=lambda state, reason: None, fence=fence)
    with pytest.raises(Fenced):
        await old.change(HALTED, "I am confused", "worker")
    assert await stored(database) == ACTIVE


async def test_the_limits_row_becomes_the_domains_limits(database):
    def edit():
        RiskLimits.objects.update_or_create(pk=1, defaults={"max_order_quantity": 77, "restricted_symbols": "gme AMC"})

    await database.run(edit)
    limits = limits_from((await database.run(read_rows))[1])
    assert limits.max_order_quantity == 77
    assert limits.restricted_symbols == {"GME", "AMC"}
