"""The judge: what the gateway's own ledger says really happened, against what the desk's database says happened.

It shares no code with the product: two files (or one file and PostgreSQL) read by plain SQL, and arithmetic. The ledger is
append-only and written by the gateway before any client hears of a change.

    I1  each approved wish: at most one entry at the gateway, and each reference is one order; in the end it is answered
    I2  no order at the gateway with our reference that has no row; what rests there is alive here, and the reverse
    I3  every execution is recorded exactly once, at its highest revision, with its commission
    I4  positions equal, per symbol
    I5  the stops resting for a symbol cover exactly what is held, and no exit ever trades more than that
    I8  no entry was placed after its wish had expired
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

INVARIANTS = {
    "I1": "an approved wish is at most one order per leg, and is answered",
    "I2": "no order at the gateway without its row; both rest or none",
    "I3": "every execution recorded exactly once, with its fee",
    "I4": "positions equal",
    "I5": "stops cover every open position, exits never exceed it",
    "I8": "nothing sent after its time to live",
}
OURS = "TD"
ENTRY = "-E"  # how the reference of an order ends that opens something
ALIVE = ("pending_new", "held", "working", "suspended")
UNSURE = ("planned", "sending", "in_doubt")
LATE = 1.0  # seconds an order may be on its way
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    invariant: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"


@dataclass(slots=True)
class Truth:
    """The gateway's ledger, folded."""

    placed: dict[tuple[int, int], Row] = field(default_factory=dict)  # (client, order id) → its first placing
    executions: dict[str, Row] = field(default_factory=dict)  # base id → highest revision
    held: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # symbol → signed shares
    taken_back: dict[str, float] = field(default_factory=dict)  # symbol → when a bust or correction last changed its shares
    links: dict[int, float | None] = field(default_factory=dict)  # client → since when it is connected; None while it is not
    live: list[Row] = field(default_factory=list)  # orders in the book
    excessive: list[str] = field(default_factory=list)  # exits of ours that traded more than was held


def examine(ledger: Path, database: str, *, settled: bool = True) -> list[Violation]:
    """All violations. Without `settled` (right after a crash) only what must hold at every instant."""
    truth = read_ledger(ledger)
    with desk(database) as rows:
        found = [*_one_order(truth, rows), *_rows_first(truth, rows), *_not_late(truth, rows)]
        found += [Violation(invariant="I5", detail=words) for words in truth.excessive]
        if settled:
            found += [*_answered(rows), *_executions(truth, rows), *_positions(truth, rows)]
            found += [*_stops(truth, rows), *_resting(truth, rows)]
        return found


