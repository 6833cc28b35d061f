"""What the admin pages of all apps share: pages to look at, and cells that write numbers and times as the desk does.

A model's own columns would show six decimals, UTC and names like "pnl"; `cell` shows a column the way the desk's pages do.
"""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html

from events.admin_lists import BigListAdmin
from events.admin_words import in_words
from events.templatetags import desk
from events.wording import UNKNOWN

Cell = Any  # Callable[[Model], str]; the stubs of the admin want bool or str of each option, never both

MONEY_PLACES = 4  # how money is stored; prices have more

_LABELS = {"price_at": "Price from"}
# Parts of column names as people write them.
_WORDS = {"pnl": "P&L", "ib": "IB", "id": "id", "oca": "OCA", "r": "R", "pct": "%", "at": "", "atr": "ATR", "url": "URL", "tif": "TIF"}


@functools.cache
def cell(model: type[models.Model], name: str, label: str = "") -> Cell:
    """The column `name` of `model` for list_display and readonly_fields: formatted, sortable, named for people."""
    field: Any = model._meta.get_field(name)

    @admin.display(description=label or label_of(field), ordering=name, boolean=isinstance(field, models.BooleanField))
    def show(record: Any) -> Any:
        return written(field, getattr(record, name))

    show.__name__ = name
    return show


def cells(model: type[models.Model], *names: str) -> Any:
    """A list of `cell`s."""
    return [cell(model, name) for name in names]


def label_of(field: models.Field[Any, Any]) -> str:
    """unrealized_pnl -> Unrealized P&L; ib_order_id -> IB order id"""
    if field.name in _LABELS:
        return _LABELS[field.name]
    words = [_WORDS.get(word, word) for word in str(field.verbose_name).split()]
    text = " ".join(word for word in words if word) or str(field.verbose_name)
    return text if text[:2].isupper() else text[:1].upper() + text[1:]


def written(field: models.Field[Any, Any], value: Any) -> Any:
    """A stored value as the desk's pages write it."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(field, models.DateTimeField):
        return desk.et(value, "full")
    if isinstance(field, models.DecimalField):
        if "pnl" in field.name:
            return desk.signed(value)
        is_money = field.decimal_places == MONEY_PLACES and "quantity" not in field.name
        return desk.money(value) if is_money else plain_number(value)
    if isinstance(field, models.FloatField):
        return plain_number(Decimal(repr(value)))
    if isinstance(field, models.IntegerField) and not isinstance(value, bool) and field.name.startswith("max_"):
        return desk.quantity(value)
    if isinstance(field, models.JSONField):
        return format_html("<pre>{}</pre>", desk.pretty_json(value))
    return in_words(field, value)


def plain_number(value: Decimal) -> str:
    """150 -> 150, 516.680000 -> 516.68, 0.5 -> 0.50, 12500 -> 12,500: no trailing zeros, but cents stay cents."""
    places = max(0, -int(value.normalize().as_tuple().exponent))
    return desk.money(value, 2 if places == 1 else min(places, 6))


class ReadOnlyAdmin(BigListAdmin):
    """Pages to read and search; no add, no save, no delete, no bulk action. Every column is shown as a `cell`."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_list_display(self, request: HttpRequest) -> Any:
        return [self._shown(name) for name in self.list_display]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [self._shown(field.name) for field in self.model._meta.fields if not (field.primary_key and field.auto_created)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def get_sortable_by(self, request: HttpRequest) -> Any:
        return [self._shown(name) for name in self.sorted_by]

    def _shown(self, name: Any) -> Any:
        columns = {field.name for field in self.model._meta.fields}
        model: Any = self.model  # the stubs do not know that classes are hashable
        return cell(model, name) if name in columns and not hasattr(self, name) else name
