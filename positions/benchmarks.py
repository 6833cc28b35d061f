"""What the equity curve costs on a million stored points, beside reading all of them and thinning afterwards.

`rows()` measures on a throwaway SQLite file, never on the desk's own database, ours and the peer's way in turn.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any

from django.db import connections

from positions.curves import MAX_POINTS, Curve, equity_curve
from positions.domain.flow_adjusted import FlowAdjusted
from positions.models import EquityPoint
from positions.views_pnl import curve_columns

POINTS = 1_000_000
ACCOUNT = "DUBENCH"
FIRST = datetime(2025, 11, 1, tzinfo=UTC)
SPACING = timedelta(seconds=30)
LAST_DAY = date(2026, 11, 1)
MAX_ANSWER_KB, MAX_MILLISECONDS = 60.0, 20.0
ROUNDS = 7


def rows() -> list[dict[str, Any]]:
    """[{name, ours, peer, ratio, unit}]: time per curve, and the size of its answer against the most it may have."""
    with _million_points():
        ours, peer = _interleaved(_sought, _read_and_thinned)
        size = len(json.dumps(curve_columns(_sought(), None, FlowAdjusted()))) / 1000
    curve = {"name": "equity curve, 2,000 points of 1 M rows", "unit": "ms", "ours": ours}
    return [
        curve | {"peer": MAX_MILLISECONDS, "peer_name": "limit", "ratio": MAX_MILLISECONDS / ours, "aim": 1.0},
        curve | {"peer": peer, "peer_name": "read all, then thin", "ratio": peer / ours},
        {"name": "equity curve, the answer", "unit": "kB", "ours": size, "peer": MAX_ANSWER_KB, "peer_name": "limit"}
        | {"ratio": MAX_ANSWER_KB / size, "aim": 1.0},
    ]


def _sought() -> Curve:
    return equity_curve(ACCOUNT, first=None, last=LAST_DAY)


def _read_and_thinned() -> list[tuple[datetime, Decimal]]:
    """The obvious way: every row through the ORM, then every n-th."""
    everything = list(EquityPoint.objects.filter(account=ACCOUNT).order_by("at").values_list("at", "equity"))
    return everything[:: max(1, len(everything) // MAX_POINTS)]


def _interleaved(*ways: Callable[[], object]) -> tuple[float, ...]:
    """The median milliseconds of each way, measured in turn so that a busy machine slows all of them."""
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(ROUNDS):
        for way, times in zip(ways, taken, strict=True):
            if way is not ways[0] and turn >= 2:
                continue  # the slow way needs no more than two measurements
            start = perf_counter()
            way()
            times.append((perf_counter() - start) * 1000)
    return tuple(statistics.median(times) for times in taken)


@contextmanager
def _million_points() -> Iterator[None]:
    """The default connection is a fresh database with POINTS equity rows while this lasts."""
    own = connections["default"]
    with tempfile.TemporaryDirectory(prefix="desk-bench-") as folder:
        settings = connections.settings["default"] | {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(Path(folder) / "bench.sqlite3"),
            "OPTIONS": {},
        }
        connections.settings["default"], kept = settings, connections.settings["default"]
        try:
            connections["default"] = connections.create_connection("default")
            _fill()
            yield
        finally:
            connections["default"].close()
            connections.settings["default"] = kept
            connections["default"] = own


def _fill() -> None:
    connection = connections["default"]
    with connection.schema_editor() as editor:
        editor.create_model(EquityPoint)
    start = FIRST.replace(tzinfo=None)
    points = [(ACCOUNT, (start + SPACING * n).isoformat(sep=" "), 100_000 + n % 5000 * 1.37) for n in range(POINTS)]
    table = EquityPoint._meta.db_table
    columns = "account, at, resolution, equity, cash, unrealized_pnl, realized_pnl, day_pnl, open_risk, epoch"
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES (%s, %s, 'tick', %s, 0, 0, 0, 0, 0, 0)", points)  # noqa: S608
        cursor.execute("COMMIT")
