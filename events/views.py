"""Pages about what happened: the live trace and the stored journal. They read; nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from events.models import EventRecord
from events.rows import tape_row, without_quiet

PAGE_ROWS = 50
TRACE_ROWS = 200
MAX_SEQ = 2**63 - 1
GROUPS = {
    "orders": ("NewOrderEvent", "OrderStatusEvent", "FillEvent", "CancelEvent", "RejectEvent", "OrderGroupEvent"),
    "positions": ("PositionOpenEvent", "PositionUpdateEvent", "PositionCloseEvent"),
    "signals": ("PredictionSignalEvent", "FlowThresholdEvent", "OptionsFlowEvent"),
    "commands": ("CommandEvent",),
    "system": (
        *("ConnectionEvent", "ReconcileEvent", "TradingStateEvent", "SourceHealthEvent", "EquityEvent"),
        *("HandlerFailedEvent", "JournalCheckedEvent"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a person asked to see; every field is "" when not asked. `type` is an event class name or a group of them.

    `quiet` asks also for what changed nothing; asking for a type asks for all of it.
    """

    type: str = ""
    symbol: str = ""
    id: str = ""
    quiet: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> Filters:
        def text(name: str, most: int) -> str:
            return request.GET.get(name, "").replace("\x00", "").strip()[:most]

        return cls(type=text("type", 64), symbol=text("symbol", 21).upper(), id=text("id", 36), quiet=text("quiet", 1))

    def apply(self, rows: QuerySet[EventRecord]) -> QuerySet[EventRecord]:
        if self.type:
            rows = rows.filter(event_type__in=GROUPS.get(self.type, (self.type,)))
        if self.symbol:
            rows = rows.filter(symbol=self.symbol)
        if self.id:
            rows = rows.filter(Q(signal_id=self.id) | Q(order_id=self.id) | Q(position_id=self.id) | Q(event_id=self.id) | Q(cause=self.id))
        return rows

    @property
    def hides_quiet(self) -> bool:
        return not self.quiet and not self.type

    def __bool__(self) -> bool:
        return bool(self.type or self.symbol or self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A stretch of the journal, newest first; `older` and `newer` are the seq to go on from, None at an end."""

    rows: Sequence[EventRecord]
    older: int | None
    newer: int | None


def journal_page(rows: QuerySet[EventRecord], *, before: int | None = None, after: int | None = None, size: int = PAGE_ROWS) -> Page:
    """Keyset paging by seq: constant cost however long the journal, and new rows never shift a page being read."""
    if after is not None:
        found = list(reversed(rows.filter(seq__gt=after).order_by("seq")[:size]))
    else:
        older_than = rows.filter(seq__lt=before) if before is not None else rows
        found = list(older_than.order_by("-seq")[:size])
    if not found:
        return Page(rows=[], older=None, newer=None)
    first, last = found[0].seq, found[-1].seq
    return Page(
        rows=found,
        older=last if rows.filter(seq__lt=last).exists() else None,
        newer=first if rows.filter(seq__gt=first).exists() else None,
    )


def _seq(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return min(int(text), MAX_SEQ) if text.isascii() and text.isdigit() and len(text) < 25 else None


def _choices() -> list[tuple[str, tuple[str, ...]]]:
    return list(GROUPS.items())


@require_safe
def trace(request: HttpRequest) -> HttpResponse:
    """What happens now: the newest rows, then the live tape, filtered in the browser."""
    filters = Filters.of(request)
    wanted = filters.apply(EventRecord.objects.all())
    if filters.hides_quiet:
        wanted = without_quiet(wanted)
    rows = [tape_row(record.data, record.seq) for record in wanted.order_by("-seq")[:TRACE_ROWS]]
    return render(request, "events/trace.html", {"rows": rows, "filters": filters, "groups": _choices(), "group_table": GROUPS})


@require_safe
def journal(request: HttpRequest) -> HttpResponse:
    """Everything that was remembered, by type, symbol or id."""
    filters = Filters.of(request)
    page = journal_page(filters.apply(EventRecord.objects.all()), before=_seq(request, "before"), after=_seq(request, "after"))
    rows = [(record, tape_row(record.data, record.seq)["text"]) for record in page.rows]
    context = {"page": page, "rows": rows, "filters": filters, "groups": _choices()}
    return render(request, "events/journal.html", context)