class Rows:
    """Plain SELECTs on the desk's database."""

    def __init__(self, link: Any) -> None:
        self._link = link

    def __call__(self, sql: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._link.cursor()
        cursor.execute(sql)
        yield from cursor.fetchall()


@contextmanager
def desk(database: str) -> Iterator[Rows]:
    """`database` is a URL: sqlite:///path or postgres://…"""
    if database.startswith("sqlite:///"):
        with closing(sqlite3.connect(f"file:{database.removeprefix('sqlite:///')}?mode=ro", uri=True, timeout=20)) as link:
            yield Rows(link)
    else:
        import psycopg  # not needed for SQLite

        with psycopg.connect(database, autocommit=True) as link:
            yield Rows(link)


def read_ledger(path: Path) -> Truth:
    """Recompute orders, executions and holdings from the ledger alone; the book is read for what rests now."""
    truth = Truth()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as link:
        for at, kind, text in link.execute("SELECT at, kind, data FROM ledger ORDER BY seq"):
            row = json.loads(text) | {"at": at}
            if kind in ("connected", "gone"):
                truth.links[row["client_id"]] = at if kind == "connected" else None
            elif kind == "place":
                truth.placed.setdefault((row["client_id"], row["order_id"]), row)
            elif kind == "execution":
                base, _, revision = row["exec_id"].rpartition(".")
                known = truth.executions.get(base)
                if known is None or int(revision) > int(known["exec_id"].rpartition(".")[2]):
                    truth.executions[base] = row
                    _hold(truth, row, known)
        truth.live = [json.loads(text) for (text,) in link.execute("SELECT data FROM orders WHERE live = 1")]
    return truth


def _hold(truth: Truth, row: Row, revised: Row | None) -> None:
    """Book an execution, or what its newest revision changes."""
    symbol = row["symbol"]
    before = truth.held[symbol]
    after = truth.held[symbol] = before + _shares(row) - (_shares(revised) if revised else 0.0)
    if revised is not None and not _close(before, after):
        truth.taken_back[symbol] = row["at"]
    is_exit = row["order_ref"].startswith(OURS) and not row["order_ref"].endswith(ENTRY)
    if is_exit and revised is None and not _unheard(truth, row) and before * after <= 0 and not _close(after, 0.0):
        truth.excessive.append(f"{row['order_ref']} traded {_shares(row):g} {symbol} with {before:g} held")


def _unheard(truth: Truth, row: Row) -> bool:
    """An exit that rested already when shares were taken back may fill before anybody has heard of it, or while nobody can take it
    back: its client's link is down, or has only just come back."""
    at = truth.taken_back.get(row["symbol"])
    client = row.get("client_id", 0)
    placed = truth.placed.get((client, row.get("order_id", 0)))
    if at is None or placed is None or placed["at"] > at:
        return False
    connected = truth.links.get(client, at)
    return connected is None or row["at"] - max(at, connected) <= LATE


def _shares(row: Row) -> float:
    """Signed; nothing of a bust."""
    quantity = float(row["quantity"])
    return 0.0 if row["liquidation"] else quantity if row["side"].upper().startswith("B") else -quantity


def _one_order(truth: Truth, rows: Rows) -> Iterator[Violation]:
    """One id per reference at the gateway; one entry per wish, by our rows and by what the gateway was given."""
    references = Counter(row["order_ref"] for row in truth.placed.values() if row["order_ref"].startswith(OURS))
    for reference, count in references.items():
        if count > 1:
            yield Violation(invariant="I1", detail=f"{reference} is {count} orders at the gateway")
    for wish in ("intent_id", "signal_id"):
        wish_of = dict(rows(f"SELECT order_ref, {wish} FROM positions_orderrecord WHERE role = 'entry'"))  # noqa: S608 - one of two
        sent = Counter(wish_of[reference] for reference in references if wish_of.get(reference))
        for name, count in sent.items():
            if count > 1:
                yield Violation(invariant="I1", detail=f"{wish} {name} sent {count} entries")
    additions = {f"command-{key}" for (key,) in rows("SELECT id FROM events_commandrecord WHERE name = 'ScaleIn'")}
    openings = list(rows("SELECT position_id, intent_id FROM positions_orderrecord WHERE role = 'entry'"))
    entries = Counter(position for position, intent in openings if intent not in additions)
    for position, count in entries.items():
        if position and count > 1:
            yield Violation(invariant="I1", detail=f"position {position} has {count} entries")


def _answered(rows: Rows) -> Iterator[Violation]:
    for key, name, state in rows("SELECT id, name, state FROM events_commandrecord WHERE state IN ('pending', 'claimed')"):
        yield Violation(invariant="I1", detail=f"{name} {key} is still {state}")
    for reference, state in rows("SELECT order_ref, state FROM positions_orderrecord WHERE state IN ('planned', 'sending', 'in_doubt')"):
        yield Violation(invariant="I1", detail=f"order {reference} is still {state}")


def _rows_first(truth: Truth, rows: Rows) -> Iterator[Violation]:
    known = {reference for (reference,) in rows("SELECT order_ref FROM positions_orderrecord")}
    for row in truth.placed.values():
        if row["order_ref"].startswith(OURS) and row["order_ref"] not in known:
            yield Violation(invariant="I2", detail=f"{row['order_ref']} ({row['side']} {row['quantity']} {row['symbol']}) has no row")


def _resting(truth: Truth, rows: Rows) -> Iterator[Violation]:
    """Alive at the gateway and alive in the database are the same orders."""
    states: dict[str, str] = dict(rows("SELECT order_ref, state FROM positions_orderrecord"))
    book = {row["spec"]["order_ref"] for row in truth.live if row["spec"]["order_ref"].startswith(OURS)}
    for reference in sorted(book):
        if reference in states and states[reference] not in (*ALIVE, *UNSURE):
            yield Violation(invariant="I2", detail=f"{reference} rests at the gateway, the row says {states[reference]}")
    for reference, state in states.items():
        if state in ALIVE and reference.startswith(OURS) and reference not in book:
            yield Violation(invariant="I2", detail=f"{reference} does not rest at the gateway, the row says {state}")


def _executions(truth: Truth, rows: Rows) -> Iterator[Violation]:
    recorded: dict[str, list[Row]] = defaultdict(list)
    for exec_id, base, quantity, price, fee in rows(
        "SELECT exec_id, exec_base, quantity, price, commission FROM positions_fillrecord WHERE NOT superseded"
    ):
        recorded[base].append({"exec_id": exec_id, "quantity": float(quantity), "price": float(price), "fee": fee})
    for base, real in truth.executions.items():
        ours = recorded.pop(base, [])
        if real["liquidation"]:
            continue
        if len(ours) != 1:
            yield Violation(invariant="I3", detail=f"{real['exec_id']} of {real['order_ref']} is recorded {len(ours)} times")
            continue
        [fill] = ours
        same = fill["exec_id"] == real["exec_id"] and _close(fill["quantity"], real["quantity"]) and _close(fill["price"], real["price"])
        if not same:
            yield Violation(invariant="I3", detail=f"{real['exec_id']} is recorded as {fill}")
        if fill["fee"] is None or not _close(float(fill["fee"]), real["commission"]):
            yield Violation(invariant="I3", detail=f"{real['exec_id']} cost {real['commission']}, recorded {fill['fee']}")
    for base in recorded:
        yield Violation(invariant="I3", detail=f"{base} never happened at the gateway")


def _positions(truth: Truth, rows: Rows) -> Iterator[Violation]:
    ours: dict[str, float] = defaultdict(float)
    for symbol, quantity in rows("SELECT symbol, quantity FROM positions_positionrecord WHERE status <> 'closed'"):
        ours[symbol] += float(quantity)
    for symbol in sorted(ours.keys() | truth.held.keys()):
        if not _close(ours[symbol], truth.held[symbol]):
            yield Violation(invariant="I4", detail=f"{symbol}: {ours[symbol]:g} in the database, {truth.held[symbol]:g} at the gateway")


def _stops(truth: Truth, rows: Rows) -> Iterator[Violation]:
    """By symbol: stops that rest close exactly what is held; those of a parent that still works what it has filled, and no more."""
    resting: dict[str, float] = defaultdict(float)
    filled = {(row["spec"]["client_id"], row["spec"]["order_id"]): row["filled"] for row in truth.live}
    taken: dict[tuple[int, int], float] = defaultdict(float)  # by a parent's children
    for row in truth.live:
        taken[row["spec"]["client_id"], row["spec"]["parent_id"]] += row["filled"]
    for row in truth.live:
        spec, rest = row["spec"], row["quantity"] - row["filled"]
        parent = (spec["client_id"], spec["parent_id"])
        if spec["kind"] == "STP":
            sign = 1 if spec["side"].upper().startswith("S") else -1
            resting[spec["symbol"]] += sign * (min(rest, filled[parent] - taken[parent]) if parent in filled else rest)
    for symbol in sorted(resting.keys() | truth.held.keys()):
        if not _close(resting[symbol], truth.held[symbol]):
            detail = f"{symbol}: {truth.held[symbol]:g} held, stops for {resting[symbol]:g}"
            yield Violation(invariant="I5", detail=detail)


def _not_late(truth: Truth, rows: Rows) -> Iterator[Violation]:
    deadline = {
        f"command-{key}": seconds(at)
        for key, at in rows("SELECT id, expires_at FROM events_commandrecord WHERE name IN ('ApproveSignal', 'ScaleIn')")
        if at
    }
    wish_of = dict(rows("SELECT order_ref, intent_id FROM positions_orderrecord WHERE role = 'entry'"))
    for row in truth.placed.values():
        limit = deadline.get(wish_of.get(row["order_ref"], ""))
        if limit is not None and row["at"] > limit + LATE:
            yield Violation(invariant="I8", detail=f"{row['order_ref']} was placed {row['at'] - limit:.1f} s after its wish expired")


def seconds(at: str | datetime) -> float:
    """Since the epoch, of a moment as either database gives it."""
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _close(one: float, other: float) -> bool:
    return abs(one - other) < 1e-4


def counts(violations: Iterable[Violation]) -> dict[str, int]:
    """Invariant → how often it was violated; every invariant is named."""
    found = Counter(violation.invariant for violation in violations)
    return {name: found[name] for name in INVARIANTS}
