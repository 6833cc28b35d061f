"""What the trading page may send: its switches, and the reason a lock is opened for."""

from __future__ import annotations

from typing import Any

from django import forms

from events.forms import PlainTextField

REASON_LENGTH = 200
TOO_OLD = "that form was too old to use. Please try again."


class SwitchForm(forms.Form):
    """A switch and why. `word` has to be typed where the switch cannot be taken back. A long reason is cut: it must not keep a halt."""

    key = PlainTextField(max_length=64, error_messages={"required": TOO_OLD, "max_length": TOO_OLD})
    reason = PlainTextField(required=False)
    typed = PlainTextField(required=False)

    def __init__(self, *args: Any, word: str = "", why: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.word, self.why = word, why

    def clean_reason(self) -> str:
        reason = str(self.cleaned_data["reason"])[:REASON_LENGTH]
        if self.why and not reason:
            raise forms.ValidationError(self.why)
        return reason

    def clean_typed(self) -> str:
        typed = str(self.cleaned_data["typed"]).upper()
        if self.word and typed != self.word:
            raise forms.ValidationError(f"type {self.word} to confirm.")
        return typed


class ClearLockForm(forms.Form):
    """Why a lock may open."""

    reason = PlainTextField(max_length=300, error_messages={"required": "say why.", "max_length": "keep the reason shorter."})
