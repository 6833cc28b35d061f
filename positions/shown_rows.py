"""The rows of many objects as pages and frames show them, without what is too long for them.

The database leaves the long parts out: a position that trailed all day has hundreds of entries of history, which would be sent,
parsed and thrown away for each page.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, Func, JSONField, QuerySet

from positions.models import NOT_SHOWN, OrderRecord, PositionRecord

_LONG = sorted(NOT_SHOWN)  # names of our own, none from outside
_PATHS = ", ".join(f"'$.{name}'" for name in _LONG)
_KEYS = ", ".join(f"'{name}'" for name in _LONG)


class _WithoutTheLong(Func):
    output_field = JSONField()
    arity = 1
    template = f"json_remove(%(expressions)s, {_PATHS})"

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template=f"(%(expressions)s - ARRAY[{_KEYS}])", **extra)


def shown_rows(records: QuerySet[PositionRecord] | QuerySet[OrderRecord]) -> list[dict[str, Any]]:
    """In the order of the records; each equals its record's `as_row()`."""
    return list(records.annotate(shown=_WithoutTheLong(F("data"))).values_list("shown", flat=True))
