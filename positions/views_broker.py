"""The Broker page: our book beside the broker's as the worker last compared them, what to do about a difference, statements."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from events.accounts import masked
from events.clock import utc_now
from events.commands import AcknowledgeDifference, AdoptHolding, BadCommand, CloseHolding, Command, ReleasePosition, ResolveDoubt
from events.models import CommandRecord, SetAside
from events.roles import trader_required
from events.wording import price_text, quantity_text, shares_words
from positions.accounts import shown_account
from positions.forms_broker import AcknowledgeForm, AdoptForm, DoubtForm, HoldingForm, ReleaseForm, StatementForm
from positions.models import BrokerCheck, CashFlow, StatementCheck
from positions.statement_check import check_statement
from positions.statements.statement import BadStatement
from positions.wishes import file_wish, first_error, refuse

STALE_SECONDS = 75  # two light comparisons and some patience
RESOLUTIONS = ("AdoptHolding", "CloseHolding", "ReleasePosition", "AcknowledgeDifference", "ResolveDoubt")
KINDS = (
    ("position", "Positions", "shares", "Nothing is held on either side."),
    ("order", "Open orders", "remaining", "No order works on either side."),
    ("execution", "Today's executions", "shares", "Nothing was executed today."),
    ("cash", "Cash", "USD", "The broker has not said yet how much cash there is."),
)
STATE_WORDS = {
    "match": "match",
    "pending": "settling",
    "external": "made elsewhere",
    "differs": "differs",
    "missing_here": "missing here",
    "missing_there": "missing there",
    "in_doubt": "in doubt",
}
TONES = {"match": "good", "pending": "info", "external": "info", "differs": "alarm", "missing_here": "alarm", "missing_there": "warn"}


@require_GET
def broker(request: HttpRequest) -> HttpResponse:
    """The whole page."""
    return render(request, "positions/broker.html", _context(shown_account(request)) | {"statement_form": StatementForm()})


@require_GET
def broker_rows(request: HttpRequest) -> HttpResponse:
    """Only what changes with a comparison; the page's module puts it in place."""
    return render(request, "positions/_broker_books.html", _context(shown_account(request)))


def _context(account: str) -> dict[str, Any]:
    checks = BrokerCheck.objects.filter(account=account)
    check = checks.order_by("-at", "-pk").first()
    rows = [_line(row) for row in (check.data.get("rows", []) if check else [])]
    groups = [
        {"kind": kind, "title": title, "unit": unit, "empty": empty, "rows": [row for row in rows if row["kind"] == kind]}
        for kind, title, unit, empty in KINDS
    ]
    return {
        "check": check,
        "groups": groups,
        "wrong": sum(row["wrong"] for row in rows),
        "stale": check is None or (utc_now() - check.at).total_seconds() > STALE_SECONDS,
        "stale_seconds": STALE_SECONDS,
        "resolutions": _resolutions(account),
        "earlier": checks.exclude(pk=check.pk if check else 0).order_by("-at")[:10],
        "set_aside": SetAside.objects.filter(Q(until=None) | Q(until__gt=utc_now()))[:20],
        "statements": StatementCheck.objects.filter(account=account).select_related("created_by")[:10],
    }


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """A stored row with its words, colour, and what may be done about it."""
    state, kind = row["state"], row["kind"]
    wrong = state in ("differs", "missing_here", "missing_there", "in_doubt") and not row.get("accepted")
    beyond, ours = row.get("elsewhere") or 0, row["ours"] or 0
    actions = set()
    if kind == "position" and state == "external" and beyond:
        actions |= {"adopt", "close", "acknowledge"}
    if kind == "position" and ours and row["position_id"]:
        actions.add("release")
    verdict = row.get("verdict", "")
    if verdict:
        actions.add(verdict)
    elif wrong or (kind == "order" and state == "external" and not row.get("accepted")):
        actions.add("acknowledge")
    words = "accepted" if row.get("accepted") else STATE_WORDS.get(state, state)
    tone = "quiet" if row.get("accepted") else TONES.get(state, "warn")
    return {
        **row,
        "words": words,
        "tone": tone,
        "wrong": wrong,
        "actions": actions,
        "beyond": beyond,
        "money": kind == "cash",
        "flow_kinds": CashFlow.Kind.choices if kind == "cash" else (),
    }


