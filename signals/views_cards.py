"""What the cards of an open page ask for: their newest numbers, and the judgement of a ticket while it is typed. Both only read."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from signals import pending
from signals.facts import gather
from signals.forms import TicketForm
from signals.models import SignalRecord
from signals.proposal import Proposal, propose

MOST_CARDS = 100
LONGEST_ID = 36
FIELD_OF = {
    "no_stop": "stop",
    "stop_side": "stop",
    "target_side": "target",
    "price_collar": "entry",
    "max_quantity": "quantity",
    "max_notional": "quantity",
    "too_many": "quantity",
}  # refusal → the field it stands at


@never_cache
@require_GET
def cards(request: HttpRequest) -> JsonResponse:
    """The cards whose `ids` (comma separated) a page shows, filled up to `room` on the first page. {"rows", "over", "total"}."""
    ids = [name for name in request.GET.get("ids", "").split(",") if 0 < len(name) <= LONGEST_ID and name.isprintable()]
    room = min(_whole(request, "room"), MOST_CARDS)
    return JsonResponse(pending.cards(ids[:MOST_CARDS], room=room, skip=_whole(request, "skip")))


def _whole(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


@never_cache
@require_GET
def judge(request: HttpRequest, signal_id: str) -> JsonResponse:
    """A typed ticket, judged as an approval of it would be. Fields that are not sent are the proposal's.

    {"row": the signal's row with this ticket, None when it is none; "errors": field → sentence}.
    """
    signal = get_object_or_404(SignalRecord.objects.select_related("prediction"), pk=signal_id)
    facts = gather({signal.symbol})
    proposed = propose(signal, facts)
    shown = _numbers(proposed)
    form = TicketForm({name: request.GET.get(name, shown[name]) for name in shown})
    if form.is_valid():
        judged = propose(signal, facts, form.ticket(signal))
        return JsonResponse({"row": judged.as_row() | {"proposed": shown}, "errors": _errors(judged)})
    errors = {name: str(said[0]) for name, said in form.errors.items() if name in request.GET}
    return JsonResponse({"row": None if errors else proposed.as_row(), "errors": errors})


def _numbers(proposal: Proposal) -> dict[str, float | None]:
    ticket = proposal.ticket
    return {name: getattr(ticket, name) if ticket else None for name in ("quantity", "entry", "stop", "target")}


def _errors(judged: Proposal) -> dict[str, Any]:
    """field → the refusal that is about it."""
    found: dict[str, Any] = {}
    for objection in judged.objections:
        name = str(objection.values.get("field", "")) if objection.code == "bad_number" else FIELD_OF.get(objection.code, "")
        if name:
            found.setdefault(name, objection.words)
    return found
