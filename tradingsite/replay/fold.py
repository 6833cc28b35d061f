"""Folding a stretch of the journal: which objects its events change, and what rows the projection makes of the last word on each.

An order's or a position's event carries its state, so only the newest accepted one of a stretch is projected. Executions, and the
history and fills of positions, are added to by later events, so their rows of before are put into the scratch database first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db.models import JSONField

import events.api
import events.market  # noqa: F401 - an event can be read only when its class is declared
from events.base import BaseEvent, EventError
from events.order import FillEvent, OrderEvent, OrderStatusEvent
from events.position import PositionEvent
from events.system import EquityEvent, HoldingEvent
from positions.domain.ledger import split_exec_id
from positions.domain.packing import GROWING
from positions.models_growing import AT_ONCE
from positions.store_growing import growing_of
from tradingsite.replay.checkpoint import Checkpoint, Head, Key, Segment
from tradingsite.replay.journal import DATA, EPOCH, SEQ, Record
from tradingsite.replay.scratch import Scratch
from tradingsite.replay.seals import RunningSeal, canonical, digest
from tradingsite.replay.tables import (
    ADDED_TO,
    CHANGES,
    ENTRIES,
    FILLS,
    HOLDINGS,
    ORDERS,
    POSITIONS,
    TABLES,
    Difference,
    Row,
    Table,
    compared,
)

_BY_NAME = {table.name: table for table in TABLES}
_FIELDS = {table.name: {f.attname: f for f in table.model._meta.concrete_fields} for table in ADDED_TO}


State = tuple[BaseEvent, int, int, int]  # event, seq, epoch, version


@dataclass(slots=True)
class Stretch:
    """What the events of a stretch say, before anything is projected."""

    count: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    points: dict[tuple[str, datetime], EquityEvent] = field(default_factory=dict)
    states: dict[Key, list[State]] = field(default_factory=dict)  # those that no later one surpasses
    additions: list[tuple[set[Key], BaseEvent, int, int]] = field(default_factory=list)  # groups added to, event, seq, epoch
    unreadable: list[Difference] = field(default_factory=list)

    def add(self, record: Record) -> None:
        seq, epoch = record[SEQ], record[EPOCH]
        self.count, self.first_seq, self.last_seq = self.count + 1, self.first_seq or seq, seq
        try:
            event = BaseEvent.from_dict(orjson.loads(record[DATA]))
        except (EventError, TypeError, ValueError, LookupError) as error:
            told = f"unreadable: {error}"[:120]
            self.unreadable.append(Difference(table="EventRecord", key=str(seq), column="data", journal=told, live=""))
            return
        at = event.timestamp
        self.first_at, self.last_at = min(at, self.first_at or at), max(at, self.last_at or at)
        if isinstance(event, EquityEvent):
            self.points[event.account, at] = event
        elif isinstance(event, OrderEvent):
            self._order(event, seq, epoch)
        elif isinstance(event, PositionEvent) and event.position_data:
            self._state((POSITIONS.name, event.position_id), (event, seq, epoch, event.position_data["v"]))
            self._grow(event, seq, epoch)
        elif isinstance(event, HoldingEvent):
            self._state((HOLDINGS.name, f"{event.account} {event.symbol}"), (event, seq, epoch, seq))

    def _state(self, key: Key, state: State) -> None:
        """Forget the state before, unless this one is of an older version or epoch: then the row decides between them."""
        kept = self.states.get(key, [])
        surpasses = all(state[3] > version and state[2] >= epoch for _, _, epoch, version in kept)
        self.states[key] = [state] if surpasses else [*kept, state]

    def _grow(self, event: PositionEvent, seq: int, epoch: int) -> None:
        lines, entries = growing_of(event)
        groups = {(CHANGES.name, f"{event.position_id} {int(line['version']) // AT_ONCE}") for line in lines}
        groups |= {(ENTRIES.name, f"{event.position_id} {number // AT_ONCE}") for number, _ in entries}
        if groups:
            self.additions.append((groups, event, seq, epoch))

    def _order(self, event: OrderEvent, seq: int, epoch: int) -> None:
        if event.order_data:
            self._state((ORDERS.name, event.order_id), (event, seq, epoch, event.order_data["v"]))
        if isinstance(event, FillEvent) and event.fill_id:
            self.additions.append(({(FILLS.name, split_exec_id(event.fill_id)[0])}, event, seq, epoch))
        for name in ("commission", "realized"):
            if name in event.metadata:
                self.additions.append(({(FILLS.name, split_exec_id(event.metadata[name]["exec_id"])[0])}, event, seq, epoch))


@dataclass(slots=True)
class Folded:
    segment: Segment
    heads: dict[Key, Head]
    points: dict[tuple[str, datetime], EquityEvent]
    unreadable: list[Difference]


def fold(records: Iterable[Record], checkpoint: Checkpoint, scratch: Scratch, step: Callable[[], None], archive: str = "") -> Folded | None:
    """Fold events that come after the checkpoint; None when there are none. Changes nothing."""
    stretch, running = Stretch(), RunningSeal(checkpoint.last_seal)
    for number, record in enumerate(records):
        running.add(record)
        stretch.add(record)
        if number % 500 == 0:
            step()
    if not stretch.count:
        return None
    epoch_start = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    segment = Segment(
        first_seq=stretch.first_seq,
        last_seq=stretch.last_seq,
        events=stretch.count,
        first_at=stretch.first_at or epoch_start,
        last_at=stretch.last_at or epoch_start,
        seal=running.hexdigest(),
        archive=archive,
    )
    return Folded(segment, _heads(stretch, checkpoint, scratch), stretch.points, stretch.unreadable)


def _heads(stretch: Stretch, checkpoint: Checkpoint, scratch: Scratch) -> dict[Key, Head]:
    added_to = {key for keys, *_ in stretch.additions for key in keys}
    known = checkpoint.heads(stretch.states.keys() | added_to)
    accepted = _accepted(stretch, known)
    events = [(seq, event, epoch) for event, seq, epoch, _ in accepted.values()]
    told = {seq for seq, *_ in events}
    events += [(seq, _without_state(event), epoch) for _, event, seq, epoch in stretch.additions if seq not in told]
    before = [(_BY_NAME[key[0]], row) for key in added_to if key in known for row in kept_rows(_BY_NAME[key[0]], known[key].rows)]
    made = scratch.project([(event, epoch) for _, event, epoch in sorted(events, key=lambda each: each[0])], before)
    seqs = {key: seq for keys, _, seq, _ in stretch.additions for key in keys} | {key: value[1] for key, value in accepted.items()}
    groups: dict[Key, list[Row]] = {}
    for table, row in made:
        groups.setdefault((table.name, table.group_of(row)), []).append(row)
    return {key: _head(key, rows, seqs[key], accepted) for key, rows in groups.items() if key in seqs}


def _accepted(stretch: Stretch, known: dict[Key, Head]) -> dict[Key, State]:
    """Of each object the last event that the row would have taken, by the rule of the projection."""
    accepted: dict[Key, State] = {}
    for key, states in stretch.states.items():
        last_version, last_epoch = (known[key].version, known[key].epoch) if key in known else (-1, -1)
        for state in states:
            if state[3] > last_version and state[2] >= last_epoch:
                accepted[key], (*_, last_epoch, last_version) = state, state
    return accepted


def _without_state(event: BaseEvent) -> BaseEvent:
    """What an event adds to, without the state of its order or position, which a later event has overtaken."""
    if isinstance(event, PositionEvent):
        kept = {name: value for name, value in event.position_data.items() if name in GROWING}
        return PositionEvent(position_id=event.position_id, symbol=event.symbol, position_data=kept, timestamp=event.timestamp)
    if isinstance(event, FillEvent):
        return FillEvent(**{name: getattr(event, name) for name in event.field_names()} | {"order_data": {}})
    return OrderStatusEvent(order_id=event.order_id, metadata=event.metadata, timestamp=event.timestamp)


def _head(key: Key, rows: list[Row], seq: int, accepted: dict[Key, State]) -> Head:
    table = _BY_NAME[key[0]]
    if table in ADDED_TO:
        return Head(0, 0, seq, kept_digest(table, rows), canonical(rows).decode())
    _, _, epoch, version = accepted[key]
    return Head(version, epoch, seq, digest(compared(table, rows[0])))


def kept_digest(table: Table, rows: list[Row]) -> str:
    order = ("account", "revision", "exec_id") if table is FILLS else table.key
    rows.sort(key=lambda row: tuple(row[name] for name in order))
    return digest({"rows": rows})


def kept_rows(table: Table, text: str) -> list[Row]:
    """The rows that a head keeps, as the database would give them."""
    fields = _FIELDS[table.name]
    return [{name: _value(fields[name], value) for name, value in row.items()} for row in orjson.loads(text or "[]")]


def _value(field: Any, value: Any) -> Any:
    return value if isinstance(field, JSONField) else field.to_python(value)
