"""Garbage straight into the command table: refused with a reason, and the wishes behind it are still obeyed."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import orjson
import pytest
from django.db import DatabaseError, connection

from events.clock import utc_now
from events.commands import BadCommand, Command, parse_command
from events.inbox import Inbox, Outcome
from events.models import CommandRecord
from events.rows import command_row
from tradingsite.testing.patience import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "1" * 6_000  # JSON for a database, but longer than Python turns into a number
DEEP = "[" * 900 + "]" * 900
PAYLOADS = [
    "null", "true", "17", '"text"', "[]", '["position_id"]', "{}",
    '{"position_id": "p", "price": 1e999}', '{"position_id": "p", "price": -1}', '{"position_id": "p", "price": "12"}',
    f'{{"position_id": "p", "price": {10**400}}}', f'{{"position_id": "p", "price": {LONG}}}',
    f'{{"position_id": "p", "price": {DEEP}}}', '{"position_id": {"a": 1}, "price": 5}', '{"position_id": "p", "price": 5, "colour": 1}',
    f'{{"position_id": "{"x" * 100_000}", "price": 5}}', '{"position_id": "<script>", "price": [5]}',
]  # fmt: skip


def put(name: str, payload: str) -> int:
    """A row as no code of ours would write it."""
    row = CommandRecord.objects.create(key=uuid.uuid4().hex, name=name, created_at=utc_now())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE events_commandrecord SET payload = %s WHERE id = %s", [payload, row.pk])
    connection.close()
    return row.pk


class Worker:
    def __init__(self) -> None:
        self.seen: list[Command] = []

    async def __call__(self, command: Command, record: CommandRecord) -> Outcome:
        self.seen.append(command)
        return Outcome.done()


async def test_rows_of_garbage_are_refused_with_a_reason_and_the_next_wish_is_obeyed() -> None:
    def fill() -> list[int]:
        bad = []
        for payload in PAYLOADS:
            try:
                bad.append(put("ChangeStop", payload))
            except DatabaseError:  # not every database takes every row
                connection.close()
        bad += [put(name, '{"position_id": "p"}') for name in ("", "x" * 40, "Command", "__class__", "<b>")]
        put("ChangeStop", '{"position_id": "good", "price": 5}')
        return bad

    bad = await asyncio.to_thread(fill)
    worker, shown = Worker(), []
    inbox = Inbox(worker, epoch=1, on_row=shown.append)
    try:
        async with asyncio.timeout(PATIENCE):
            handled = await inbox.work_off()
    finally:
        inbox.stop()
        await inbox.run()
    assert handled == len(bad) + 1
    assert [command.position_id for command in worker.seen] == ["good"]
    rows = [row async for row in CommandRecord.objects.defer("payload").filter(pk__in=bad)]
    assert {(row.state, row.code) for row in rows} == {("refused", "bad_command")}
    assert all(row.reason for row in rows)
    orjson.dumps(shown)  # what pages are sent


@pytest.mark.parametrize("value", [10**400, -(10**400), [], {}, None, "5", True])
def test_no_value_breaks_the_reading_of_a_command(value: Any) -> None:
    with pytest.raises(BadCommand):
        parse_command("ChangeStop", {"position_id": "p", "price": value})
    with pytest.raises(BadCommand):
        parse_command("SetTrailing", {"position_id": "p", "kind": value, "value": 1})
    with pytest.raises(BadCommand):
        parse_command("AdoptHolding", {"symbol": "A", "quantity": value, "stop_loss": 1.0, "reason": "r"})


def test_a_row_as_pages_show_it_can_always_be_sent() -> None:
    record = CommandRecord(pk=1, name="X", created_at=utc_now())
    for payload in (None, [], {"a": 10**30, "b": [1], "c": 5, "d": "x"}):
        record.payload = payload
        shown = json.loads(orjson.dumps(command_row(record)))
    assert shown["payload"] == {"c": 5, "d": "x"}
