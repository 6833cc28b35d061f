"""Alarms and error trades: what stands, what happened, and the two deeds of a person: acknowledging and settling."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from events.clock import utc_now
from events.keyset import keyset_page
from events.roles import can, requires, trader_required
from events.step_up import Act, steps_up
from positions import error_trades
from positions.accounts import shown_account, traded_account
from positions.alarms import acknowledge, waiting
from positions.forms_alarms import AlarmForm, MarkForm, SettleForm
from positions.models import AlarmRecord, PositionRecord
from positions.wishes import first_error, wants_json

PAGE_SIZE = 50


@require_GET
def alarms(request: HttpRequest) -> HttpResponse:
    """The inbox, loudest first, then the history."""
    now = utc_now()
    history = AlarmRecord.objects.exclude(acknowledged_at=None)
    context = {
        "waiting": [(alarm, alarm.severity(now, settings.ALARM_ESCALATE_SECONDS)) for alarm in waiting()],
        "page": keyset_page(history, ("first_seen", "id"), request.GET, size=PAGE_SIZE),
        "minutes": settings.ALARM_ESCALATE_SECONDS / 60,
    }
    return render(request, "positions/alarms.html", context)


@require_POST
@trader_required
def alarm_acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Seen, and by whom. Nothing is done to any order or position."""
    get_object_or_404(AlarmRecord, pk=pk)
    form = AlarmForm(request.POST)
    note = form.cleaned_data["note"] if form.is_valid() else ""  # an alarm is seen, whatever was said of it
    new = acknowledge(pk, by=request.user.get_username(), note=note)
    if wants_json(request):
        return JsonResponse({"acknowledged": pk, "new": new})
    messages.info(
        request, "Acknowledged. It stays on this page until its cause is gone." if new else "Somebody had acknowledged it already."
    )
    return redirect("positions:alarms")


@require_GET
def error_trade_list(request: HttpRequest) -> HttpResponse:
    """Trades that should not have been, with what they cost."""
    trades = list(error_trades.listed(shown_account(request)))
    total = sum((position.total_pnl for _, position in trades if position is not None), start=Decimal(0))
    return render(request, "positions/error_trades.html", {"trades": trades, "total": total, "can_settle": can(request.user, "limits")})


@require_POST
@trader_required
def error_trade_mark(request: HttpRequest, position_id: str) -> HttpResponse:
    """A trader says that this position was an error, and why."""
    position = get_object_or_404(PositionRecord, pk=position_id)
    form = MarkForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"Nothing was marked: {first_error(form)}")
        return redirect("positions:detail", position_id)
    if error_trades.mark(position, by=request.user, note=form.cleaned_data["note"]):
        messages.warning(request, f"Marked. Entries in {position.symbol} and from its source are shut until an admin settles it.")
    else:
        messages.info(request, "It was marked already.")
    return redirect("positions:error_trades")


@require_POST
@requires("limits")
@steps_up(Act.CONTROL)
def error_trade_settle(request: HttpRequest, position_id: str) -> HttpResponse:
    """An admin says what was found and changed; the locks open."""
    form = SettleForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"Nothing was settled: {first_error(form)}")
    elif error_trades.settle(traded_account(), position_id, by=request.user, outcome=form.cleaned_data["outcome"]):
        messages.success(request, "Settled. Entries may leave again where nothing else shuts them.")
    else:
        messages.info(request, "There is no open error trade of that position.")
    return redirect("positions:error_trades")
