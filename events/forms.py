"""Text that a person types, as the desk takes it: every form's free text is a `PlainTextField`, and nothing else is."""

from __future__ import annotations

import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from events.symbols import LONGEST, canonical_symbol, is_symbol

# Control, format (zero width, direction marks and overrides), surrogate, private and unassigned: none of them can be seen in a
# journal, some turn the letters around them, and a database or a log may choke on others.
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn")


def plain_text(text: str) -> str:
    """What can be read of `text`: breaks and tabs become spaces, what is not seen goes, in one normal form."""
    spaced = "".join(" " if letter.isspace() else letter for letter in text)
    seen = "".join(letter for letter in spaced if unicodedata.category(letter) not in _UNSEEN)
    return unicodedata.normalize("NFC", seen).strip()


class PlainTextField(forms.CharField):
    """Free text, cleaned before its length is judged. A NUL never comes so far: the middleware refuses the request."""

    def to_python(self, value: Any) -> Any:
        cleaned = super().to_python(value)
        return plain_text(cleaned) if isinstance(cleaned, str) else cleaned


class SymbolField(forms.CharField):
    """A ticker in any spelling (`brk/b`), cleaned to the one that is kept (`BRK.B`)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"max_length": LONGEST} | options))

    def to_python(self, value: Any) -> Any:
        cleaned = super().to_python(value)
        return canonical_symbol(cleaned) if isinstance(cleaned, str) and cleaned.isprintable() else cleaned

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value and not is_symbol(value):
            raise ValidationError("A ticker, like AAPL or BRK.B.")