def _resolutions(account: str) -> list[dict[str, Any]]:
    """Who put what right, when and why."""
    records = CommandRecord.objects.filter(account=account, name__in=RESOLUTIONS).select_related("created_by").order_by("-id")[:15]
    return [{"record": record, "about": _about(record), "why": record.payload.get("reason", "")} for record in records]


def _about(record: CommandRecord) -> str:
    payload = record.payload
    match record.name:
        case "AdoptHolding":
            return f"Adopt {quantity_text(payload.get('quantity'))} {payload.get('symbol')}, stop {price_text(payload.get('stop_loss'))}"
        case "CloseHolding":
            return f"Close {quantity_text(payload.get('quantity'))} {payload.get('symbol')}"
        case "ReleasePosition":
            return f"Release {shares_words(payload.get('quantity'))}"
        case "ResolveDoubt":
            return "An order in doubt never reached IB" if payload.get("verdict") == "never_sent" else "An order in doubt is over at IB"
    return f"Acknowledge {payload.get('row')}: ours {quantity_text(payload.get('ours'))}, IB's {quantity_text(payload.get('theirs'))}"


# --- resolutions ------------------------------------------------------------------------------------------------------


@require_POST
@trader_required
def adopt(request: HttpRequest) -> HttpResponse:
    """File AdoptHolding."""
    return _resolve(request, AdoptForm(request.POST), AdoptHolding)


@require_POST
@trader_required
def close_holding(request: HttpRequest) -> HttpResponse:
    """File CloseHolding."""
    return _resolve(request, HoldingForm(request.POST), CloseHolding)


@require_POST
@trader_required
def release(request: HttpRequest) -> HttpResponse:
    """File ReleasePosition."""
    return _resolve(request, ReleaseForm(request.POST), ReleasePosition)


@require_POST
@trader_required
def acknowledge(request: HttpRequest) -> HttpResponse:
    """File AcknowledgeDifference."""
    return _resolve(request, AcknowledgeForm(request.POST), AcknowledgeDifference)


@require_POST
@trader_required
def resolve_doubt(request: HttpRequest) -> HttpResponse:
    """File ResolveDoubt."""
    return _resolve(request, DoubtForm(request.POST), ResolveDoubt)


def _resolve(request: HttpRequest, form: forms.Form, kind: type[Command]) -> HttpResponse:
    back = reverse("positions:broker")
    if not form.is_valid():
        return refuse(request, first_error(form), status=400, back=back)
    values = dict(form.cleaned_data)
    key = values.pop("key")
    numbers = ("quantity", "stop_loss", "take_profit", "ours", "theirs")
    fields = {name: float(value) if name in numbers and value is not None else value for name, value in values.items()}
    try:
        command = kind(**fields)
    except BadCommand as error:
        return refuse(request, f"Refused: {error}.", status=400, back=back)
    return file_wish(request, command, key=key, back=back)


@require_POST
@trader_required
def statement_check(request: HttpRequest) -> HttpResponse:
    """Compare an uploaded statement with our fills; a refused file says why on the page it came from."""
    form = StatementForm(request.POST, request.FILES)
    error = "" if form.is_valid() else first_error(form)
    if not error:
        file = form.cleaned_data["file"]
        try:
            check = check_statement(file.read(), file_name=file.name, day=form.cleaned_data["day"], user=request.user)
            return redirect("positions:broker_statement", check.pk)
        except BadStatement as refusal:
            error = str(refusal)
    return render(
        request, "positions/broker.html", _context(shown_account(request)) | {"statement_form": form, "statement_error": error}, status=400
    )


@require_GET
def statement(request: HttpRequest, pk: int) -> HttpResponse:
    """One checked statement, execution by execution."""
    # Of whatever account: one that was just given may be of another than the one shown, and the page names it.
    check = get_object_or_404(StatementCheck.objects.select_related("created_by"), pk=pk)
    return render(request, "positions/statement.html", {"check": check, "of_account": masked(check.account)})
