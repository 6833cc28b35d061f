"""The judge of a whole desk: what the browser showed against the database and the gateway's ledger, and what processes hold.

It reads rows of the page, both databases and process tables; it shares no code with the product.

    I1   of the approvals of one signal at most one counts, whatever was clicked
    I6   while the worker or the web was away, the page said so in time; no signal could be approved on a page that is stale
    I9   numbers of live frames and rows of the page never went back; the healed page shows what is held; its socket is back
    I10  without Redis and Celery, cancel, close and halt still work
    I11  fit to trade again by itself within 30 s
    I12  memory, threads, files and sockets of each process, and connections to the database, are back in their band
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tradingsite.chaos import oracle
from tradingsite.chaos.desk_breaking import Outage
from tradingsite.chaos.desk_browser import Mark, Notes, Shown
from tradingsite.chaos.desk_sizes import Size
from tradingsite.chaos.oracle import Violation

STALE_WITHIN = 5.5  # seconds without a sign of life: 5 by the table of limits, and what looking ten times a second cannot see
BACK_WITHIN = 5.5  # seconds from the first answer of a web process that came back to an open socket; likewise
INVARIANTS = oracle.INVARIANTS | {
    "I6": "the page said that it was stale in time, approve was disabled",
    "I7": "the journal gives the tables row for row, its chain holds",
    "I9": "the page never went back, shows what is held, its socket is back",
    "I10": "cancel, close and halt without Redis and Celery",
    "I11": "fit to trade again within 30 s",
    "I12": "memory, threads, files, sockets, connections in their band",
}
INVARIANTS = {name: INVARIANTS[name] for name in sorted(INVARIANTS, key=lambda name: int(name[1:]))}
# a band: at most so many times the first value and so much more
BAND = {"memory": (1.5, 40.0), "threads": (1.0, 6), "files": (1.0, 16), "sockets": (1.0, 12)}
MORE_CONNECTIONS = 8


def wishes(database: str, doubled: list[str]) -> Iterator[Violation]:
    """No signal has two approvals that count, and no two tabs were both told that theirs does. One that the worker refused, or
    that lapsed, sent nothing and may be decided again."""
    sql = (
        "SELECT signal_id, count(*) FROM events_commandrecord WHERE name = 'ApproveSignal' AND state NOT IN ('refused', 'expired')"
        " GROUP BY signal_id HAVING count(*) > 1"
    )
    with oracle.desk(database) as read:
        for signal, count in read(sql):
            yield Violation(invariant="I1", detail=f"signal {signal} has {count} approvals that count")
    for address in doubled:
        yield Violation(invariant="I1", detail=f"two tabs were both told that {address} was done")


def shown(rows: list[Shown], ledger: Path, database: str) -> list[Violation]:
    """The page's rows against the database's open positions, and both against the book of the gateway."""
    return [*_rows(rows, database), *_at_gateway(rows, ledger)]


def _rows(rows: list[Shown], database: str) -> Iterator[Violation]:
    with oracle.desk(database) as read:
        sql = "SELECT position_id, symbol, quantity, stop_loss FROM positions_positionrecord WHERE status <> 'closed'"
        held = {key: (symbol, float(quantity), stop) for key, symbol, quantity, stop in read(sql)}
    for row in rows:
        if row.position not in held:
            yield Violation(invariant="I9", detail=f"the page shows {row}, the database has no such open position")
            continue
        symbol, quantity, stop = held.pop(row.position)
        if row.symbol != symbol or not _same(row.quantity or 0.0, quantity, 1e-4):
            yield Violation(invariant="I9", detail=f"the page shows {row}, the database {symbol} {quantity:g}")
        if quantity and not _same(row.stop, None if stop is None else float(stop), 0.0051):
            yield Violation(invariant="I9", detail=f"the page shows {row}, the database a stop at {stop}")
    for key, (symbol, quantity, _) in held.items():
        yield Violation(invariant="I9", detail=f"the page does not show {key}: {symbol} {quantity:g}")


def _at_gateway(rows: list[Shown], ledger: Path) -> Iterator[Violation]:
    truth = oracle.read_ledger(ledger)
    on_page: dict[str, float] = defaultdict(float)
    for row in rows:
        on_page[row.symbol] += row.quantity or 0.0
    for symbol in sorted(on_page.keys() | truth.held.keys()):
        if not _same(on_page[symbol], truth.held[symbol], 1e-4):
            yield Violation(invariant="I9", detail=f"the page shows {on_page[symbol]:g} {symbol}, the gateway {truth.held[symbol]:g}")
    resting = _stop_prices(ledger)
    for row in rows:
        if row.quantity and not any(_same(row.stop, price, 0.0051) for price in resting[row.symbol]):
            yield Violation(invariant="I9", detail=f"the page shows {row}, the stops at the gateway are {resting[row.symbol]}")


def _stop_prices(ledger: Path) -> dict[str, list[float]]:
    prices: dict[str, list[float]] = defaultdict(list)
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=20)) as link:
        for (text,) in link.execute("SELECT data FROM orders WHERE live = 1"):
            spec = json.loads(text)["spec"]
            if spec["kind"] == "STP":
                prices[spec["symbol"]].append(float(spec["stop_price"]))
    return prices


def noted(page: str, notes: Notes, outages: list[Outage], first_load: float) -> Iterator[Violation]:
    """What a page noted of itself during a round. An outage proves a late mark only where it lasted longer than the limit."""
    for detail in notes.back:
        yield Violation(invariant="I9", detail=f"{page}: {detail}")
    if notes.loaded_at != first_load:
        yield Violation(invariant="I9", detail=f"{page} was loaded anew")
    pressable = [mark for mark in notes.marks if mark.stale and mark.enabled]
    if pressable:
        words = f"{page}: approve can be pressed on a stale page, {len(pressable)} looks from {pressable[0].at:.1f} on"
        yield Violation(invariant="I6", detail=words)
    silent = [mark for mark in notes.marks if mark.stale and not mark.banner]
    if silent:
        yield Violation(invariant="I6", detail=f"{page} is stale and no banner says so, {len(silent)} looks from {silent[0].at:.1f} on")
    for outage in outages:
        if outage.child in ("ibworker", "web"):
            yield from _during(page, [mark for mark in notes.marks if outage.began + STALE_WITHIN <= mark.at <= outage.ended], outage)
        if outage.child == "web":
            yield from _socket_back(page, notes, outage, outages)


def _during(page: str, late: list[Mark], outage: Outage) -> Iterator[Violation]:
    fresh = [mark for mark in late if not mark.stale]
    if fresh:
        after = fresh[0].at - outage.began
        yield Violation(invariant="I6", detail=f"{page} is not marked stale {after:.1f} s after {outage.child} stopped")
    enabled = [mark for mark in late if mark.enabled]
    if enabled:
        after = enabled[0].at - outage.began
        yield Violation(invariant="I6", detail=f"{page}: approve can be pressed {after:.1f} s after {outage.child} stopped")


def _socket_back(page: str, notes: Notes, outage: Outage, outages: list[Outage]) -> Iterator[Violation]:
    """Unless the web went away again meanwhile."""
    until = outage.ended + BACK_WITHIN
    if any(other.child == "web" and other.began <= until and other.ended > outage.ended for other in outages):
        return
    looked = [mark for mark in notes.marks if outage.ended <= mark.at]
    if not any(mark.connected and mark.at <= until for mark in looked) and any(mark.at > until for mark in looked):
        yield Violation(invariant="I9", detail=f"{page} has no socket {BACK_WITHIN:g} s after the web came back")


def seconds_to_stale(notes: Notes, outage: Outage) -> float | None:
    """How long the page took to say so; None when it did not."""
    return next((mark.at - outage.began for mark in notes.marks if mark.stale and outage.began <= mark.at <= outage.ended), None)


def seconds_to_socket(notes: Notes, outage: Outage) -> float | None:
    """How long after the end of the outage the page had a socket; None when it had none."""
    return next((mark.at - outage.ended for mark in notes.marks if mark.connected and mark.at >= outage.ended), None)


def grown(before: dict[str, Size], after: dict[str, Size]) -> Iterator[Violation]:
    """Each process against its band at the start."""
    for child, old in before.items():
        new = after.get(child)
        if new is None:
            yield Violation(invariant="I12", detail=f"{child} is not running")
            continue
        for name, (times, more) in BAND.items():
            limit = getattr(old, name) * times + more
            if getattr(new, name) > limit:
                words = f"{child}: {name} {getattr(old, name):g} at the start, {getattr(new, name):g} at the end, limit {limit:g}"
                yield Violation(invariant="I12", detail=words)


def connections_grown(before: int, after: int) -> Iterator[Violation]:
    if after > before + MORE_CONNECTIONS:
        yield Violation(invariant="I12", detail=f"{before} connections to the database at the start, {after} at the end")


def _same(one: float | None, other: float | None, within: float) -> bool:
    return one is None and other is None if one is None or other is None else abs(one - other) <= within
