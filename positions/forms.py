"""What pages may send: the three wishes about a position, and the filters of the lists.

Forms check shape and range in plain words. Whether a wish makes sense at this moment (right side of the market, limits,
a close already under way) is the worker's decision, written back to the command.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from django import forms
from django.core.validators import RegexValidator

from events.forms import PlainTextField
from events.order import OrderRole, OrderState
from events.symbols import canonical_symbol
from positions.analytics import Period

MAX_PRICE = Decimal(1_000_000)
MAX_QUANTITY = 10_000_000
FIRST_YEAR, LAST_YEAR = 2000, 2099

key_shape = RegexValidator(r"^[A-Za-z0-9_-]{8,40}$", "This page is too old. Reload it and try again.")
symbol_shape = RegexValidator(r"^[A-Za-z0-9. /-]{1,21}$", "A symbol has 1 to 21 letters, digits, dots, dashes, slashes or spaces.")


NO_ACCOUNT = "This desk has never traded such an account."


class WishForm(forms.Form):
    """A form that files a command. `key` is the idempotency key: the same key is the same wish."""

    key = forms.CharField(validators=[key_shape], error_messages={"required": "This page is too old. Reload it and try again."})


class PriceForm(WishForm):
    """A new stop or target, in price per share."""

    price = forms.DecimalField(
        max_digits=18,
        decimal_places=6,
        min_value=Decimal("0.000001"),
        max_value=MAX_PRICE,
        error_messages={
            "required": "Enter a price.",
            "invalid": "Enter a price as a plain number, like 151.25.",
            "min_value": "The price must be above zero.",
            "max_value": "The price is higher than any stock's.",
        },
    )


class AccountForm(forms.Form):
    """The account to look at, by its mark."""

    account = forms.RegexField(r"\A[0-9a-f]{16}\Z", error_messages={"required": NO_ACCOUNT, "invalid": NO_ACCOUNT})


class CloseForm(WishForm):
    """Close all of a position, or `quantity` shares of it."""

    quantity = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_QUANTITY,
        error_messages={
            "invalid": "Enter whole shares, like 100.",
            "min_value": "Close at least one share.",
            "max_value": "That is more than any position holds.",
        },
    )
    reason = PlainTextField(required=False, max_length=200)

    def __init__(self, *args: object, held: Decimal, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.held = abs(held)

    def clean_quantity(self) -> int | None:
        quantity: int | None = self.cleaned_data["quantity"]
        if quantity is not None and quantity > self.held:
            raise forms.ValidationError(f"The position holds {self.held.normalize():f} shares, fewer than {quantity}.")
        return None if quantity == self.held else quantity


class CancelForm(WishForm):
    """Cancel a live order."""


NOT_OFFERED = {"invalid_choice": "Choose one of the values offered."}


class DayRangeForm(forms.Form):
    """Exchange days `first` to `last`, both included, either may be missing."""

    first = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or self.cleaned_data
        first, last = cleaned.get("first"), cleaned.get("last")
        for day in (first, last):
            if isinstance(day, date) and not FIRST_YEAR <= day.year <= LAST_YEAR:
                raise forms.ValidationError(f"Dates run from {FIRST_YEAR} to {LAST_YEAR}.")
        if first and last and first > last:
            raise forms.ValidationError("The first day is after the last day.")
        return cleaned


class SymbolFilter(DayRangeForm):
    symbol = forms.CharField(required=False, max_length=21, validators=[symbol_shape])

    def clean_symbol(self) -> str:
        return canonical_symbol(str(self.cleaned_data["symbol"]))


class ClosedFilter(SymbolFilter):
    """Filters of the closed positions."""

    side = forms.ChoiceField(
        required=False, choices=[("", "Long and short"), ("long", "Long"), ("short", "Short")], error_messages=NOT_OFFERED
    )
    result = forms.ChoiceField(required=False, choices=[("", "Won and lost"), ("won", "Won"), ("lost", "Lost")], error_messages=NOT_OFFERED)


class OrderFilter(SymbolFilter):
    """Filters of the blotter."""

    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", "All states"),
            ("live", "Live"),
            *((state.value, state.value.replace("_", " ").capitalize()) for state in OrderState),
        ],
    )
    role = forms.ChoiceField(
        required=False,
        choices=[("", "All roles"), *((role.value, role.value.capitalize()) for role in OrderRole)],
        error_messages=NOT_OFFERED,
    )


class RangeForm(forms.Form):
    """The P&L page's address: which range, and which month the calendar shows."""

    range = forms.ChoiceField(required=False, choices=[(period.value, period.value) for period in Period], error_messages=NOT_OFFERED)
    month = forms.RegexField(r"^20\d\d-(0[1-9]|1[0-2])$", required=False, error_messages={"invalid": "A month is written like 2026-03."})
