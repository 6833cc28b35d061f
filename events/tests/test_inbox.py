"""The inbox: one key one wish, one claimer one winner, an answer always, and nothing done twice after a crash."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from events.clock import ManualClock
from events.commands import BadCommand, CancelOrder, ChangeStop, Command, HaltTrading, ResumeTrading
from events.failpoints import FailpointReached, arm
from events.inbox import Inbox, Outcome, file_command
from events.models import CommandRecord
from tradingsite.testing.patience import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)


class Worker:
    """A handler that remembers what it was asked."""

    def __init__(self, outcome: Outcome | Exception | None = None) -> None:
        self.seen: list[Command] = []
        self.outcome = outcome or Outcome.done()

    async def __call__(self, command: Command, record: CommandRecord) -> Outcome:
        assert record.state == CommandRecord.State.CLAIMED
        self.seen.append(command)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def work_off(inbox: Inbox) -> int:
    """One pass of the inbox, then everything closed."""
    try:
        return await inbox.work_off()
    finally:
        inbox.stop()
        await inbox.run()


def test_the_same_key_is_the_same_wish(person: Callable[..., Any]) -> None:
    ann = person()
    first, created = file_command(CancelOrder(order_id="o1"), account="", user=ann, key="k1")
    again, created_again = file_command(CancelOrder(order_id="o1"), account="", user=ann, key="k1")
    assert (created, created_again) == (True, False)
    assert first.pk == again.pk
    assert CommandRecord.objects.count() == 1
    assert (first.order_id, first.created_by, first.state) == ("o1", ann, "pending")


def test_a_key_cannot_be_used_for_another_kind_of_wish_or_be_missing() -> None:
    file_command(CancelOrder(order_id="o1"), account="", user=None, key="k1")
    with pytest.raises(BadCommand, match="already used"):
        file_command(ChangeStop(position_id="p", price=1.0), account="", user=None, key="k1")
    for key in ("", "x" * 81):
        with pytest.raises(BadCommand):
            file_command(CancelOrder(order_id="o1"), account="", user=None, key=key)


def test_threads_with_one_key_file_one_command() -> None:
    results: list[bool] = []
    gate = threading.Barrier(6)

    def click() -> None:
        gate.wait()
        results.append(file_command(CancelOrder(order_id="o1"), account="", user=None, key="double click")[1])
        connection.close()

    threads = [threading.Thread(target=click) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 5 + [True]
    assert CommandRecord.objects.count() == 1


def test_a_wish_shares_the_fate_of_the_decision_it_belongs_to() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
        file_command(CancelOrder(order_id="o1"), account="", user=None, key="k1")
        raise RuntimeError("the decision failed")
    assert not CommandRecord.objects.exists()


def test_a_dead_redis_does_not_stop_a_wish(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]}}
    }
    record, created = file_command(CancelOrder(order_id="o1"), account="", user=None, key="k1")
    assert created
    assert CommandRecord.objects.filter(pk=record.pk).exists()


async def test_commands_are_handled_oldest_first_and_answered() -> None:
    for n in range(3):
        await asyncio.to_thread(_file, f"o{n}")
    worker, shown = Worker(), []
    assert await work_off(Inbox(worker, epoch=1, on_row=shown.append)) == 3
    assert [command.order_id for command in worker.seen] == ["o0", "o1", "o2"]
    records = [record async for record in CommandRecord.objects.all()]
    assert {record.state for record in records} == {"done"}
    assert all(record.finished_at and record.claimed_at and record.attempts == 1 for record in records)
    assert [row["state"] for row in shown] == ["claimed", "done"] * 3


async def test_what_stops_trading_overtakes_what_waits_and_keeps_its_own_order() -> None:
    """An approval and a halt that both waited for the worker: the halt is obeyed first; a release after it stays after it."""
    wishes = [CancelOrder(order_id="o1"), HaltTrading(reason="odd"), CancelOrder(order_id="o2"), ResumeTrading(reason="looked")]
    for number, wish in enumerate(wishes):
        await asyncio.to_thread(_wish, wish, f"k{number}")
    worker = Worker()
    assert await work_off(Inbox(worker, first=("HaltTrading", "ResumeTrading"))) == 4
    assert [command.name for command in worker.seen] == ["HaltTrading", "ResumeTrading", "CancelOrder", "CancelOrder"]
    assert worker.seen[2:] == [wishes[0], wishes[2]]


async def test_a_refusal_is_written_back_with_code_and_reason() -> None:
    await asyncio.to_thread(_file, "o1")
    await work_off(Inbox(Worker(Outcome.refused("order_done", "The order is already filled.")), epoch=1))
    record = await CommandRecord.objects.aget()
    assert (record.state, record.code, record.reason) == ("refused", "order_done", "The order is already filled.")


async def test_a_handler_that_fails_refuses_the_command_and_the_next_one_is_handled() -> None:
    await asyncio.to_thread(_file, "o1")
    await asyncio.to_thread(_file, "o2")
    assert await work_off(Inbox(Worker(ZeroDivisionError("oops")), epoch=1)) == 2
    record = await CommandRecord.objects.afirst()
    assert record is not None
    assert (record.state, record.code) == ("refused", "error")
    assert "ZeroDivisionError" in record.reason


async def test_an_outcome_the_database_did_not_take_is_written_when_it_does_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command was carried out once; only telling so is tried again."""
    monkeypatch.setattr("events.inbox.RETRY_SECONDS", 0.01)
    await asyncio.to_thread(_file, "o1")
    worker = Worker()
    arm("finish.begin:raise", {})
    try:
        assert await work_off(Inbox(worker, epoch=1)) == 1
    finally:
        arm("")
    assert [command.order_id for command in worker.seen] == ["o1"]
    assert (await CommandRecord.objects.aget()).state == "done"


