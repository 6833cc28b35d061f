"""What the exit-rules card may send: one small form per rule, each in plain words when it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django import forms

from events.commands import (
    ClearPartialTargets,
    ClearTrailing,
    Command,
    ReversePosition,
    ScaleIn,
    SetBreakEven,
    SetPartialTarget,
    SetTimeStop,
    SetTrailing,
)
from events.forms import PlainTextField
from positions.forms import MAX_PRICE, MAX_QUANTITY, WishForm


def number(least: str, most: str, what: str, *, required: bool = True) -> forms.DecimalField:
    words = f"{what} is a number from {least} to {most}."
    errors = dict.fromkeys(("required", "invalid", "min_value", "max_value"), words)
    return forms.DecimalField(
        required=required, min_value=Decimal(least), max_value=Decimal(most), max_digits=12, decimal_places=4, error_messages=errors
    )


class TrailingForm(WishForm):
    kind = forms.ChoiceField(
        choices=[("percent", "% below the best price"), ("atr", "× ATR of one-minute bars")],
        error_messages={"invalid_choice": "Choose percent or ATR."},
    )
    value = number("0.05", "50", "The distance")


class BreakEvenForm(WishForm):
    at_r = number("0.1", "20", "The gain in R", required=False)


class TimeStopForm(WishForm):
    minutes = number("1", "100000", "The time in minutes", required=False)
    at_session_end = forms.BooleanField(required=False)


class TargetForm(WishForm):
    at_r = number("0.1", "50", "The gain in R")
    percent = number("1", "100", "The share in percent")


class AddForm(WishForm):
    quantity = forms.IntegerField(
        min_value=1,
        max_value=MAX_QUANTITY,
        error_messages=dict.fromkeys(("required", "invalid", "min_value"), "Enter whole shares, like 50."),
    )
    limit_price = number("0.0001", str(MAX_PRICE), "The limit price")


class TaskForm(forms.Form):
    """What a person did about a task."""

    note = PlainTextField(
        max_length=300, error_messages={"required": "Say what you did about it.", "max_length": "Keep it to 300 characters."}
    )


Maker = Callable[[str, Mapping[str, Any]], Command]


def _plain(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


# The card's word for a rule → its form, and the command it makes.
RULES: dict[str, tuple[type[WishForm], Maker]] = {
    "trailing": (TrailingForm, lambda pk, clean: SetTrailing(position_id=pk, kind=clean["kind"], value=float(clean["value"]))),
    "trailing_off": (WishForm, lambda pk, clean: ClearTrailing(position_id=pk)),
    "break_even": (BreakEvenForm, lambda pk, clean: SetBreakEven(position_id=pk, at_r=_plain(clean["at_r"]))),
    "time_stop": (
        TimeStopForm,
        lambda pk, clean: SetTimeStop(position_id=pk, minutes=_plain(clean["minutes"]), at_session_end=clean["at_session_end"]),
    ),
    "target": (
        TargetForm,
        lambda pk, clean: SetPartialTarget(position_id=pk, at_r=float(clean["at_r"]), percent=float(clean["percent"])),
    ),
    "targets_off": (WishForm, lambda pk, clean: ClearPartialTargets(position_id=pk)),
    "add": (
        AddForm,
        lambda pk, clean: ScaleIn(position_id=pk, quantity=float(clean["quantity"]), limit_price=float(clean["limit_price"])),
    ),
    "reverse": (WishForm, lambda pk, clean: ReversePosition(position_id=pk, reason="reversed by hand")),
}
