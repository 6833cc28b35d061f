"""The addresses behind the money buttons of a position and an order: close, move stop, move target, cancel. POST only."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from events.commands import BadCommand, CancelOrder, ChangeStop, ChangeTarget, ClosePosition
from events.roles import trader_required
from positions.forms import CancelForm, CloseForm, PriceForm
from positions.models import OrderRecord, PositionRecord
from positions.orders import LIVE_STATES
from positions.wishes import file_wish, first_error, refuse

HOLDING = ("opening", "open", "adjusting", "closing")


@require_POST
@trader_required
def close(request: HttpRequest, position_id: str) -> HttpResponse:
    """File ClosePosition for all or some of the shares."""
    record = get_object_or_404(PositionRecord, pk=position_id)
    back = reverse("positions:detail", args=[position_id])
    if record.status not in HOLDING:
        return refuse(request, f"This position is {record.status}; there is nothing to close.", status=409, back=back)
    form = CloseForm(request.POST, held=record.quantity)
    if not form.is_valid():
        return refuse(request, first_error(form), status=400, back=back)
    quantity = form.cleaned_data["quantity"]
    command = ClosePosition(
        position_id=position_id,
        quantity=None if quantity is None else float(quantity),
        reason=form.cleaned_data["reason"] or "closed by hand",
    )
    return file_wish(request, command, key=form.cleaned_data["key"], back=back)


@require_POST
@trader_required
def stop(request: HttpRequest, position_id: str) -> HttpResponse:
    """File ChangeStop."""
    return _change_price(request, position_id, ChangeStop)


@require_POST
@trader_required
def target(request: HttpRequest, position_id: str) -> HttpResponse:
    """File ChangeTarget."""
    return _change_price(request, position_id, ChangeTarget)


def _change_price(request: HttpRequest, position_id: str, kind: type[ChangeStop] | type[ChangeTarget]) -> HttpResponse:
    record = get_object_or_404(PositionRecord, pk=position_id)
    back = reverse("positions:detail", args=[position_id])
    if record.status not in HOLDING:
        return refuse(request, f"This position is {record.status}; it has no stop or target to move.", status=409, back=back)
    form = PriceForm(request.POST)
    if not form.is_valid():
        return refuse(request, first_error(form), status=400, back=back)
    try:
        command = kind(position_id=position_id, price=float(form.cleaned_data["price"]))
    except BadCommand as error:
        return refuse(request, f"Refused: {error}.", status=400, back=back)
    return file_wish(request, command, key=form.cleaned_data["key"], back=back)


@require_POST
@trader_required
def cancel(request: HttpRequest, order_id: str) -> HttpResponse:
    """File CancelOrder for a live order of ours."""
    record = get_object_or_404(OrderRecord, pk=order_id)
    back = reverse("positions:order_detail", args=[order_id])
    if record.state not in LIVE_STATES:
        return refuse(request, f"This order is {record.state.replace('_', ' ')}; there is nothing to cancel.", status=409, back=back)
    form = CancelForm(request.POST)
    if not form.is_valid():
        return refuse(request, first_error(form), status=400, back=back)
    return file_wish(request, CancelOrder(order_id=order_id), key=form.cleaned_data["key"], back=back)
