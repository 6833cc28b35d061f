"""Reading single fields of an API object: the right type, finite, in bounds, or BadField with the field's name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MAX_TEXT = 200
EARLIEST_MS = 946_684_800_000  # 2000-01-01
LATEST_MS = 4_102_444_800_000  # 2100-01-01


class BadField(ValueError):
    """A field holds what it must not; the text is fit to be shown."""


def number(data: Mapping[str, Any], name: str, *, low: float, high: float) -> float | None:
    """A finite number within [low, high]; None when absent or null."""
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadField(f"{name} is not a number")
    try:
        result = float(value)
    except OverflowError:
        raise BadField(f"{name} is not finite") from None
    if not math.isfinite(result):
        raise BadField(f"{name} is not finite")
    if not low <= result <= high:
        raise BadField(f"{name} is out of range")
    return result


def integer(data: Mapping[str, Any], name: str, *, low: int, high: int) -> int | None:
    value = number(data, name, low=low, high=high)
    if value is None:
        return None
    if value != int(value):
        raise BadField(f"{name} is not a whole number")
    return int(value)


def text(data: Mapping[str, Any], name: str, *, longest: int = MAX_TEXT) -> str:
    """Printable text without angle brackets; empty when absent or null."""
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadField(f"{name} is not text")
    if len(value) > longest:
        raise BadField(f"{name} is longer than {longest} characters")
    if not value.isprintable() or "<" in value or ">" in value:
        raise BadField(f"{name} holds characters that do not belong there")
    return value.strip()


def flag(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise BadField(f"{name} is not true or false")
    return value


def moment(data: Mapping[str, Any], name: str) -> datetime | None:
    """An ISO 8601 time as aware UTC; one without an offset is read as UTC. None when absent or null."""
    value = text(data, name, longest=40)
    if not value:
        return None
    try:
        result = datetime.fromisoformat(value)
        result = (result if result.tzinfo else result.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadField(f"{name} is not a time") from None
    # The first and last years of the calendar overflow as soon as anybody shifts them to another zone.
    if not EARLIEST_MS <= result.timestamp() * 1000 <= LATEST_MS:
        raise BadField(f"{name} is not between 2000 and 2100")
    return result


def milliseconds(data: Mapping[str, Any], name: str) -> int:
    """Epoch milliseconds between 2000 and 2100; required."""
    value = integer(data, name, low=0, high=10**15)
    if value is None:
        raise BadField(f"{name} is missing")
    if not EARLIEST_MS <= value <= LATEST_MS:
        raise BadField(f"{name} is not in epoch milliseconds")
    return value


def from_milliseconds(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)
