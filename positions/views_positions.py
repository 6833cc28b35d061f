"""The positions pages: what is open (live), what has closed (filters, paging), and one position in full."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from events.clock import utc_now
from events.keyset import keyset_page
from events.models import CommandRecord, EventRecord
from events.order import OrderRole
from positions.accounts import shown_account
from positions.analytics import closed_positions, count_and_net
from positions.current import current_positions
from positions.curves import candles
from positions.forms import ClosedFilter
from positions.history import history_lines
from positions.models import FillRecord, OrderRecord, PositionChange, PositionRecord
from positions.plans import planned_of
from positions.shown_rows import shown_rows
from positions.views_exits import exits_context
from positions.wishes import first_error

PAGE_SIZE = 50
OPEN_PAGE_SIZE = 100
BEFORE_OPEN = timedelta(minutes=90)  # candles shown before the entry and after the exit
AFTER_CLOSE = timedelta(minutes=30)
MAX_EVENTS = 200
MAX_CHANGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLine:
    """One closed position as the history prints it; `fraction` is net P&L over entry value."""

    record: PositionRecord
    held: str
    fraction: Decimal | None


@require_GET
def position_list(request: HttpRequest) -> HttpResponse:
    """Open positions first, then the closed ones that match the filters. A bad filter shows nothing and says why."""
    form = ClosedFilter(request.GET)
    valid = form.is_valid()
    found = _filtered(shown_account(request), form.cleaned_data) if valid else PositionRecord.objects.none()
    page = keyset_page(found.defer("data"), ("close_time", "position_id"), request.GET, size=PAGE_SIZE, counted=False)
    count, net = count_and_net(found)
    held = open_positions(shown_account(request))
    shown = held if request.GET.get("open") == "all" else held[:OPEN_PAGE_SIZE]
    rows = shown_rows(shown)
    total = max(held.count(), len(rows))
    context = {
        "open_rows": rows,
        "open_total": total,
        "open_rest": total - len(rows),
        "open_page": OPEN_PAGE_SIZE,
        "open_pnl": held.aggregate(sum=Sum("unrealized_pnl"))["sum"] if total else Decimal(0),
        "form": form,
        "filter_error": "" if valid else first_error(form),
        "filtered": valid and any(form.cleaned_data.values()),
        "page": page,
        "closed": [_closed_line(record) for record in page.rows],
        "closed_net": net,
        "closed_count": count,
    }
    return render(request, "positions/list.html", context, status=200 if valid else 400)


def open_positions(account: str) -> QuerySet[PositionRecord]:
    """Everything of the account that is not closed, the newest first."""
    return current_positions(account).order_by("-open_time", "-created_at")


def _filtered(account: str, wanted: dict[str, Any]) -> QuerySet[PositionRecord]:
    found = closed_positions(account, first=wanted["first"], last=wanted["last"])
    if wanted["symbol"]:
        found = found.filter(symbol=wanted["symbol"])
    if wanted["side"]:
        found = found.filter(direction=1 if wanted["side"] == "long" else -1)
    if wanted["result"] == "won":
        found = found.filter(realized_pnl__gt=0)
    if wanted["result"] == "lost":
        found = found.filter(realized_pnl__lt=0)
    return found


def _closed_line(record: PositionRecord) -> ClosedLine:
    cost = (record.entry_price or Decimal(0)) * record.opened_quantity
    held = record.close_time - record.open_time if record.close_time and record.open_time else None
    return ClosedLine(record=record, held=span_text(held), fraction=record.realized_pnl / cost if cost else None)


def span_text(span: timedelta | None) -> str:
    """The two largest units: 3 h 12 min, 2 d 4 h; "" when unknown."""
    if span is None:
        return ""
    minutes = max(0, int(span.total_seconds()) // 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {rest} min"
    return f"{rest} min" if minutes else f"{int(span.total_seconds())} s"


@require_GET
def position_detail(request: HttpRequest, position_id: str) -> HttpResponse:
    """One position: chart, figures, orders, fills, commands and every change."""
    record = get_object_or_404(PositionRecord, pk=position_id, account=shown_account(request))
    changes = PositionChange.objects.filter(position_id=position_id).order_by("-version")
    orders = OrderRecord.objects.filter(account=record.account, position_id=position_id).order_by("created_at")
    entries = orders.filter(role=OrderRole.ENTRY).values_list("data", flat=True)
    context = {
        "record": record,
        "row": record.as_row(),
        "planned": planned_of(record, entries),
        "is_open": record.status != "closed",
        "line": _closed_line(record),
        "orders": shown_rows(orders),
        "fills": FillRecord.objects.filter(account=record.account, position_id=position_id).order_by("fill_time", "id"),
        "commands": CommandRecord.objects.filter(position_id=position_id).select_related("created_by").order_by("-id")[:50],
        "history": history_lines(change.as_line() for change in changes[:MAX_CHANGES]),
        "changes": changes.count(),
        "exits": exits_context(record),
        "events": EventRecord.objects.filter(position_id=position_id).order_by("-seq")[:MAX_EVENTS],
    }
    return render(request, "positions/detail.html", context)


@require_GET
def position_bars(request: HttpRequest, position_id: str) -> JsonResponse:
    """Candles around the position's life with its markers, for the chart. Times are epoch seconds."""
    record = get_object_or_404(PositionRecord, pk=position_id, account=shown_account(request))
    opened = record.open_time or record.created_at
    end = record.close_time + AFTER_CLOSE if record.close_time else utc_now()
    step, bars = candles(record.symbol, start=opened - BEFORE_OPEN, end=end)
    answer = {
        "symbol": record.symbol,
        "step": step,
        "bars": [[bar.at, bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in bars],
        "markers": _markers(record),
        "entry": _number(record.entry_price),
        "stop": _number(record.stop_loss),
        "target": _number(record.take_profit),
        "direction": record.direction,
        "open": record.status != "closed",
    }
    return JsonResponse(answer)


def _markers(record: PositionRecord) -> list[dict[str, Any]]:
    """The moment of the signal and every fill, oldest first."""
    fills = FillRecord.objects.filter(account=record.account, position_id=record.pk, superseded=False).order_by("fill_time", "id")
    marks = [
        {
            "at": int(fill.fill_time.timestamp()),
            "kind": "fill",
            "side": fill.side,
            "price": float(fill.price),
            "quantity": float(fill.quantity),
        }
        for fill in fills
    ]
    if record.signal_id:
        signal = EventRecord.objects.filter(signal_id=record.signal_id, event_type="PredictionSignalEvent").order_by("seq").first()
        if signal is not None:
            marks.insert(0, {"at": int(signal.timestamp.timestamp()), "kind": "signal", "side": "", "price": None, "quantity": None})
    return marks


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