async def test_a_command_lost_between_claim_and_handler_is_picked_up_again_by_the_same_worker() -> None:
    await asyncio.to_thread(_file, "o1")
    worker = Worker()
    inbox = Inbox(worker, epoch=1)
    arm("claim.committed:raise", {})
    try:
        with pytest.raises(FailpointReached):
            await inbox.work_off()
        assert await work_off(inbox) == 1
    finally:
        arm("")
    assert [command.order_id for command in worker.seen] == ["o1"]
    assert (await CommandRecord.objects.aget()).state == "done"


async def test_a_row_that_is_no_command_is_refused_without_asking_anybody() -> None:
    await CommandRecord.objects.acreate(key="k", name="BuyEverything", payload={"x": 1}, created_at=NOON)
    worker = Worker()
    await work_off(Inbox(worker, epoch=1))
    assert worker.seen == []
    assert (await CommandRecord.objects.aget()).code == "bad_command"


async def test_an_expired_wish_is_not_carried_out() -> None:
    await asyncio.to_thread(_file, "o1", expires_in=30, now=NOON)
    await asyncio.to_thread(_file, "o2", expires_in=60, now=NOON)
    clock, worker = ManualClock(NOON + timedelta(seconds=30)), Worker()
    await work_off(Inbox(worker, epoch=1, clock=clock))
    assert [command.order_id for command in worker.seen] == ["o2"]
    assert {record.order_id: record.state async for record in CommandRecord.objects.all()} == {"o1": "expired", "o2": "done"}


async def test_a_wish_of_a_clock_that_is_ahead_lives_no_longer_for_it() -> None:
    await asyncio.to_thread(_file, "o1", expires_in=30, now=NOON + timedelta(hours=1))
    await asyncio.to_thread(_file, "o2", expires_in=30, now=NOON + timedelta(seconds=2))
    await asyncio.to_thread(_file, "o3", now=NOON + timedelta(hours=1))  # never lapses: an exit is never held up by a clock
    worker = Worker()
    await work_off(Inbox(worker, epoch=1, clock=ManualClock(NOON)))
    assert [command.order_id for command in worker.seen] == ["o2", "o3"]
    refused = await CommandRecord.objects.aget(order_id="o1")
    assert (refused.state, refused.code) == ("refused", "clocks_differ")
    assert "1 hour from now" in refused.reason


async def test_of_two_claimers_each_command_has_exactly_one() -> None:
    for n in range(30):
        await asyncio.to_thread(_file, f"o{n}")
    one, two = Worker(), Worker()
    await asyncio.gather(work_off(Inbox(one, epoch=1)), work_off(Inbox(two, epoch=1)))
    assert sorted(command.order_id for command in one.seen + two.seen) == sorted(f"o{n}" for n in range(30))


