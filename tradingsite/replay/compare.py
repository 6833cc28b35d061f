"""Rows of the live tables beside the checkpoint's heads: by digest, and value by value where a digest differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from django.db.models import Q

from events.base import BaseEvent, EventError
from events.models import EventRecord
from tradingsite.replay import journal
from tradingsite.replay.checkpoint import Checkpoint, Head, segments
from tradingsite.replay.fold import kept_digest, kept_rows
from tradingsite.replay.scratch import Scratch, one_snapshot
from tradingsite.replay.seals import digest
from tradingsite.replay.tables import (
    ADDED_TO,
    CHANGES,
    ENTRIES,
    FILLS,
    HOLDINGS,
    ORDERS,
    Replay,
    Row,
    Table,
    compared,
    difference,
    rows,
    unequal,
)

AT_ONCE = 400  # groups in one snapshot


def live_keys(table: Table) -> set[str]:
    found = table.model._default_manager.order_by().values_list(*table.group).distinct()
    return {" ".join(map(str, key)) for key in found.iterator(2_000)}


def compare(table: Table, keys: list[str], checkpoint: Checkpoint, scratch: Scratch, replay: Replay) -> None:
    """These groups of the table with their heads. What is changed by events after the checkpoint is left to the next comparison."""
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        with one_snapshot():
            live = _live(table, some)
            moving = _moving(table, live, some, checkpoint.seq)
        heads = checkpoint.heads((table.name, key) for key in some)
        for key in some:
            if key not in moving:
                _compare_one(table, key, heads.get((table.name, key)), live.get(key, []), scratch, replay)


def _live(table: Table, keys: list[str]) -> dict[str, list[Row]]:
    if len(table.group) == 1:
        wanted = Q(**{f"{table.group[0]}__in": keys})
    elif table in (CHANGES, ENTRIES):
        wanted = Q(position_id__in={key.split()[0] for key in keys})
    else:
        wanted = Q()  # few: what the account holds beside us
    found: dict[str, list[Row]] = {}
    for row in rows(table, table.model._default_manager.filter(wanted)):
        found.setdefault(table.group_of(row), []).append(row)
    return found


def _moving(table: Table, live: dict[str, list[Row]], keys: list[str], seq: int) -> set[str]:
    """Groups that later events speak of."""
    later = list(EventRecord.objects.filter(seq__gt=seq).values_list("event_type", "order_id", "position_id"))
    if not later:
        return set()
    if table is HOLDINGS:
        return set(keys) if any(kind == "HoldingEvent" for kind, *_ in later) else set()
    objects = {order for _, order, _ in later if order} | {position for *_, position in later if position}
    named = ("order_id", "position_id") if table in (FILLS, ORDERS) else ("position_id",)
    return {key for key in keys if key.split()[0] in objects or any(row[name] in objects for row in live.get(key, []) for name in named)}


def _compare_one(table: Table, key: str, head: Head | None, live: list[Row], scratch: Scratch, replay: Replay) -> None:
    if head is None:
        for row in live:
            replay.add(difference(table.name, tuple(row[name] for name in table.key), "row", "missing", "there"))
        return
    if live and head.digest == (kept_digest(table, live) if table in ADDED_TO else digest(compared(table, live[0]))):
        return
    folded = kept_rows(table, head.rows) if table in ADDED_TO else _folded(table, key, head, scratch, replay)
    theirs = {tuple(row[name] for name in table.key): row for row in live}
    for row in folded:
        row_key = tuple(row[name] for name in table.key)
        if (found := theirs.pop(row_key, None)) is None:
            replay.add(difference(table.name, row_key, "row", "there", "missing"))
            continue
        for column, journal_value, live_value in unequal(table, row, found):
            replay.add(difference(table.name, row_key, column, journal_value, live_value))
    for row_key in theirs:
        replay.add(difference(table.name, row_key, "row", "missing", "there"))


def _folded(table: Table, key: str, head: Head, scratch: Scratch, replay: Replay) -> list[Row]:
    """The row that the head's event makes, and a difference when the journal does not hold that event any more."""
    record = journal.record(head.seq, segments(head.seq))
    made: Sequence[Any] = []
    if record is not None:
        try:
            made = scratch.project([(BaseEvent.from_dict(orjson.loads(record[journal.DATA])), head.epoch)])
        except (EventError, TypeError, ValueError, LookupError):
            record = None
    if record is None:
        replay.add(difference("EventRecord", head.seq, "row", f"sealed, with the state of {table.name} {key}", "missing or unreadable"))
    return [row for made_table, row in made if made_table is table and table.group_of(row) == key]
