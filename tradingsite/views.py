"""The overview, health addresses, and the switches that stop and release trading.

Stopping is for traders, releasing and flattening for admins. Each switch files a command; the worker obeys or refuses it.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from events.clock import utc_now
from events.commands import SWITCHES, BadCommand, Command, FlattenAll, HaltTrading, ReduceOnly, ResumeTrading
from events.inbox import file_command
from events.models import CommandRecord
from events.roles import can, requires
from events.step_up import Act, steps_up
from positions.accounts import shown_account, traded_account
from positions.current import current_positions, living_orders
from positions.locks import active_locks, clear
from positions.models import TradingState
from positions.wishes import first_error
from signals.models import SignalRecord
from signals.session import session_row
from tradingsite.command_words import words_of
from tradingsite.forms import ClearLockForm, SwitchForm
from tradingsite.health import Check, proofs, readiness
from tradingsite.health_upkeep import upkeep
from tradingsite.overview import first_picture, todays_equity

RELEASE_WORD = "RESUME"
FLATTEN_WORD = "FLATTEN"


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    return render(
        request, "tradingsite/overview.html", first_picture(shown_account(request)) | {"checks": [*readiness(), *proofs(), *upkeep()]}
    )


@require_GET
@never_cache
def equity_today(request: HttpRequest) -> JsonResponse:
    return JsonResponse(todays_equity(shown_account(request)))


@require_GET
@never_cache
def overview_health(request: HttpRequest) -> JsonResponse:
    """The same verdict as /readyz for the page's own tiles: always 200, since it is the page that is being answered."""
    verdict = _verdict(readiness())
    return JsonResponse(verdict | {"checks": [*verdict["checks"], *(check.as_row() for check in [*proofs(), *upkeep()])]})


@require_GET
@never_cache
def session_clock(request: HttpRequest) -> JsonResponse:
    """The session clock of the bar, asked again by the page whenever it says it will change."""
    return JsonResponse(session_row())


@require_GET
@never_cache
def command_words(request: HttpRequest, number: int) -> JsonResponse:
    """What a command was about, for the note that tells its outcome."""
    return JsonResponse({"words": words_of(get_object_or_404(CommandRecord, pk=number))})


def _verdict(checks: list[Check]) -> dict[str, Any]:
    return {"ready": all(check.fit for check in checks), "at": utc_now().isoformat(), "checks": [check.as_row() for check in checks]}


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is asked, nothing is told."""
    return HttpResponse("ok", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 only when every part is fit to trade; which part is not is for those logged in."""
    checks = readiness()
    verdict = _verdict(checks)
    database_is_up = checks[-1].fit  # without it nobody's session can be read
    told = verdict if database_is_up and request.user.is_authenticated else {"ready": verdict["ready"]}
    return JsonResponse(told, status=200 if verdict["ready"] else 503)


def _scope(account: str) -> dict[str, int]:
    """What the switches would touch, counted now."""
    working = living_orders(account)
    return {
        "signals": SignalRecord.objects.filter(state=SignalRecord.State.PENDING, expires_at__gt=utc_now()).count(),
        "positions": current_positions(account).exclude(quantity=0).count(),
        "entries": working.filter(role="entry").count(),
        "exits": working.exclude(role="entry").count(),
    }


@require_GET
@never_cache
def trading_scope(request: HttpRequest) -> JsonResponse:
    return JsonResponse(_scope(shown_account(request)))


@require_safe
def trading(request: HttpRequest) -> HttpResponse:
    """The trading state, its switches, and who used them lately."""
    history = CommandRecord.objects.filter(name__in=SWITCHES).select_related("created_by")[:25]
    state = TradingState.objects.first() or TradingState()
    context = {
        "state": state,
        "scope": _scope(shown_account(request)),
        "history": history,
        "locks": active_locks(shown_account(request)),
        "can_clear": can(request.user, "limits"),
        "release_word": RELEASE_WORD,
        "flatten_word": FLATTEN_WORD,
    }
    return render(request, "tradingsite/trading.html", context)


@require_POST
@requires("limits")
@steps_up(Act.CONTROL)
def clear_lock(request: HttpRequest, lock_id: int) -> HttpResponse:
    """Open a lock again; the reason is kept."""
    form = ClearLockForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"Nothing was cleared: {first_error(form)}")
    elif clear(traded_account(), lock_id, by=request.user, reason=form.cleaned_data["reason"]):
        messages.success(request, "Cleared. Entries may leave again where nothing else shuts them.")
    else:
        messages.error(request, "That lock no longer stands.")
    return redirect("trading")


def _file(request: HttpRequest, command_class: type[Command], said: str, *, word: str = "", why: str = "") -> HttpResponse:
    """File a switch; `word` is what has to be typed for it, `why` the complaint where it needs a reason and has none."""
    form = SwitchForm(request.POST, word=word, why=why)
    if not form.is_valid():
        messages.error(request, f"Nothing was sent: {first_error(form)}")
        return redirect("trading")
    key, account = form.cleaned_data["key"], traded_account()
    try:
        command = command_class(reason=form.cleaned_data["reason"])  # type: ignore[call-arg]
        _, created = file_command(command, account=account, user=request.user, key=f"switch:{request.user.pk}:{command.name}:{key}"[:80])
    except BadCommand as refusal:
        messages.error(request, f"Nothing was sent: {refusal}")
        return redirect("trading")
    messages.success(request, said if created else "That was already sent; it was not sent twice.")
    return redirect("trading")


@require_POST
@requires("halt")
def trading_halt(request: HttpRequest) -> HttpResponse:
    return _file(request, HaltTrading, "Halt sent to the worker.")


@require_POST
@requires("halt")
def trading_reduce_only(request: HttpRequest) -> HttpResponse:
    return _file(request, ReduceOnly, "Reduce only sent to the worker.")


@require_POST
@requires("resume")
@steps_up(Act.CONTROL)
def trading_resume(request: HttpRequest) -> HttpResponse:
    return _file(
        request, ResumeTrading, f"Resume sent to the worker ({settings.TRADING_MODE}).", word=RELEASE_WORD, why="say why trading may go on."
    )


@require_POST
@requires("flatten")
@steps_up(Act.CONTROL)
def trading_flatten(request: HttpRequest) -> HttpResponse:
    return _file(request, FlattenAll, "Flatten all sent to the worker: every position is being closed.", word=FLATTEN_WORD)
