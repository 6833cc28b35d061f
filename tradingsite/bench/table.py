"""The table: one row per piece of work and peer, with the aim it has and whether it was met.

A ratio is always "higher is better". Where the peer is a limit (milliseconds, kilobytes, a share), the ratio is limit ÷ ours,
so that an aim of 1 means "within the limit".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]
HEAD = ("work", "unit", "ours", "peer", "", "ratio", "aim", "met")

# (what the work's name begins with, the peer's name) → the least ratio we aim for. Other rows are there to compare with.
AIMS: dict[tuple[str, str], float] = {
    ("bus, 1 sync handler", "nautilus_trader"): 5.0,
    ("bus, 1 sync handler", "eventkit"): 1.2,
    ("bus, 1 async handler", "blinker"): 5.0,
    ("bus, 10 handlers", "nautilus_trader"): 2.5,
    ("bus, handler on a base class", "nautilus_trader"): 6.0,
    ("making a PriceEvent", "a plain dataclass"): 1.0,
    ("tick → bus → tracker", "1 M/s"): 1.0,
    ("IB ticks", "ib_insync alone"): 0.85,
    ("journal", "Django bulk_create(1000)"): 3.0,
    ("frames to 200 sockets", "plain Channels group_send"): 10.0,
}


def limit(name: str, unit: str, ours: float, most: float) -> Row:
    """A row for something that may be `most` at most."""
    return {"name": name, "unit": unit, "ours": ours, "peer": most, "peer_name": "limit", "ratio": most / ours if ours else 0.0, "aim": 1.0}


def unmeasured(name: str, why: str) -> Row:
    """A row that says why it has no figures."""
    return {"name": name, "unit": "", "ours": None, "peer": None, "peer_name": f"not measured: {why}", "ratio": 0.0}


def judged(row: Row) -> Row:
    """The row with its aim and whether it was met; both None where there is only something to compare with."""
    aim = row.get("aim")
    if aim is None:
        aims = (least for (work, peer), least in AIMS.items() if row["name"].startswith(work) and row.get("peer_name", "") == peer)
        aim = next(aims, None)
    met = None if aim is None or row["ours"] is None else row["ratio"] >= aim
    return {"peer_name": "", **row, "aim": aim, "met": met}


def lines(rows: Iterable[Row]) -> list[str]:
    """The table as text, columns aligned."""
    cells: list[Sequence[str]] = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    return ["  ".join(_aligned(cell, width, column) for column, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in cells]


def _cells(row: Row) -> tuple[str, ...]:
    if row["ours"] is None:
        return (row["name"], row["unit"], "-", "-", row["peer_name"], "-", "-", "")
    aim = "" if row["aim"] is None else f"≥ {row['aim']:g}"
    met = {True: "yes", False: "NO", None: ""}[row["met"]]
    return (row["name"], row["unit"], figure(row["ours"]), figure(row["peer"]), row["peer_name"], f"{row['ratio']:.2f}", aim, met)


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if HEAD[column] in ("ours", "peer", "ratio", "aim") else cell.ljust(width)


def figure(value: float | None) -> str:
    """Three significant digits, thousands parted."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
