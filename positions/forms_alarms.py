"""What a person says to an alarm or an error trade."""

from __future__ import annotations

from django import forms

from events.forms import PlainTextField


class AlarmForm(forms.Form):
    """A word to an alarm that was seen, if there is one."""

    note = PlainTextField(required=False)


class MarkForm(forms.Form):
    """What went wrong."""

    note = PlainTextField(error_messages={"required": "say what went wrong."})


class SettleForm(forms.Form):
    """What was found and changed."""

    outcome = PlainTextField(error_messages={"required": "say what was found and changed."})
