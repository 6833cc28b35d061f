"""Lists of the admin over tables of millions: nothing is counted to the end, nothing is searched without an index.

A search is for a whole symbol or id, a filter offers values found by seeking the index, the drill-down by date is a range of
the calendar, and only columns with an index can be sorted by. Django's own ways read the whole table for each of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.paginator import Paginator
from django.db import connection, models
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from events.admin_words import in_words
from events.exchange_time import EXCHANGE_ZONE, exchange_date
from events.keyset import MOST_COUNTED, count_up_to_most
from events.symbols import canonical_symbol, is_symbol

MONTHS = 12
FILTER_ENDS = ("", "__exact", "__isnull", "__id__exact")  # what the admin's own filters ask of a field
MOST_VALUES = 500  # of a filter


class AtLeast(int):
    """A count that went no further: "more than 10,000" wherever it is written."""

    def __str__(self) -> str:
        return f"more than {intcomma(MOST_COUNTED)}"


class CappedPaginator(Paginator):
    """Counts no further than MOST_COUNTED, and has pages no further: what lies deeper is found by date, filter or search."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found = count_up_to_most(rows)
        return AtLeast(MOST_COUNTED) if found > MOST_COUNTED else found


class DeclaredFilters(admin.ModelAdmin):
    """A list is filtered by what `list_filter` names and by nothing else: any other query would reach the database as it is typed."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        declared = [part[0] if isinstance(part, tuple) else part for part in self.get_list_filter(request)]
        parameters = {getattr(part, "parameter_name", None) for part in declared}
        return lookup in parameters or any(lookup == f"{name}{end}" for name in declared for end in FILTER_ENDS)


class BigListAdmin(DeclaredFilters):
    """A list that stays quick over millions of rows. `search_fields` are columns with an index; they are matched whole."""

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count every value of every filter
    paginator = CappedPaginator
    sorted_by: tuple[str, ...] = ()  # columns with an index, or of a table that stays small

    @property
    def search_help_text(self) -> str:  # type: ignore[override]
        names = [_words(name) for name in self.search_fields]
        return f"A whole {', '.join(names[:-1])} or {names[-1]}." if len(names) > 1 else f"A whole {names[0]}." if names else ""

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Each column is asked first whether it has the term at all, so that no list is walked for what nobody has."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q()
        for name in self.search_fields:
            for value in _values(self.model._meta.get_field(name), term):
                if self.model._default_manager.filter(**{name: value}).order_by().exists():
                    found |= Q(**{name: value})
        return (queryset.filter(found) if found else queryset.none()), False

    def get_sortable_by(self, request: HttpRequest) -> Any:
        return self.sorted_by


def _words(name: str) -> str:
    return name.replace("_", " ")


def _values(field: Any, term: str) -> list[Any]:
    """What a typed term may be in that column; symbols are in capitals, and have one spelling."""
    if isinstance(field, models.IntegerField):
        return [int(term)] if term.isascii() and term.isdigit() and len(term) < 19 else []
    if "\x00" in term or len(term) > (field.max_length or 200):
        return []
    symbol = canonical_symbol(term)
    return list(dict.fromkeys((term, term.upper(), *([symbol] if is_symbol(symbol) else []))))


class IndexedValues(admin.AllValuesFieldListFilter):
    """The values of a column whose index begins with it, each found by one seek; DISTINCT would read them all."""

    def __init__(self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        self.lookup_choices = model._default_manager.none()
        self.values = distinct_values(model, field.column)

    def has_output(self) -> bool:
        return len(self.values) > 1

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield {
            "selected": self.lookup_val is None,
            "query_string": changelist.get_query_string(remove=[self.lookup_kwarg]),
            "display": "All",
        }
        for value in self.values:
            yield {
                "selected": self.lookup_val is not None and value in self.lookup_val,
                "query_string": changelist.get_query_string({self.lookup_kwarg: value}),
                "display": in_words(self.field, value) or self.empty_value_display,
            }


def distinct_values(model: type[models.Model], column: str) -> list[str]:
    """The different values of an indexed text column, in order, at one index seek each."""
    name, table = connection.ops.quote_name(column), connection.ops.quote_name(model._meta.db_table)
    following = f"(SELECT MIN({name}) FROM {table} WHERE {name} > found.value)"  # noqa: S608 - names of our own columns
    statement = (
        f"WITH RECURSIVE found(value) AS (SELECT MIN({name}) FROM {table}"  # noqa: S608 - names of our own columns
        f" UNION ALL SELECT {following} FROM found WHERE found.value IS NOT NULL)"
        f" SELECT value FROM found WHERE value IS NOT NULL LIMIT {MOST_VALUES}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]


def one_of(column: str, *values: str) -> type[admin.ListFilter]:
    """A filter by one of few values that are known without asking the table."""
    return type("OneOf", (_OneOf,), {"column": column, "values": values, "title": _words(column), "parameter_name": column})


class _OneOf(admin.SimpleListFilter):
    column = ""
    values: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(value, _words(value)) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


def by_date(column: str) -> type[admin.ListFilter]:
    """A drill-down by exchange date over an indexed column: years, the months of one, the days of one, as ranges."""
    return type("ByDate", (_ByDate,), {"column": column, "title": _words(column), "parameter_name": f"{column}_on"})


class _ByDate(admin.SimpleListFilter):
    column = ""

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Where one is, where one came from, and what is one step down; nothing is counted."""
        first, last = self._ends(model_admin.model)
        if first is None or last is None:
            return []
        asked = request.GET.get(self.parameter_name or "", "")
        shown = [asked[:length] for length in (4, 7) if len(asked) >= length and _span(asked)]
        for word in _below(shown[-1] if shown else "", first, last):
            shown.append(word)
        return [(word, _label(word)) for word in shown]

    def has_output(self) -> bool:
        return bool(self.lookup_choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = _span(self.value() or "")
        if span is None:
            return queryset
        began, ended = (datetime.combine(day, time(), EXCHANGE_ZONE) for day in span)
        return queryset.filter(**{f"{self.column}__gte": began, f"{self.column}__lt": ended})

    def _ends(self, model: type[models.Model]) -> tuple[date | None, date | None]:
        """The exchange days of the oldest and the newest row: two seeks."""
        moments = model._default_manager.exclude(**{self.column: None}).values_list(self.column, flat=True)
        ends = (moments.order_by(self.column).first(), moments.order_by(f"-{self.column}").first())
        first, last = (exchange_date(moment) if moment else None for moment in ends)
        return first, last


def _span(word: str) -> tuple[date, date] | None:
    """The first day, and the day after the last, of "2026", "2026-03" or "2026-03-04"."""
    try:
        parts = [int(part) for part in word.split("-")] if len(word) in (4, 7, 10) else []
        if len(parts) == 1:
            return date(parts[0], 1, 1), date(parts[0] + 1, 1, 1)
        if len(parts) == 2:
            return date(*parts, 1), (date(*parts, 1) + timedelta(days=31)).replace(day=1)  # type: ignore[call-arg]
        if len(parts) == 3:
            return date(*parts), date(*parts) + timedelta(days=1)
    except (ValueError, OverflowError):
        pass
    return None


def _below(word: str, first: date, last: date) -> Iterator[str]:
    """The years, the months of a year, or the days of a month, that lie between the ends, newest first."""
    if not word:
        yield from (str(year) for year in range(last.year, first.year - 1, -1))
    elif len(word) == 4:
        months = (f"{word}-{month:02}" for month in range(MONTHS, 0, -1))
        yield from (month for month in months if f"{first:%Y-%m}" <= month <= f"{last:%Y-%m}")
    elif span := _span(word):
        days = (span[1] - timedelta(days=back) for back in range(1, (span[1] - span[0]).days + 1))
        yield from (day.isoformat() for day in days if first <= day <= last)


def _label(word: str) -> str:
    span = _span(word)
    shape = {4: "%Y", 7: "%B %Y", 10: "%a, %b %-d, %Y"}.get(len(word), "")
    return span[0].strftime(shape) if span else word
