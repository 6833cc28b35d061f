"""Paging by where a row stands, not by how many stand before it: every page costs the same, and new rows never shift one being read.

Lists are newest first. A place in one is a cursor, the values of the columns it is ordered by; `?before=` and `?after=` go on
from there, `?end=1` is the last page. OFFSET and COUNT would read everything before the page, and everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from django.contrib.humanize.templatetags.humanize import intcomma
from django.db import models
from django.db.models import Q, QuerySet

MOST_COUNTED = 10_000
MAX_NUMBER = 2**63 - 1
LONGEST = 80  # characters of a cursor
SEPARATOR = "~"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Record = TypeVar("Record", bound=models.Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Record]):
    """A stretch of a list, newest first; `older` and `newer` are the cursors to go on from, "" at an end.

    `count` is None where nobody asked for it; counting stops at one more than MOST_COUNTED.
    """

    rows: list[Record]
    older: str = ""
    newer: str = ""
    count: int | None = None

    @property
    def count_text(self) -> str:
        """The count in words that are true: 1,234, or more than 10,000."""
        if self.count is None:
            return ""
        return f"more than {intcomma(MOST_COUNTED)}" if self.count > MOST_COUNTED else str(intcomma(self.count))

    @property
    def is_one_of_many(self) -> bool:
        return bool(self.older or self.newer)


def keyset_page(rows: QuerySet[Record], by: tuple[str, ...], asked: Mapping[str, str], *, size: int, counted: bool = True) -> Page[Record]:
    """The page of `rows` that `asked` names. `by` are one or two columns whose values together are unique, the time first.

    A cursor that is none is not followed: the first page is shown.
    """
    before, after = _read(rows, by, asked.get("before", "")), _read(rows, by, asked.get("after", ""))
    newest_first = [f"-{name}" for name in by]
    if after is not None:
        found = list(rows.filter(_beyond(by, after, "gt")).order_by(*by)[: size + 1])
        more_newer, found = len(found) > size, found[:size][::-1]
        more_older = bool(found) and _any(rows, by, found[-1], "lt")
    elif before is None and asked.get("end"):
        found = list(rows.order_by(*by)[: size + 1])
        more_newer, more_older, found = len(found) > size, False, found[:size][::-1]
    else:
        older_than = rows if before is None else rows.filter(_beyond(by, before, "lt"))
        found = list(older_than.order_by(*newest_first)[: size + 1])
        more_older, found = len(found) > size, found[:size]
        more_newer = before is not None and bool(found) and _any(rows, by, found[0], "gt")
    return Page(
        rows=found,
        older=_cursor(by, found[-1]) if more_older else "",
        newer=_cursor(by, found[0]) if more_newer else "",
        count=count_up_to_most(rows) if counted else None,
    )


def count_up_to_most(rows: QuerySet[Any]) -> int:
    """How many there are, looked at no further than one beyond MOST_COUNTED."""
    return rows.order_by()[: MOST_COUNTED + 1].count()


def is_first(asked: Mapping[str, str]) -> bool:
    """Whether `asked` names the newest page."""
    return not any(asked.get(name) for name in ("before", "after", "end"))


def _any(rows: QuerySet[Any], by: tuple[str, ...], record: models.Model, way: str) -> bool:
    return rows.filter(_beyond(by, tuple(getattr(record, name) for name in by), way)).order_by().exists()


def _beyond(by: tuple[str, ...], place: tuple[Any, ...], way: str) -> Q:
    """Rows on one side of a place. The first column alone is a range that an index can seek."""
    if len(by) == 1:
        return Q(**{f"{by[0]}__{way}": place[0]})
    first, second = by
    return Q(**{f"{first}__{way}e": place[0]}) & (Q(**{f"{first}__{way}": place[0]}) | Q(**{f"{second}__{way}": place[1]}))


def _cursor(by: tuple[str, ...], record: models.Model) -> str:
    values = (getattr(record, name) for name in by)
    return SEPARATOR.join(str((v - EPOCH) // timedelta(microseconds=1)) if isinstance(v, datetime) else str(v) for v in values)


def _read(rows: QuerySet[Any], by: tuple[str, ...], text: str) -> tuple[Any, ...] | None:
    """The place a cursor names; None for what is no cursor of this list."""
    parts = text.split(SEPARATOR, len(by) - 1)
    if not text or len(text) > LONGEST or "\x00" in text or len(parts) != len(by):
        return None
    try:
        return tuple(_value(rows.model._meta.get_field(name), part) for name, part in zip(by, parts, strict=True))
    except (ValueError, OverflowError):
        return None


def _value(field: Any, text: str) -> Any:
    if isinstance(field, models.DateTimeField):
        return EPOCH + timedelta(microseconds=_whole(text))
    return min(_whole(text), MAX_NUMBER) if isinstance(field, models.IntegerField) else text


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)
