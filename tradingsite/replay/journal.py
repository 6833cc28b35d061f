"""Reading the journal in stretches: from the table, or from the file a sealed stretch was archived to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connection

from tradingsite.replay.checkpoint import Segment

# What is sealed of an event, in this order; `data` is the text that the database holds.
COLUMNS = (
    *("seq", "event_id", "event_type", "source", "symbol", "timestamp"),
    *("signal_id", "order_id", "position_id", "cause", "epoch", "data"),
)
SEQ, TYPE, TIMESTAMP, EPOCH, DATA = 0, 2, 5, 10, 11
AT_ONCE = 1_000  # events read by one statement
Record = tuple[Any, ...]


def read(first: int, last: int) -> Iterator[Record]:
    """The events of the table with these seqs, both included, in order."""
    after = first - 1
    while after < last:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {', '.join(COLUMNS)} FROM events_eventrecord WHERE seq > %s AND seq <= %s ORDER BY seq LIMIT {AT_ONCE}",  # noqa: S608
                [after, last],
            )
            found = cursor.fetchall()
        yield from found
        if len(found) < AT_ONCE:
            return
        after = found[-1][SEQ]


def last_seq() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(seq) FROM events_eventrecord")
        [highest] = cursor.fetchone() or (None,)
    return int(highest or 0)


def end_of_stretch(after: int, most: int) -> int:
    """The seq of the last of the next `most` events; `after` when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(seq) FROM (SELECT seq FROM events_eventrecord WHERE seq > %s ORDER BY seq LIMIT %s) AS stretch", [after, most]
        )
        [last] = cursor.fetchone() or (None,)
    return int(last or after)


def records(segment: Segment) -> Iterator[Record]:
    """The events of a sealed stretch, from wherever they are."""
    return read(segment.first_seq, segment.last_seq)


def record(seq: int, archived: Iterable[Segment]) -> Record | None:
    """One event, from wherever it is."""
    for found in read(seq, seq):
        return found
    for segment in archived:
        if segment.archive and segment.first_seq <= seq <= segment.last_seq:
            return next((each for each in records(segment) if each[SEQ] == seq), None)
    return None
