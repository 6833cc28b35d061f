"""The signals pages: what waits for a decision, the decision itself, the history, and one signal's whole chain.

Decisions answer JSON to our scripts and a redirect to a plain form; every refusal is a sentence with a 4xx status.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from events.clock import utc_now
from events.exchange_time import EXCHANGE_ZONE
from events.keyset import keyset_page
from events.models import CommandRecord, EventRecord
from events.roles import trader_required
from events.rows import command_row
from events.step_up import Act, step_up
from positions.accounts import OnlyLookedAt, acting_account, shown_account
from positions.models import FillRecord, OrderRecord, PositionRecord
from positions.wishes import first_error, wants_json
from signals.again import decide_again, nothing_came_of
from signals.approval import CONFLICT, Decision, Refusal, approve, reject
from signals.chain import steps
from signals.facts import gather
from signals.flow_panel import flow_of
from signals.forms import REJECT_REASONS, ApproveForm, DecisionForm, HistoryFilter, RejectForm, SeenForm
from signals.models import SignalRecord
from signals.objections import CLOSES
from signals.pending import ROOM, pending_count, waiting_window
from signals.proposal import propose

PAGE_SIZE = 20
MAX_EVENTS = 200


@require_GET
def signal_list(request: HttpRequest) -> HttpResponse:
    """Pending signals as cards, then the history. A bad filter shows nothing and says why."""
    form = HistoryFilter(request.GET)
    valid = form.is_valid()
    found = _filtered(form.cleaned_data) if valid else SignalRecord.objects.none()
    page = keyset_page(found, ("created_at", "signal_id"), request.GET, size=PAGE_SIZE)
    skip = _skip(request)
    total = pending_count()
    rows = waiting_window(skip=skip)
    context = {
        "rows": rows,
        "total": total,
        "more": total - len(rows),
        "room": ROOM,
        "skip": skip,
        "earlier": max(0, skip - ROOM) if skip else None,
        "later": skip + ROOM if skip + len(rows) < total else None,
        "approvals_ask": settings.CONFIRM_APPROVALS,
        "reasons": REJECT_REASONS,
        "form": form,
        "filter_error": "" if valid else first_error(form),
        "filtered": valid and bool(form.applied()),
        "page": page,
    }
    return render(request, "signals/list.html", context, status=200 if valid else 400)


def _skip(request: HttpRequest) -> int:
    """How many of those that wait are on earlier pages."""
    text = request.GET.get("skip", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _filtered(wanted: dict[str, Any]) -> QuerySet[SignalRecord]:
    found = SignalRecord.objects.all()
    if wanted["state"]:
        found = found.filter(state=wanted["state"])
    else:  # those that can still be decided stand above, as cards
        found = found.exclude(state=SignalRecord.State.PENDING, expires_at__gt=utc_now())
    if wanted["symbol"]:
        found = found.filter(symbol=wanted["symbol"])
    if wanted["first"]:
        found = found.filter(created_at__gte=datetime.combine(wanted["first"], time.min, EXCHANGE_ZONE))
    if wanted["last"]:
        found = found.filter(created_at__lt=datetime.combine(wanted["last"] + timedelta(days=1), time.min, EXCHANGE_ZONE))
    return found


@require_GET
def detail(request: HttpRequest, signal_id: str) -> HttpResponse:
    """The whole chain: prediction, decision, command, orders, fills, position, result."""
    signal = get_object_or_404(SignalRecord.objects.select_related("prediction"), pk=signal_id)
    proposal = propose(signal, gather({signal.symbol})) if signal.state == SignalRecord.State.PENDING else None
    account = shown_account(request)
    positions = list(PositionRecord.objects.filter(account=account, signal_id=signal_id).order_by("created_at"))
    commands = list(CommandRecord.objects.filter(signal_id=signal_id).select_related("created_by").order_by("id"))
    orders = list(OrderRecord.objects.filter(account=account, signal_id=signal_id).order_by("created_at", "order_id"))
    fills = list(FillRecord.objects.filter(account=account, signal_id=signal_id, superseded=False).order_by("fill_time", "id"))
    context = {
        "signal": signal,
        "steps": steps(signal, commands, orders, fills, positions),
        "prediction": signal.prediction,
        "proposal": proposal,
        "again": nothing_came_of(signal, now=utc_now()),
        "row": proposal.as_row() if proposal else None,
        "approvals_ask": settings.CONFIRM_APPROVALS,
        "reasons": REJECT_REASONS,
        "commands": commands,
        "orders": orders,
        "fills": fills,
        "positions": positions,
        "result": sum((position.realized_pnl for position in positions), start=0) if positions else None,
        "flow": flow_of(signal.symbol),
        "trail": EventRecord.objects.filter(signal_id=signal_id).order_by("-seq")[:MAX_EVENTS],
    }
    return render(request, "signals/detail.html", context)


@require_GET
def flow(request: HttpRequest, signal_id: str) -> JsonResponse:
    """The option flow of the signal's ticker, for the panel that keeps itself fresh while it is looked at."""
    signal = get_object_or_404(SignalRecord.objects.only("symbol"), pk=signal_id)
    return JsonResponse(flow_of(signal.symbol).as_json())


