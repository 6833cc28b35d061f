"""The orders pages: the live blotter with filters and paging, and one order with its fills and its trail of events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from events.exchange_time import day_start
from events.keyset import is_first, keyset_page
from events.models import CommandRecord, EventRecord
from events.tape import order_state_words
from positions.accounts import shown_account
from positions.current import living_orders
from positions.forms import OrderFilter
from positions.models import FillRecord, OrderRecord
from positions.orders import HELD_WORDS, LIVE_STATES, PENDING_WORDS, ROLE_WORDS, STATE_WORDS
from positions.wishes import first_error

PAGE_SIZE = 50
MAX_EVENTS = 200
WORDS = {"state_words": STATE_WORDS | HELD_WORDS, "pending_words": PENDING_WORDS, "role_words": ROLE_WORDS}


@require_GET
def order_list(request: HttpRequest) -> HttpResponse:
    """The blotter, newest first. A bad filter shows nothing and says why."""
    form = OrderFilter(request.GET)
    valid = form.is_valid()
    found = _filtered(shown_account(request), form.cleaned_data) if valid else OrderRecord.objects.none()
    page = keyset_page(found, ("created_at", "order_id"), request.GET, size=PAGE_SIZE)
    filtered = valid and any(form.cleaned_data.values())
    context = {
        "form": form,
        "filter_error": "" if valid else first_error(form),
        "filtered": filtered,
        "page": page,
        "rows": [order_line(record) for record in page.rows],
        "live_count": living_orders(shown_account(request)).count(),
        # New orders are put on top only where they belong: the unfiltered first page, or the filter "live".
        "grows": is_first(request.GET) and (not filtered or _only_live(form.cleaned_data)),
        "live_states": sorted(LIVE_STATES),
        **WORDS,
    }
    return render(request, "positions/orders.html", context, status=200 if valid else 400)


def _only_live(wanted: dict[str, Any]) -> bool:
    return wanted["state"] == "live" and sum(bool(value) for value in wanted.values()) == 1


def _filtered(account: str, wanted: dict[str, Any]) -> QuerySet[OrderRecord]:
    found = OrderRecord.objects.filter(account=account)
    if wanted["state"] == "live":
        found = found.filter(state__in=LIVE_STATES)
    elif wanted["state"]:
        found = found.filter(state=wanted["state"])
    if wanted["symbol"]:
        found = found.filter(symbol=wanted["symbol"])
    if wanted["role"]:
        found = found.filter(role=wanted["role"])
    if wanted["first"]:
        found = found.filter(created_at__gte=day_start(wanted["first"]))
    if wanted["last"]:
        found = found.filter(created_at__lt=day_start(wanted["last"] + timedelta(days=1)))
    return found


def order_line(record: OrderRecord) -> dict[str, Any]:
    """A page row with what the blotter adds: is it alive, and the state in plain words."""
    row = record.as_row()
    shown = order_state_words(row["state"], row.get("why_held"), row.get("role"))
    words = {
        "state_words": HELD_WORDS.get(shown) or STATE_WORDS.get(row["state"], ""),
        "pending_words": PENDING_WORDS.get(row["pending"], ""),
    }
    return {**row, **words, "live": row["state"] in LIVE_STATES, "role_words": ROLE_WORDS.get(row["role"], "")}


@require_GET
def order_detail(request: HttpRequest, order_id: str) -> HttpResponse:
    """One order: its state, prices, ids, fills, commands, and everything that happened to it."""
    record = get_object_or_404(OrderRecord, pk=order_id, account=shown_account(request))
    family = (
        OrderRecord.objects.filter(account=record.account, intent_id=record.intent_id).exclude(pk=record.pk)
        if record.intent_id
        else OrderRecord.objects.none()
    )
    context = {
        "record": record,
        "row": order_line(record),
        "family": [order_line(other) for other in family.order_by("created_at")[:20]],
        "fills": FillRecord.objects.filter(account=record.account, order_id=order_id).order_by("fill_time", "id"),
        "commands": CommandRecord.objects.filter(order_id=order_id).select_related("created_by").order_by("-id")[:50],
        "events": EventRecord.objects.filter(order_id=order_id).order_by("-seq")[:MAX_EVENTS],
        "live_states": sorted(LIVE_STATES),
        **WORDS,
    }
    return render(request, "positions/order_detail.html", context)
