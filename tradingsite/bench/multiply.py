"""The rows of made-up years once more, and again, inside the database: ten times as many at the price of a copy.

A copy's ids differ in their first character, its moments by seconds (its bars by weeks), so that every constraint holds and
a row's columns still lead to the rows of its own copy.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, models, transaction

from events.models import CommandRecord, EventRecord
from positions.models import EquityPoint, FillRecord, MinuteBar, OrderRecord, PositionRecord
from signals.models import FlowPoint, PredictionRecord, SignalRecord

MARKS = "ghjkmnpqr"  # what the ids of the copies begin with; of the first rows none does, and none is copied twice
MOST = len(MARKS) + 1
TEXTS = ("event_id", "signal_id", "order_id", "position_id", "cause", "intent_id", "parent_order_id", "order_ref", "exec_id", "exec_base")
MOMENTS = ("timestamp", "at", "created_at", "received_at", "fill_time", "open_time", "close_time")
WEEKS_OF_BARS = 3  # from a copy of the bars to the next
TABLES: list[type[models.Model]] = [
    PredictionRecord, SignalRecord, PositionRecord, OrderRecord, FillRecord, CommandRecord, EquityPoint, MinuteBar, FlowPoint, EventRecord,
]  # fmt: skip


def multiply(times: int) -> None:
    """`times` as many rows as there are now, 1 to MOST."""
    if not 1 <= times <= MOST:
        raise ValueError(f"{times} times: 1 to {MOST} can be made")
    predictions = PredictionRecord.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    for model in TABLES:
        counted = model._meta.pk is not None and isinstance(model._meta.pk, models.AutoField)
        last = model._default_manager.order_by("-pk").values_list("pk", flat=True).first() if counted else None
        for copy in range(1, times):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_statement(model, copy, predictions, last))


def _statement(model: type[models.Model], copy: int, predictions: int, last: Any) -> str:
    """One INSERT of the first rows once more: those up to the key `last`, or whose key begins with no mark."""
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField) or model is PredictionRecord]
    table, key = model._meta.db_table, f'"{model._meta.pk.column}"'
    columns = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(_value(model, field, copy, predictions) for field in fields)
    first = f"{key} <= {last}" if last is not None else f"{key} < '{MARKS[0]}'"
    return f'INSERT INTO "{table}" ({columns}) SELECT {values} FROM "{table}" WHERE {first}'  # noqa: S608 - own names and numbers


def _value(model: type[models.Model], field: models.Field[Any, Any], copy: int, predictions: int) -> str:
    """The SQL of a column's value in a copy."""
    column = f'"{field.column}"'
    if field.column in ("id", "prediction_id") and model in (PredictionRecord, SignalRecord):
        return f"{column} + {copy * predictions}"
    if field.column in ("timestamp", "key") and isinstance(field, models.BigIntegerField):
        return f"{column} + {copy if model is PredictionRecord else copy * 10_000_000}"
    if field.column in TEXTS:
        return f"CASE WHEN {column} = '' THEN '' ELSE '{MARKS[copy - 1]}' || substr({column}, 2) END"
    if field.column == "key":
        return f"{column} || '-{MARKS[copy - 1]}'"
    if field.column in MOMENTS:
        return _moved(column, copy * WEEKS_OF_BARS * 7 * 86_400 if model is MinuteBar else -copy)
    return column


def _moved(column: str, back: int) -> str:
    """A moment so many seconds earlier."""
    if connection.vendor == "postgresql":
        return f"{column} - interval '{back} seconds'"
    whole = f"strftime('%Y-%m-%d %H:%M:%S', {column}, '{-back:+} seconds')"
    return f"{whole} || substr({column}, 20)"  # with its fraction of a second, if it has one