@require_POST
@trader_required
def approve_signal(request: HttpRequest, signal_id: str) -> HttpResponse:
    """Approve with the numbers of the form."""
    form = ApproveForm(request.POST)
    if not form.is_valid():
        return _bad_form(request, form, signal_id)
    signal = get_object_or_404(SignalRecord, pk=signal_id)
    if form.cleaned_data["ask"] and settings.CONFIRM_APPROVALS:
        return _question(request, form, signal)
    if signal.action not in CLOSES and (asks := step_up(request, Act.APPROVE)) is not None:
        return asks
    answer = _decide(request, form, lambda decision: approve(signal_id, decision, form.ticket(signal), edited=form.edited()))
    return _answer(request, answer, signal, "approved")


@require_POST
@trader_required
def reject_signal(request: HttpRequest, signal_id: str) -> HttpResponse:
    """Reject for a reason of the list."""
    form = RejectForm(request.POST)
    if not form.is_valid():
        return _bad_form(request, form, signal_id)
    signal = get_object_or_404(SignalRecord, pk=signal_id)
    answer = _decide(request, form, lambda decision: reject(signal_id, decision, form.words()))
    return _answer(request, answer, signal, "rejected")


@require_POST
@trader_required
def decide_signal_again(request: HttpRequest, signal_id: str) -> HttpResponse:
    """Put a signal whose approval came to nothing back among those that wait. Nothing of the old ticket is carried over."""
    form = SeenForm(request.POST)
    if not form.is_valid():
        return _bad_form(request, form, signal_id)
    signal = get_object_or_404(SignalRecord, pk=signal_id)
    answer = decide_again(signal_id, user=request.user, version=form.cleaned_data["version"])
    if isinstance(answer, Refusal):
        return _refused(request, answer, signal)
    if wants_json(request):
        return JsonResponse({"state": str(answer.state), "version": answer.version})
    messages.success(request, f"{answer.symbol} waits for your decision again, by the numbers of now.")
    return redirect("signals:detail", signal_id)


def _question(request: HttpRequest, form: ApproveForm, signal: SignalRecord) -> HttpResponse:
    """What the page's script asks in a dialog, asked by the server: the same form again, without its `ask`. Nothing is changed."""
    proposal = propose(signal, gather({signal.symbol}), form.ticket(signal))
    kept = [(name, value) for name, value in request.POST.items() if name not in ("ask", "csrfmiddlewaretoken")]
    context = {"signal": signal, "row": proposal.as_row(), "kept": kept, "closes": signal.action in CLOSES}
    return render(request, "signals/approve.html", context)


def _decide(request: HttpRequest, form: DecisionForm, act: Callable[[Decision], CommandRecord | Refusal]) -> CommandRecord | Refusal:
    """What `act` makes of the person's decision, which is for the traded account alone."""
    try:
        account = acting_account(request)
    except OnlyLookedAt as error:
        return Refusal(code="other_account", message=str(error), status=CONFLICT)
    return act(Decision(user=request.user, account=account, key=form.cleaned_data["key"], version=form.cleaned_data["version"]))


def _answer(request: HttpRequest, answer: CommandRecord | Refusal, signal: SignalRecord, done: str) -> HttpResponse:
    if isinstance(answer, Refusal):
        return _refused(request, answer, signal)
    if wants_json(request):
        return JsonResponse({"command": command_row(answer), "state": done}, status=202)
    side = "buy" if signal.direction > 0 else "sell"
    messages.success(request, f"{done.capitalize()}: {side} {signal.symbol}. What became of it stands on this page.")
    return redirect("signals:detail", signal.signal_id)


def _refused(request: HttpRequest, refusal: Refusal, signal: SignalRecord | None) -> HttpResponse:
    reasons = [objection.as_row() for objection in refusal.objections]
    if wants_json(request):
        return JsonResponse({"error": refusal.message, "code": refusal.code, "refusals": reasons}, status=refusal.status)
    context = {"message": refusal.message, "refusals": reasons, "signal": signal}
    return render(request, "signals/refused.html", context, status=refusal.status)


def _bad_form(request: HttpRequest, form: SeenForm, signal_id: str) -> HttpResponse:
    signal = SignalRecord.objects.filter(pk=signal_id).first()
    if signal is None:
        raise Http404("no such signal")
    return _refused(request, Refusal(code="bad_form", message=first_error(form), status=400), signal)