async def test_a_command_a_dead_worker_left_is_taken_up_again_by_a_newer_one_only() -> None:
    await asyncio.to_thread(_file, "o1")
    await CommandRecord.objects.aupdate(state="claimed", epoch=1, attempts=1)
    same, newer = Worker(), Worker()
    await work_off(Inbox(same, epoch=1))
    assert same.seen == []
    await work_off(Inbox(newer, epoch=2))
    assert len(newer.seen) == 1
    assert (await CommandRecord.objects.aget()).attempts == 2


async def test_a_command_that_had_its_effect_before_the_crash_is_not_carried_out_again_even_if_expired() -> None:
    await asyncio.to_thread(_file, "o1", expires_in=30, now=NOON)
    await CommandRecord.objects.aupdate(state="claimed", epoch=1, attempts=1)

    async def settled(command: Command, record: CommandRecord) -> Outcome | None:
        return Outcome.done("Its order was already made.")

    worker = Worker()
    await work_off(Inbox(worker, epoch=2, settled=settled))
    assert worker.seen == []
    assert (await CommandRecord.objects.aget()).reason == "Its order was already made."


async def test_what_must_wait_is_not_handed_out_and_holds_up_nothing_else_but_expires_in_time() -> None:
    await asyncio.to_thread(_file, "o1", expires_in=30, now=NOON)
    await asyncio.to_thread(_file, "o2", expires_in=300, now=NOON)
    await asyncio.to_thread(
        lambda: (file_command(ChangeStop(position_id="p", price=1.0), account="", user=None, key="stop"), connection.close())
    )
    clock, worker = ManualClock(NOON + timedelta(seconds=30)), Worker()
    await work_off(Inbox(worker, epoch=1, clock=clock, not_now=lambda: frozenset({"CancelOrder"})))
    assert [command.name for command in worker.seen] == ["ChangeStop"]
    states = {record.order_id: record.state async for record in CommandRecord.objects.filter(name="CancelOrder")}
    assert states == {"o1": "expired", "o2": "pending"}


async def test_a_fenced_worker_claims_nothing() -> None:
    await asyncio.to_thread(_file, "o1")

    def fence() -> None:
        raise RuntimeError("stale epoch")

    worker = Worker()
    with pytest.raises(RuntimeError):
        await work_off(Inbox(worker, epoch=1, fence=fence))
    assert worker.seen == []
    assert (await CommandRecord.objects.aget()).state == "pending"


async def test_the_running_inbox_is_woken_through_the_channel_layer(live_redis: Any, eventually_async: Any) -> None:
    worker = Worker()
    inbox = Inbox(worker, epoch=1, poll_seconds=10 * PATIENCE)
    running = asyncio.create_task(inbox.run())
    try:
        # Until its subscription stands a nudge is lost; afterwards the poll is not what finds the command.
        async def filed_and_seen() -> bool:
            await asyncio.to_thread(_file, f"o{len(worker.seen)}-{asyncio.get_running_loop().time()}")
            return bool(worker.seen)

        await eventually_async(filed_and_seen, every=0.1)
    finally:
        inbox.stop()
        await running


async def test_the_running_inbox_polls_while_redis_is_dead(settings: Any, eventually_async: Any) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]}}
    }
    worker = Worker()
    inbox = Inbox(worker, epoch=1, poll_seconds=0.05)
    running = asyncio.create_task(inbox.run())
    await asyncio.to_thread(_file, "o1")
    await eventually_async(lambda: len(worker.seen) == 1)
    inbox.stop()
    await running


def _wish(command: Command, key: str) -> None:
    """In a thread that ends soon: its connection is closed here, or the garbage collector complains of it in some later test."""
    file_command(command, account="", user=None, key=key)
    connection.close()


def _file(order_id: str, *, expires_in: float | None = None, now: datetime | None = None) -> None:
    file_command(CancelOrder(order_id=order_id), account="", user=None, key=f"key {order_id}", expires_in=expires_in, now=now)
    connection.close()


async def test_looking_into_an_empty_inbox_is_one_read_and_takes_no_write_lock() -> None:
    inbox = Inbox(Worker(), fence=_never_asked)
    assert await work_off(inbox) == 0


def _never_asked() -> None:
    raise AssertionError("a transaction was begun for nothing")
