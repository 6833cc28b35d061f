"""The exit-rules card of a position, and the tasks that only a person can settle. Rules are wishes: the worker decides."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from events.clock import utc_now
from events.commands import BadCommand, ReversePosition, ScaleIn
from events.roles import trader_required
from events.step_up import Act, step_up
from positions.accounts import shown_account, traded_account
from positions.forms_exits import RULES, TaskForm
from positions.models import OperatorTask, PositionChange, PositionRecord
from positions.views_wishes import HOLDING
from positions.wishes import file_wish, first_error, refuse

MOST_DEEDS = 12
MOST_TASKS = 100
# History kinds that a rule, or the watch over the stop, has written.
DEEDS = frozenset({
    "exit rule", "stop moved by rule", "break-even", "target reached", "target taken", "target not taken", "target refused",
    "time stop", "time stop refused", "time stop armed again", "reversed", "unprotected", "protected",
})  # fmt: skip


@require_POST
@trader_required
def exit_rule(request: HttpRequest, position_id: str, rule: str) -> HttpResponse:
    """File the command behind one form of the card."""
    record = get_object_or_404(PositionRecord, pk=position_id, account=shown_account(request))
    back = reverse("positions:detail", args=[position_id])
    if record.status not in HOLDING:
        return refuse(request, f"This position is {record.status}; its exits cannot be changed.", status=409, back=back)
    if rule not in RULES:
        return refuse(request, "There is no such rule.", status=404, back=back)
    kind, make = RULES[rule]
    form = kind(request.POST)
    if not form.is_valid():
        return refuse(request, first_error(form), status=400, back=back)
    try:
        command = make(position_id, form.cleaned_data)
    except BadCommand as error:
        return refuse(request, f"Refused: {error}.", status=400, back=back)
    if isinstance(command, ScaleIn | ReversePosition) and (asks := step_up(request, Act.APPROVE)) is not None:
        return asks
    return file_wish(request, command, key=form.cleaned_data["key"], back=back)


@require_GET
def tasks(request: HttpRequest) -> HttpResponse:
    """What waits for a person, then what was settled."""
    return render(request, "positions/tasks.html", {"tasks": OperatorTask.objects.filter(account=shown_account(request))[:MOST_TASKS]})


@require_POST
@trader_required
def task_done(request: HttpRequest, pk: int) -> HttpResponse:
    """A person has settled it, and says how. Nothing is done to any order or position."""
    form = TaskForm(request.POST)
    if not form.is_valid():
        messages.error(request, first_error(form))
        return redirect("positions:tasks")
    note = form.cleaned_data["note"]
    ended = {"state": OperatorTask.State.DONE, "done_at": utc_now(), "done_by": request.user.get_username(), "note": note}
    if not OperatorTask.objects.filter(account=traded_account(), pk=pk, state=OperatorTask.State.OPEN).update(**ended):
        messages.info(request, "That task was settled already.")
    return redirect("positions:tasks")


def exits_context(record: PositionRecord) -> dict[str, Any]:
    """What the card shows: the rules, the seconds without a stop, and what the rules did, newest first."""
    data = record.data
    deeds = PositionChange.objects.filter(position_id=record.pk, kind__in=DEEDS).order_by("-version")[:MOST_DEEDS]
    shown = [deed.as_line() for deed in deeds]
    return {"rules": data.get("exit_rules") or {}, "protection": data.get("protection") or {}, "deeds": shown}
