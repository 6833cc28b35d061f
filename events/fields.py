"""Field values of events on their way to JSON and back: `plain()` going out, a `Reader` per declared type coming in.

A value that does not fit its declared type is refused with BadField; corrupt data is worse than no data. Inside
free-form dicts (metadata, feature values) NaN and infinities become None, because JSON has no word for them.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

Reader = Callable[[Any], Any]


class EventError(Exception):
    """Root of everything wrong with an event."""


class BadField(EventError, ValueError):
    """A value of the wrong type, a naive datetime, NaN or an infinity."""


def plain(value: Any) -> Any:
    """`value` as JSON can carry it: ISO times in UTC, enum values, finite numbers or None."""
    kind = value.__class__
    if kind is str or value is None or kind is bool or kind is int:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return aware(value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return plain(float(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) or hasattr(value, "__float__"):
        return plain(float(value))  # numpy scalars
    if isinstance(value, str):
        return str(value)
    raise BadField(f"{type(value).__name__} cannot be written as JSON")


def aware(value: datetime) -> datetime:
    """`value` in UTC; a naive datetime is refused, because nobody can say when it was."""
    if value.tzinfo is None:
        raise BadField("a datetime without a time zone")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def finite(value: float | None) -> float | None:
    """`value` unless it is NaN or infinite, or not a number at all."""
    try:
        if value is None or math.isfinite(value):
            return value
    except TypeError:
        raise BadField(f"expected a number, got {type(value).__name__}") from None
    raise BadField(f"{value} is not a finite number")


def reader_for(hint: Any) -> Reader:
    """How a JSON value becomes a value of the declared type `hint`; raises BadField when it does not fit."""
    if hint is Any:
        return lambda value: value
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        inner = next(reader_for(part) for part in typing.get_args(hint) if part is not type(None))
        return lambda value: None if value is None else inner(value)
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, Enum):
        return _enum_reader(origin)
    if origin not in _READERS:
        raise TypeError(f"a field of type {hint} cannot be read back from JSON")
    return _READERS[origin]


def _enum_reader(enum: type[Enum]) -> Reader:
    def read(value: Any) -> Enum:
        try:
            return enum(value)
        except ValueError:
            raise BadField(f"{value!r} is not a {enum.__name__}") from None

    return read


def _exact(*kinds: type) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds):
            return value
        raise BadField(f"expected {kinds[0].__name__}, got {type(value).__name__}")

    return read


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadField(f"expected a number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise BadField(f"{value} is not a finite number")
    return value  # an int stays an int: 100 shares read back as 100


def _read_datetime(value: Any) -> datetime:
    if not isinstance(value, str):
        raise BadField(f"expected a time as text, got {type(value).__name__}")
    try:
        return aware(datetime.fromisoformat(value))
    except ValueError as error:
        raise BadField(f"{value!r} is not a time: {error}") from None


def _read_tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise BadField(f"expected a list, got {type(value).__name__}")
    return tuple(value)


_READERS: dict[Any, Reader] = {
    str: _exact(str),
    int: _exact(int),
    bool: _exact(bool),
    float: _read_float,
    datetime: _read_datetime,
    dict: _exact(dict),
    list: _exact(list),
    tuple: _read_tuple,
}
