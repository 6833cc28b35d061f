"""From a page's form to a filed command and an answer: one way for close, move stop, move target and cancel.

Answers JSON to our scripts and a redirect to a plain form. Every refusal is a value with a sentence and a 4xx status.
The same form sent twice is one command (its key), and so are two people asking for the same thing while the first wish
is still on its way.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from events.commands import BadCommand, Command
from events.inbox import file_command
from events.models import CommandRecord
from events.rows import command_row
from positions.accounts import OnlyLookedAt, acting_account

WISH_SECONDS = 60.0  # a wish nobody obeyed by then is over: the market it was made for is gone
UNFINISHED = (CommandRecord.State.PENDING, CommandRecord.State.CLAIMED)


def wants_json(request: HttpRequest) -> bool:
    return request.accepts("application/json") and not request.accepts("text/html")


def refuse(request: HttpRequest, message: str, *, status: int, back: str) -> HttpResponse:
    """Nothing was filed, and why."""
    if wants_json(request):
        return JsonResponse({"error": message}, status=status)
    return render(request, "positions/refused.html", {"message": message, "back": back}, status=status)


def first_error(form: forms.Form) -> str:
    """The first complaint of a form, as one sentence."""
    return next((str(error) for errors in form.errors.values() for error in errors), "The form is not valid.")


def file_wish(request: HttpRequest, command: Command, *, key: str, back: str) -> HttpResponse:
    """File the command once and say where it stands; the worker decides. 409 while a different wish of its kind runs."""
    full_key = f"{request.user.pk}:{command.name}:{key}"
    try:
        account = acting_account(request)
        with transaction.atomic():
            running = _running(command).exclude(key=full_key).first()
            if running is not None and running.payload != command.to_payload():
                return refuse(
                    request, f"{WORDS[command.name]} for this is already on its way. Wait for its outcome.", status=409, back=back
                )
            record = running or file_command(command, account=account, user=request.user, key=full_key, expires_in=WISH_SECONDS)[0]
    except OnlyLookedAt as error:
        return refuse(request, str(error), status=409, back=back)
    except BadCommand as error:
        return refuse(request, f"Refused: {error}.", status=400, back=back)
    if wants_json(request):
        return JsonResponse({"command": command_row(record)}, status=202)
    messages.info(request, f"{WORDS[command.name]} was sent to the worker. Its outcome appears below.")
    return redirect(back)


WORDS = {
    "ClosePosition": "A close",
    "ChangeStop": "A stop change",
    "ChangeTarget": "A target change",
    "CancelOrder": "A cancel",
    "SetTrailing": "A trailing stop",
    "ClearTrailing": "A trailing stop",
    "SetBreakEven": "A break-even move",
    "SetTimeStop": "A time stop",
    "SetPartialTarget": "A partial target",
    "ClearPartialTargets": "A change of targets",
    "ScaleIn": "An addition",
    "ReversePosition": "A reverse",
    "AdoptHolding": "An adoption",
    "CloseHolding": "A close",
    "ReleasePosition": "A release",
    "AcknowledgeDifference": "An acknowledgement",
    "ResolveDoubt": "A resolution",
}


def _running(command: Command) -> Any:
    """Unfinished commands of the same kind about the same thing."""
    payload = command.to_payload()
    about: dict[str, Any] = {field: payload[field] for field in ("position_id", "order_id") if field in payload}
    about |= {f"payload__{field}": payload[field] for field in ("symbol", "row") if field in payload}
    return CommandRecord.objects.filter(name=command.name, state__in=UNFINISHED, **about)
