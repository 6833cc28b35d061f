"""Expressions that give whole numbers on both databases: they add up exactly, and cost less to read than Decimals and times.

SQLite keeps decimals as floats; a float of four decimals times 10,000, rounded, is the number that was stored.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import BigIntegerField, Func


class TenThousandths(Func):
    """A money column in units of 0.0001."""

    output_field = BigIntegerField()
    arity = 1
    template = "CAST(ROUND(%(expressions)s * 10000) AS INTEGER)"

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s * 10000 AS bigint)", **extra)


class WholePart(Func):
    """A number without its fraction; of one that is not negative."""

    output_field = BigIntegerField()
    arity = 1
    template = "CAST(%(expressions)s AS INTEGER)"

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(floor(%(expressions)s) AS bigint)", **extra)


class HourOf(Func):
    """A time column in whole hours since 1970, rounded down."""

    output_field = BigIntegerField()
    arity = 1
    template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / 3600"

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(floor(extract(epoch FROM %(expressions)s) / 3600) AS bigint)", **extra)


def money_of(ten_thousandths: Decimal | int | None) -> Decimal:
    """The amount, with the four decimals of a stored one; nothing added up is 0."""
    return Decimal(ten_thousandths or 0).scaleb(-4)
