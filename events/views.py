"""Pages about what happened: the live trace and the stored journal. They read; nothing here writes."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from events.keyset import keyset_page
from events.models import EventRecord
from events.rows import tape_row, without_quiet
from events.symbols import canonical_symbol

PAGE_ROWS = 50
TRACE_ROWS = 200
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

        return cls(type=text("type", 64), symbol=canonical_symbol(text("symbol", 21)), id=text("id", 36), quiet=text("quiet", 1))

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
    page = keyset_page(filters.apply(EventRecord.objects.all()), ("seq",), request.GET, size=PAGE_ROWS, counted=False)
    rows = [(record, tape_row(record.data, record.seq)["text"]) for record in page.rows]
    context = {"page": page, "rows": rows, "filters": filters, "groups": _choices()}
    return render(request, "events/journal.html", context)
