"""Events as database rows: the journal's columns, and the event itself as JSON.

`data` is written by orjson straight from the event's fields (times, enums and NaN → null are orjson's own), which is
several times faster than building `to_dict()` first and says the same.
"""

from __future__ import annotations

import json
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson

from events.base import BadField, BaseEvent
from events.fields import plain

COLUMNS = (
    *("seq", "event_id", "event_type", "source", "symbol", "timestamp"),
    *("signal_id", "order_id", "position_id", "cause", "epoch", "data"),
)

_NUL = b"\\u0000"  # how JSON writes a NUL character; PostgreSQL refuses it

# (event_id, event_type, source, symbol, timestamp, signal_id, order_id, position_id, cause, data): a row but for seq and epoch
Row = tuple[str, str, str, str, datetime, str, str, str, str, bytes]

# Event class → (its field names, what reads them all at once)
_readers: dict[type[BaseEvent], tuple[tuple[str, ...], attrgetter[tuple[Any, ...]]]] = {}


def to_json(event: BaseEvent) -> bytes:
    """`event.to_dict()` as JSON."""
    names, read = _reader(event.__class__)
    try:
        text = orjson.dumps(dict(zip(names, read(event), strict=True)), default=plain)
    except TypeError:  # a key that is no text, or a lone surrogate or an integer beyond 64 bits from a source that sends garbage
        return _careful_json(event)
    return text if _NUL not in text else _careful_json(event)


def _careful_json(event: BaseEvent) -> bytes:
    """JSON that every database can store: NUL characters and lone surrogates become U+FFFD."""
    return json.dumps(_storable(event.to_dict()), allow_nan=False).encode()


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def to_row(event: BaseEvent) -> Row:
    """The journal row of `event` as it is now; raises BadField for what the columns cannot hold."""
    symbol = getattr(event, "symbol", "") or getattr(event, "ticker", "")
    row = (
        event.event_id,
        event.__class__.__name__,
        event.source or "",
        symbol,
        event.timestamp,
        event.signal_id,
        event.order_id,
        event.position_id,
        event.cause,
        to_json(event),
    )
    if "\x00" in f"{symbol}{row[2]}{''.join(row[5:9])}":
        raise BadField(f"{event.event_type}: a NUL character in an id, the symbol or the source")
    if len(symbol) > 21 or len(row[2]) > 32 or max(map(len, (row[0], *row[5:9]))) > 36:
        raise BadField(f"{event.event_type}: an id is longer than 36, a symbol than 21 or a source than 32 characters")
    return row


def _reader(kind: type[BaseEvent]) -> tuple[tuple[str, ...], attrgetter[tuple[Any, ...]]]:
    known = _readers.get(kind)
    if known is None:
        names = ("event_type", *kind.field_names())
        known = _readers[kind] = (names, attrgetter(*names))
    return known
