"""The journal on the real database: in order, whole or not at all, with what follows from it in the same commit."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
import pytest
from django.db import IntegrityError, OperationalError, transaction

from events.base import BadField, BaseEvent
from events.bus import EventBus
from events.failpoints import arm
from events.journal import Fenced, Journal, JournalFailed, record_event
from events.market import PriceEvent
from events.models import EventRecord, SetAside, WorkerLease
from events.order import FillEvent
from events.system import EquityEvent, SourceHealthEvent

pytestmark = pytest.mark.django_db(transaction=True)


def fill(n: int) -> FillEvent:
    return FillEvent(order_id=f"o{n}", symbol="AAPL", fill_quantity=n, fill_price=150.5, fill_id=f"0001.{n}", order_data={"n": n})


async def stored() -> list[EventRecord]:
    return [record async for record in EventRecord.objects.order_by("seq")]


async def test_events_are_stored_whole_in_the_order_they_were_appended() -> None:
    journal = Journal(epoch=4)
    events = [fill(n) for n in range(1, 2501)]
    for event in events:
        journal.append(event)
    await journal.commit()
    records = await stored()
    await journal.close()
    assert [record.event_id for record in records] == [event.event_id for event in events]
    assert [record.seq for record in records] == sorted(record.seq for record in records)
    assert BaseEvent.from_dict(records[7].data) == events[7]
    assert (records[7].symbol, records[7].order_id, records[7].epoch, records[7].timestamp) == ("AAPL", "o8", 4, events[7].timestamp)


async def test_commit_returns_only_when_all_appended_before_it_is_in_the_database() -> None:
    journal = Journal()
    for n in range(1, 20):
        journal.append(fill(n))
        await journal.commit()
        assert await EventRecord.objects.acount() == n
    await journal.close()


async def test_ticks_are_never_journaled() -> None:
    bus, journal = EventBus(), Journal()
    await journal.attach(bus)
    await bus.emit(PriceEvent(symbol="AAPL", price=1.0))
    await bus.emit(EquityEvent(account="DU1", equity=1.0))
    await journal.commit()
    assert [record.event_type for record in await stored()] == ["EquityEvent"]
    await journal.close()


async def test_what_follows_from_an_event_is_written_in_the_same_commit() -> None:
    def project(batch: Sequence[tuple[BaseEvent, int]], epoch: int) -> None:
        for event, seq in batch:
            assert EventRecord.objects.filter(seq=seq, event_id=event.event_id).exists()
            WorkerLease.objects.create(name=event.order_id, epoch=epoch)

    journal = Journal(projections=[project], epoch=9)
    journal.append(fill(1))
    await journal.commit()
    await journal.close()
    assert [lease.epoch async for lease in WorkerLease.objects.all()] == [9]


async def test_a_failing_projection_leaves_nothing_behind_and_the_next_try_writes_all_in_order() -> None:
    state = {"broken": True}
    told: list[Exception] = []

    def project(batch: Sequence[tuple[BaseEvent, int]], epoch: int) -> None:
        WorkerLease.objects.create(name=f"half-done {len(batch)}")
        if state["broken"]:
            raise OSError("disk full")

    journal = Journal(projections=[project], on_failure=told.append)
    journal.append(fill(1))
    with pytest.raises(JournalFailed, match="disk full"):
        await journal.commit()
    assert await stored() == []
    assert not await WorkerLease.objects.aexists()
    assert isinstance(told[0], OSError)
    journal.append(fill(2))
    state["broken"] = False
    await journal.commit()
    await journal.close()
    assert [record.order_id for record in await stored()] == ["o1", "o2"]
    assert await WorkerLease.objects.acount() == 1


async def test_a_commit_whose_answer_was_lost_is_neither_written_again_nor_blamed() -> None:
    arm("journal.committed:raise", {})
    journal = Journal()
    for n in (1, 2):
        journal.append(fill(n))
    with pytest.raises(JournalFailed):
        await journal.commit()
    journal.append(fill(3))
    await journal.commit()
    await journal.close()
    rows = await stored()
    assert [record.order_id for record in rows] == ["o1", "o2", "o3"]
    assert (journal.written, journal.refused, journal.last_seq) == (3, 0, rows[-1].seq)
    assert not await SetAside.objects.aexists()


async def test_a_fenced_worker_writes_nothing_ever_again() -> None:
    def fence() -> None:
        raise Fenced("epoch 3 is stale, 4 holds the lease")

    journal = Journal(fence=fence, epoch=3)
    journal.append(fill(1))
    with pytest.raises(Fenced):
        await journal.commit()
    with pytest.raises(Fenced):
        journal.append(fill(2))
    with pytest.raises(Fenced):
        await journal.commit()
    await journal.close()
    assert await stored() == []


async def test_what_cannot_be_written_is_refused_at_once_and_blocks_nothing() -> None:
    journal = Journal()
    for bad in (fill(1).from_dict(fill(1).to_dict() | {"symbol": "X" * 30}), FillEvent(order_id="o" * 40), FillEvent(symbol="A\x00B")):
        with pytest.raises(BadField):
            journal.append(bad)
    journal.append(FillEvent(order_id="good", order_data={"nan": math.nan, "nul": "a\x00b", "surrogate": "\ud800"}))
    await journal.commit()
    await journal.close()
    [record] = await stored()
    assert record.data["order_data"] == {"nan": None, "nul": "a\ufffdb", "surrogate": "\ufffd"}


async def test_an_event_is_stored_as_it_was_when_appended() -> None:
    journal, data = Journal(), {"state": "working"}
    journal.append(FillEvent(order_id="o", order_data=data))
    data["state"] = "filled"
    await journal.commit()
    await journal.close()
    assert (await stored())[0].data["order_data"] == {"state": "working"}


async def test_those_who_listen_hear_of_events_after_they_are_durable_with_their_seq() -> None:
    heard: list[tuple[BaseEvent, int]] = []
    journal = Journal(on_durable=heard.extend)
    events = [fill(n) for n in range(1, 6)]
    for event in events:
        journal.append(event)
    assert heard == []
    await journal.commit()
    await journal.close()
    assert [event for event, _ in heard] == events
    assert [seq for _, seq in heard] == [record.seq for record in await stored()]


async def test_the_web_and_the_worker_write_to_one_journal_and_no_seq_is_used_twice() -> None:
    journal = Journal()

    async def worker() -> None:
        for n in range(40):
            journal.append(fill(n))
            await journal.commit()

    def web() -> None:
        from django.db import connection

        for _ in range(40):
            record_event(SourceHealthEvent(ticker="AAPL", state="ok"))
        connection.close()

    await asyncio.gather(worker(), asyncio.to_thread(web))
    await journal.close()
    records = await stored()
    assert len(records) == len({record.seq for record in records}) == 80
    assert {record.symbol for record in records} == {"AAPL"}


def test_an_event_recorded_by_the_web_shares_the_fate_of_its_transaction() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
        record_event(SourceHealthEvent(ticker="AAPL", state="down"))
        raise RuntimeError("the view failed afterwards")
    assert not EventRecord.objects.exists()
    seq = record_event(SourceHealthEvent(ticker="AAPL", state="ok"))
    assert EventRecord.objects.get().seq == seq


async def test_the_same_event_twice_is_an_error_and_not_two_rows(eventually_async: Any) -> None:
    journal, event = Journal(), fill(1)
    journal.append(event)
    await journal.commit()
    journal.append(event)
    with pytest.raises(JournalFailed):
        await journal.commit()
    await journal.close()
    assert await EventRecord.objects.acount() == 1


def poison(events: Sequence[tuple[BaseEvent, int]], epoch: int) -> None:
    """A projection that refuses what says n = 13 or 14."""
    for event, _ in events:
        if isinstance(event, FillEvent) and event.fill_quantity in (13, 14):
            raise IntegrityError(f"CHECK constraint failed: {event.fill_quantity:g}")


async def test_what_the_database_refuses_is_set_aside_whole_and_all_others_are_written_in_order() -> None:
    refused: list[tuple[BaseEvent, str]] = []
    journal = Journal(epoch=6, projections=[poison], on_refused=lambda event, words: refused.append((event, words)))
    events = [fill(n) for n in range(1, 41)]
    for event in events:
        journal.append(event)
    with pytest.raises(JournalFailed, match="CHECK"):
        await journal.commit()
    await journal.close()
    assert [record.event_id for record in await stored()] == [e.event_id for e in events if e.fill_quantity not in (13, 14)]
    kept = [row async for row in SetAside.objects.order_by("id")]
    assert [row.key for row in kept] == [f"event {e.event_id}" for e in events[12:14]]
    assert [BaseEvent.from_dict(orjson.loads(row.content)) for row in kept] == events[12:14]
    assert [(row.kind, row.epoch, row.until) for row in kept] == [("event", 6, None)] * 2
    assert [event for event, _ in refused] == events[12:14]
    assert "CHECK constraint failed: 13" in refused[0][1]
    assert (journal.written, journal.refused) == (38, 2)


async def test_who_waits_for_a_refused_event_is_told_that_it_is_not_durable_and_later_ones_are() -> None:
    journal = Journal(projections=[poison])
    journal.append(fill(13))
    for _ in range(3):  # as long as it is tried
        with pytest.raises(JournalFailed):
            await journal.commit()
    journal.append(fill(15))
    await journal.commit()
    assert [record.order_id for record in await stored()] == ["o15"]
    await journal.close()


async def test_a_database_that_does_not_answer_blames_no_event() -> None:
    failures = [OperationalError("the server is gone")] * 5

    def away(events: Sequence[tuple[BaseEvent, int]], epoch: int) -> None:
        if failures:
            raise failures.pop()

    journal = Journal(projections=[away])
    journal.append(fill(1))
    with pytest.raises(JournalFailed):
        await journal.commit()
    while journal.written < 1:
        with suppress(JournalFailed):
            await journal.commit()
    assert (journal.written, journal.refused, await SetAside.objects.acount()) == (1, 0, 0)
    await journal.close()


async def test_a_sealed_journal_writes_what_it_has_and_takes_no_more() -> None:
    journal = Journal()
    journal.append(fill(1))
    journal.seal()
    journal.append(fill(2))
    await journal.close()
    assert [record.order_id for record in await stored()] == ["o1"]
