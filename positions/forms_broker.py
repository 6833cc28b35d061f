"""What the Broker page may send: the four resolutions of a difference, and a statement file."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms

from events.forms import PlainTextField
from positions.forms import PriceForm, WishForm, symbol_shape
from positions.models import CashFlow
from positions.statements.reading import LARGEST_FILE


class ReasonForm(WishForm):
    """What is put right by hand says why."""

    reason = PlainTextField(
        max_length=300, error_messages={"required": "Say why, in a few words.", "max_length": "Keep the reason shorter."}
    )


class HoldingForm(ReasonForm):
    """Shares made elsewhere: the symbol, and the signed number the person saw."""

    symbol = forms.CharField(max_length=21, validators=[symbol_shape])
    quantity = forms.DecimalField(max_digits=18, decimal_places=4)


def _price(required: bool) -> forms.DecimalField:
    messages = PriceForm.base_fields["price"].error_messages | {"required": "A managed position needs a stop."}
    limits: dict[str, Any] = {"max_digits": 18, "decimal_places": 6, "min_value": Decimal("0.000001"), "max_value": Decimal(1_000_000)}
    return forms.DecimalField(required=required, error_messages=messages, **limits)


class AdoptForm(HoldingForm):
    stop_loss = _price(True)
    take_profit = _price(False)


class ReleaseForm(ReasonForm):
    position_id = PlainTextField(max_length=36)
    quantity = forms.DecimalField(max_digits=18, decimal_places=4)


class AcknowledgeForm(ReasonForm):
    row = PlainTextField(max_length=80)
    ours = forms.FloatField()
    theirs = forms.FloatField()
    kind = forms.ChoiceField(required=False, choices=[("", "Paid in or out"), *CashFlow.Kind.choices])


class DoubtForm(ReasonForm):
    order_id = PlainTextField(max_length=36)
    verdict = forms.ChoiceField(choices=[("never_sent", "It never reached IB"), ("over", "It is over at IB")])


class StatementForm(forms.Form):
    """A statement as IB writes it."""

    file = forms.FileField(
        label="Statement file",
        widget=forms.FileInput(attrs={"class": "form-control"}),
        max_length=120,
        error_messages={
            "required": "Choose a statement file.",
            "empty": "The file is empty.",
            "max_length": "The file's name is too long.",
        },
    )
    day = forms.DateField(
        required=False,
        label="Day",
        widget=forms.DateInput(attrs={"type": "date", "class": "form-control"}),
        error_messages={"invalid": "A day is written like 2026-03-02."},
    )

    def clean_file(self) -> object:
        file = self.cleaned_data["file"]
        if file.size > LARGEST_FILE:
            raise forms.ValidationError("The file is larger than 10 MB. Ask IB for a shorter period.")
        return file
