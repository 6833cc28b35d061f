"""What survives a restart of the gateway: one SQLite file, written before any client hears of a change.

Tables: `state` (sequences, account, moved prices), `orders` (the whole book, done ones of today included),
`executions` (by trading day), and `ledger`, an append-only account of everything that happened, kept apart so that an
independent reader can recompute the book from it. Write-ahead logging with a full sync: a kill at any point loses
nothing that was acknowledged.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from positions.gateway.orders import BookOrder, Kind, OrderSpec, Side, Status, Tif

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    client_id INTEGER NOT NULL, order_id INTEGER NOT NULL, perm_id INTEGER NOT NULL, live INTEGER NOT NULL,
    completed_at REAL, data TEXT NOT NULL, PRIMARY KEY (client_id, order_id)
);
CREATE TABLE IF NOT EXISTS executions (
    exec_id TEXT PRIMARY KEY, at REAL NOT NULL, data TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS ledger_keeps BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_stays BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution as reported. A correction has the same id but a higher last segment; liquidation 1 is a bust."""

    exec_id: str
    client_id: int
    order_id: int
    perm_id: int
    order_ref: str
    symbol: str
    side: Side
    quantity: float
    price: float
    cumulative_quantity: float
    average_price: float
    at: float
    commission: float
    realized: float | None
    liquidation: int = 0


class Store:
    """The state directory. All writes happen inside `transaction()`, which begins with the first and commits once at its end."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "gateway.sqlite3", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One that writes nothing costs nothing: most looks of the market at the book change nothing."""
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(statement, row)

    def close(self) -> None:
        self._db.close()

    def read(self, name: str, default: Any) -> Any:
        row = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def write(self, name: str, value: Any) -> None:
        self._write("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, json.dumps(value)))

    def save_order(self, order: BookOrder) -> None:
        data = json.dumps(asdict(order))
        row = (*order.key, order.perm_id, int(order.live), order.completed_at, data)
        self._write("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?)", row)

    def load_orders(self, since: float) -> list[BookOrder]:
        """Live orders and those completed at or after `since`, oldest first."""
        query = "SELECT data FROM orders WHERE live OR completed_at >= ? ORDER BY perm_id"
        return [_order(json.loads(data)) for (data,) in self._db.execute(query, (since,))]

    def save_execution(self, execution: Execution) -> None:
        row = (execution.exec_id, execution.at, json.dumps(asdict(execution)))
        self._write("INSERT OR REPLACE INTO executions VALUES (?, ?, ?)", row)

    def load_executions(self, since: float) -> list[Execution]:
        query = "SELECT data FROM executions WHERE at >= ? ORDER BY rowid"
        rows = self._db.execute(query, (since,))
        return [_execution(json.loads(data)) for (data,) in rows]

    def append(self, at: float, kind: str, data: dict[str, Any]) -> None:
        """One line of the ledger."""
        self._write("INSERT INTO ledger (at, kind, data) VALUES (?, ?, ?)", (at, kind, json.dumps(data)))

    def ledger(self, after: int = 0, limit: int = 10_000) -> list[dict[str, Any]]:
        query = "SELECT seq, at, kind, data FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = self._db.execute(query, (after, limit))
        return [{"seq": seq, "at": at, "kind": kind, "data": json.loads(data)} for seq, at, kind, data in rows]

    def whole_ledger(self) -> list[dict[str, Any]]:
        """Every line, oldest first."""
        lines: list[dict[str, Any]] = []
        while page := self.ledger(lines[-1]["seq"] if lines else 0):
            lines += page
        return lines


def _order(data: dict[str, Any]) -> BookOrder:
    spec = data.pop("spec")
    spec["side"], spec["kind"], spec["tif"] = Side(spec["side"]), Kind(spec["kind"]), Tif(spec["tif"])
    data["status"] = Status(data["status"])
    return BookOrder(spec=OrderSpec(**spec), **data)


def _execution(data: dict[str, Any]) -> Execution:
    data["side"] = Side(data["side"])
    return Execution(**data)
