"""What is compared with what: the tables that the journal makes, what is left out of them by name, and how a difference is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models

from positions.models import BrokerHolding, FillRecord, OrderRecord, PositionChange, PositionEntry, PositionRecord

MOST_TOLD = 50  # differences kept; the count is of all
Row = dict[str, Any]

# A price moves an open position many times a second and is never journaled: the tracker writes these beside the journal.
# They are compared once the position is closed, when its last event carries them.
MARKS = frozenset(
    {"current_price", "price_at", "unrealized_pnl", "max_favorable", "max_adverse", "r_multiple", "updated_at", "version", "epoch"}
)
MARKS_IN_DATA = frozenset(
    {
        *("v", "at", "last", "last_at", "unrealized_pnl", "unrealized_pct", "stop_distance_pct", "open_risk"),
        *("r_multiple", "mfe", "mae", "extremes", "drawdown"),
    }
)
MARKS_OF_TRAIL = frozenset({"best", "distance"})  # what a trailing stop has seen; its moves are journaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is compared: rows by their `key` columns, all columns but `without`. Rows of one `group` are folded together."""

    model: type[models.Model]
    key: tuple[str, ...]
    group: tuple[str, ...]
    without: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.model.__name__

    @property
    def columns(self) -> list[str]:
        return [f.attname for f in self.model._meta.concrete_fields if f.attname not in self.without]

    def group_of(self, row: Row) -> str:
        return " ".join(str(row[name]) for name in self.group)


ORDERS = Table(model=OrderRecord, key=("order_id",), group=("order_id",))
FILLS = Table(model=FillRecord, key=("exec_id",), group=("exec_base",), without=frozenset({"id"}))  # numbered by the table
POSITIONS = Table(model=PositionRecord, key=("position_id",), group=("position_id",))
HOLDINGS = Table(model=BrokerHolding, key=("account", "symbol"), group=("account", "symbol"), without=frozenset({"id"}))
# Rows migrated from before have the epoch of their position.
_UNNUMBERED = frozenset({"id", "epoch"})
CHANGES = Table(model=PositionChange, key=("position_id", "version"), group=("position_id", "part"), without=_UNNUMBERED)
ENTRIES = Table(model=PositionEntry, key=("position_id", "number"), group=("position_id", "part"), without=_UNNUMBERED)
ADDED_TO = (FILLS, CHANGES, ENTRIES)  # later events add to what is there: a head keeps the rows of its group
TABLES = (ORDERS, FILLS, POSITIONS, CHANGES, ENTRIES, HOLDINGS)  # and equity points, one for each of their events: see `equity`


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that the journal and the table tell differently; a whole missing row has the column "row"."""

    table: str
    key: str
    column: str
    journal: str
    live: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.column} is {self.live} in the table and {self.journal} by the journal"


@dataclass(slots=True, kw_only=True)
class Replay:
    """What a comparison found. `thinned` counts equity points that housekeeping has removed since."""

    events: int = 0
    last_seq: int = 0
    rows: dict[str, int] = field(default_factory=dict)  # table → rows that the journal makes
    thinned: int = 0
    count: int = 0  # of differences
    differences: list[Difference] = field(default_factory=list)
    scope: str = ""  # what was compared, in words
    full: bool = False

    @property
    def equal(self) -> bool:
        return not self.count

    def add(self, difference: Difference) -> None:
        if difference in self.differences:
            return
        self.count += 1
        if len(self.differences) < MOST_TOLD:
            self.differences.append(difference)


def difference(table: str, key: Any, column: str, journal: Any, live: Any) -> Difference:
    parts = key if isinstance(key, tuple) else (key,)
    words = " ".join(part.isoformat() if isinstance(part, datetime) else str(part) for part in parts)
    return Difference(table=table, key=words, column=column, journal=str(journal)[:120], live=str(live)[:120])


def rows(table: Table, found: models.QuerySet[Any]) -> Iterator[Row]:
    yield from found.order_by().values(*table.columns).iterator(chunk_size=500)


def compared(table: Table, row: Row) -> Row:
    """The part of a row that the journal alone decides."""
    if table is not POSITIONS or row["status"] == "closed":
        return row
    kept = {name: value for name, value in row.items() if name not in MARKS}
    return kept | {"data": without_marks(row["data"])}


def unequal(table: Table, folded: Row, live: Row) -> Iterator[tuple[str, Any, Any]]:
    """(column, value by the journal, value in the table) for each that differs."""
    marked = table is POSITIONS and folded["status"] != "closed"
    for column, value in folded.items():
        if column == "data":
            ours, theirs = (without_marks(data) for data in (value, live[column])) if marked else (value, live[column])
            for name in sorted(ours.keys() | theirs.keys()):
                if ours.get(name) != theirs.get(name):
                    yield f"data.{name}", ours.get(name), theirs.get(name)
        elif value != live[column] and not (marked and column in MARKS):
            yield column, value, live[column]


def without_marks(data: Row) -> Row:
    kept = {name: value for name, value in data.items() if name not in MARKS_IN_DATA}
    rules = kept.get("exit_rules")
    if rules and rules.get("trail"):
        trail = {name: value for name, value in rules["trail"].items() if name not in MARKS_OF_TRAIL}
        kept["exit_rules"] = rules | {"trail": trail}
    return kept
