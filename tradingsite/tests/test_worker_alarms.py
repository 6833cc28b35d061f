"""What the worker raises: a lost link, a stop refused, a doubt, a halt by the desk itself, content set aside, a silent API."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
import time_machine
from django.urls import clear_url_caches, get_resolver

from events.bus import EventBus
from events.clock import utc_now
from events.models import SetAside
from events.order import OrderSide, OrderState
from events.system import ProtectionEvent
from positions.broker.pacer import Pacer
from positions.domain.ports import LinkState
from positions.models import AlarmRecord, TradingState
from signals.models import SourceHealth
from tradingsite.worker.alarms import Alarms
from tradingsite.worker.database import Database
from tradingsite.worker.protection import Protection

pytestmark = pytest.mark.django_db(transaction=True)


class Desk:
    """The parts that are looked at, each moved by hand; every `look` is of a worker that may have just started."""

    def __init__(self) -> None:
        self.link = LinkState.CONNECTED
        self.session = SimpleNamespace(link_up=True, blocked="", detail="")
        self.manager = SimpleNamespace(protection_alarms={}, broker_forgot_ids=False, orders={}, unmeant=[])
        self.database = Database()
        self.skew = 0.0
        self.tracker = SimpleNamespace(active=list)
        self.start()

    def start(self) -> None:
        self.alarms = Alarms(
            manager=self.manager, session=self.session, link=lambda: self.link, database=self.database, epoch=1, fence=lambda: None,
            clock_skew=lambda: self.skew, beyond_pace=self.protection().beyond_pace,
        )  # fmt: skip

    def protection(self) -> Protection:
        """The real one, for what it says of the pace."""
        return Protection(
            bus=EventBus(), broker=SimpleNamespace(pacer=Pacer()), manager=self.manager, tracker=self.tracker, database=self.database,
            session=self.session, session_end=lambda: None, fence=lambda: None, bind=None,
            on_command=lambda row: None,
        )  # fmt: skip

    def hold(self, count: int) -> None:
        """So many positions, and one that is closed or not filled yet."""
        positions = [SimpleNamespace(held=100.0) for _ in range(count)] + [SimpleNamespace(held=0.0)]
        self.tracker.active = lambda: positions

    async def look(self, *, after: float = 0) -> list[str]:
        """The kinds that stand and are not acknowledged."""
        with time_machine.travel(utc_now() + timedelta(seconds=after), tick=False):
            await self.alarms.look()
        return [row["kind"] for row in self.alarms.rows if row["ended_at"] is None]


@pytest.fixture
async def desk():
    made = Desk()
    yield made
    await made.database.close()


async def test_no_alarm_waits_for_the_pages_to_be_imported(desk):
    clear_url_caches()
    desk.start()
    assert get_resolver()._populated


async def test_a_quiet_desk_raises_nothing(desk):
    assert await desk.look() == []


async def test_a_lost_link_is_an_alarm_after_half_a_minute_and_survives_a_restart(desk):
    desk.link, desk.session.link_up = LinkState.DISCONNECTED, False
    assert await desk.look() == []
    assert await desk.look(after=31) == ["link"]
    desk.start()
    assert await desk.look(after=32) == ["link"]
    desk.link = LinkState.CONNECTED
    assert await desk.look(after=40) == []
    assert [row["kind"] for row in desk.alarms.rows] == ["link"], "over, and nobody has acknowledged it"


async def test_a_refused_stop_is_one_at_once_and_a_restarted_worker_does_not_end_it_before_it_knows(desk):
    desk.manager.protection_alarms["p1"] = SimpleNamespace(position_id="p1", symbol="AAPL", detail="error 201", since=utc_now())
    assert await desk.look() == ["no_stop"]
    assert desk.alarms.rows[0]["page"] == "/positions/p1/"
    desk.manager.protection_alarms.clear()
    desk.session.link_up = False
    desk.start()
    assert await desk.look(after=2) == ["no_stop"]
    desk.session.link_up = True
    assert await desk.look(after=4) == []


async def test_a_position_that_was_flattened_for_want_of_a_stop_before_anybody_looked_is_one_all_the_same(desk):
    bus = EventBus()
    await desk.alarms.listen(bus)
    await bus.emit(ProtectionEvent(position_id="p1", symbol="AAPL", state="alarm", rule="flatten", detail="2 stops did not stay"))
    await bus.emit(ProtectionEvent(position_id="p1", symbol="AAPL", state="restored", rule="", detail="the position is closed"))
    assert await desk.look() == ["no_stop"]
    assert await desk.look(after=2) == []
    [row] = desk.alarms.rows
    assert (row["text"], row["page"], bool(row["ended_at"])) == ("AAPL has no stop: 2 stops did not stay", "/positions/p1/", True)
    assert await desk.look(after=4) == []
    assert await AlarmRecord.objects.acount() == 1


async def test_an_alarm_that_could_not_be_written_is_raised_by_the_next_look(desk, monkeypatch):
    bus = EventBus()
    await desk.alarms.listen(bus)
    await bus.emit(ProtectionEvent(position_id="p1", symbol="AAPL", state="alarm", detail="2 stops did not stay"))
    monkeypatch.setattr(desk.alarms, "_keep", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await desk.look()
    monkeypatch.undo()
    assert await desk.look() == ["no_stop"]


async def test_a_position_that_nobody_asked_for_is_one_until_it_is_closed(desk):
    opened = utc_now()
    desk.manager.unmeant.append(SimpleNamespace(position_id="p2", symbol="AAPL", held=-100, open_time=opened, create_time=opened))
    assert await desk.look() == [], "the execution that explains it may be on its way"
    assert await desk.look(after=4) == ["unmeant"]
    assert "short 100" in desk.alarms.rows[0]["text"]
    assert desk.alarms.rows[0]["page"] == "/positions/p2/"
    desk.manager.unmeant.clear()
    assert await desk.look(after=6) == []


async def test_a_doubt_that_reconciling_does_not_settle_needs_a_person(desk):
    order = SimpleNamespace(order_ref="R1", state=OrderState.IN_DOUBT, side=OrderSide.BUY, quantity=100, symbol="AAPL")
    desk.manager.orders["o1"] = order
    assert await desk.look() == []
    assert await desk.look(after=61) == ["doubt"]
    order.state = OrderState.WORKING
    assert await desk.look(after=70) == []


async def test_books_that_differ(desk):
    desk.session.blocked = "AAPL: 100 here, 200 there."
    assert await desk.look() == []
    assert await desk.look(after=16) == ["books_differ"]


async def test_a_clock_away_from_the_brokers_or_the_databases(desk):
    desk.skew, desk.database.skew = 2.5, -7.0
    assert await desk.look() == []
    assert await desk.look(after=11) == ["clock", "clock"]
    assert "this computer's clock is 7 s behind the database's" in " ".join(row["text"] for row in desk.alarms.rows).replace("This", "this")
    desk.skew = desk.database.skew = 0.0
    assert await desk.look(after=12) == []


async def test_a_halt_by_the_desk_is_one_and_a_halt_by_a_person_is_not(desk):
    def write(by: str) -> None:
        TradingState.objects.update_or_create(
            pk=1, defaults={"state": "halted", "reason": "lost", "changed_by": by, "changed_at": utc_now()}
        )

    await desk.database.run(write, "ann")
    assert await desk.look() == []
    await desk.database.run(write, "worker")
    assert await desk.look() == ["halted"]


async def test_what_was_set_aside_and_a_silent_api(desk):
    def write() -> None:
        SetAside.objects.create(key="command 7", kind="cause", at=utc_now(), epoch=1, reason="command 7 ended the worker 3 times.")
        SourceHealth.objects.create(ticker="", state="ok", last_success=utc_now() - timedelta(seconds=600))

    await desk.database.run(write)
    assert sorted(await desk.look()) == ["flow", "set_aside"]
    await desk.database.run(lambda: SourceHealth.objects.update(detail={"closed": True}))
    assert await desk.look() == ["set_aside"], "nobody polls while the market is closed"
    assert await desk.database.run(AlarmRecord.objects.count) == 2


async def test_a_broker_that_forgot_its_order_numbers_is_an_alarm_at_once(desk):
    desk.manager.broker_forgot_ids = True
    assert await desk.look() == ["order_ids"]
    desk.manager.broker_forgot_ids = False
    assert await desk.look() == []


async def test_more_positions_than_can_be_protected_in_two_seconds_are_an_alarm_until_there_are_fewer(desk):
    desk.hold(72)
    assert await desk.look() == []
    assert await desk.look(after=20) == []
    desk.hold(73)
    assert await desk.look(after=21) == [], "one may just be being closed"
    assert await desk.look(after=32) == ["beyond_pace"]
    row = desk.alarms.rows[0]
    assert "73 positions are held, but IB's pace lets 72 stops be moved, or 84 placed, within 2 seconds" in row["text"]
    assert row["page"] == "/positions/"
    desk.hold(80)
    await desk.look(after=33)
    assert "80 positions" in desk.alarms.rows[0]["text"], "it says how many there are now"
    desk.session.link_up = False
    assert await desk.look(after=35) == ["beyond_pace"], "what is held is known without the broker"
    desk.hold(72)
    assert await desk.look(after=40) == []
    assert await AlarmRecord.objects.acount() == 1


async def test_the_alarm_of_too_many_positions_survives_a_restart_and_comes_back_as_the_same(desk):
    desk.hold(200)
    await desk.look()
    assert await desk.look(after=11) == ["beyond_pace"]
    desk.start()
    assert await desk.look(after=12) == ["beyond_pace"]
    desk.hold(3)
    assert await desk.look(after=13) == []
    desk.hold(200)
    await desk.look(after=14)
    assert await desk.look(after=25) == ["beyond_pace"]
    assert (await AlarmRecord.objects.aget()).times == 2
