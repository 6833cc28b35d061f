"""What the signals pages may send: an approval with the numbers the person saw or changed, a rejection, the history's filters."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from django import forms

from events.forms import PlainTextField
from positions.forms import MAX_PRICE, MAX_QUANTITY, SymbolFilter, WishForm
from signals.models import SignalRecord
from signals.objections import CLOSES
from signals.proposal import Ticket

REJECT_REASONS = (
    ("too_late", "Too late"),
    ("price_moved", "The price has moved"),
    ("do_not_believe", "I do not believe the prediction"),
    ("news", "News or earnings"),
    ("too_much_risk", "Too much risk already"),
    ("bad_data", "The data looks wrong"),
    ("other", "Other"),
)


def _price(name: str, *, required: bool = True) -> forms.DecimalField:
    return forms.DecimalField(
        required=required,
        max_digits=18,
        decimal_places=6,
        min_value=Decimal("0.000001"),
        max_value=MAX_PRICE,
        error_messages={
            "required": f"Enter the {name}.",
            "invalid": f"Enter the {name} as a plain number, like 151.25.",
            "min_value": f"The {name} must be above zero.",
            "max_value": f"The {name} is higher than any stock's.",
        },
    )


def _number(said: Decimal | None) -> float | None:
    return None if said is None else float(said)


class SeenForm(forms.Form):
    """`version` is the signal's version the person saw."""

    version = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, error_messages={"required": "This page is too old. Reload it and try again."}
    )


class DecisionForm(WishForm, SeenForm):
    """A decision about what was seen."""


class TicketForm(forms.Form):
    """The numbers of an order as a person types them: size, entry limit, stop and target."""

    quantity = forms.IntegerField(
        min_value=1,
        max_value=MAX_QUANTITY,
        error_messages={
            "required": "Enter the number of shares.",
            "invalid": "Enter whole shares, like 100.",
            "min_value": "At least one share is needed.",
            "max_value": "That is more than any order may have.",
        },
    )
    entry = _price("entry limit")
    stop = _price("stop", required=False)
    target = _price("target", required=False)

    def ticket(self, signal: SignalRecord) -> Ticket:
        """The valid form's numbers. A close has neither stop nor target, whatever was sent."""
        said = self.cleaned_data
        ticket = Ticket(quantity=said["quantity"], entry=float(said["entry"]), stop=_number(said["stop"]), target=_number(said["target"]))
        return replace(ticket, stop=None, target=None) if signal.action in CLOSES else ticket


class ApproveForm(DecisionForm, TicketForm):
    """The ticket as sent. `shown_*` are what the card proposed, so that edits are on record; `ask` has the server ask first."""

    shown_quantity = forms.IntegerField(required=False, min_value=0, max_value=MAX_QUANTITY)
    shown_entry = _price("shown entry limit", required=False)
    shown_stop = _price("shown stop", required=False)
    shown_target = _price("shown target", required=False)
    ask = forms.BooleanField(required=False)

    def edited(self) -> list[str]:
        """The fields the person changed. An entry limit that was not shown was not changed either."""
        said = self.cleaned_data
        names = ["quantity", "stop", "target"] if said.get("shown_entry") is None else ["quantity", "entry", "stop", "target"]
        return [name for name in names if said.get(name) != said.get(f"shown_{name}")]


class RejectForm(DecisionForm):
    """A reason from the list; a note of one's own with "other"."""

    reason = forms.ChoiceField(
        choices=REJECT_REASONS, error_messages={"required": "Choose a reason.", "invalid_choice": "Choose a reason from the list."}
    )
    note = PlainTextField(required=False, max_length=200)

    def words(self) -> str:
        label = dict(REJECT_REASONS)[self.cleaned_data["reason"]]
        note = self.cleaned_data["note"].strip()
        return f"{label}: {note}" if note else label


class HistoryFilter(SymbolFilter):
    """Filters of the signals' history."""

    state = forms.ChoiceField(
        required=False,
        choices=[("", "All states"), *((state.value, state.value.capitalize()) for state in SignalRecord.State)],
    )

    def applied(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value}
