"""Free text as forms take it: what cannot be seen goes before the length is judged."""

from __future__ import annotations

import pytest
from django import forms

from events.forms import PlainTextField, plain_text


class Note(forms.Form):
    note = PlainTextField(max_length=5)


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("plain words", "plain words"),
        ("two\r\nlines\tand\u2028more", "two  lines and more"),
        ("\u202eevil\u202c", "evil"),
        ("a\u200bb\ufeffc\u0007", "abc"),
        ("\ud800x\udfff", "x"),
        ("e\u0301", "é"),
        ("سهم ١٢٣", "سهم ١٢٣"),
        (" \u2066\u2069 ", ""),
    ],
)
def test_only_what_can_be_seen_is_taken(typed: str, taken: str) -> None:
    assert plain_text(typed) == taken


def test_the_length_is_that_of_what_is_taken_and_nothing_seen_is_nothing_said() -> None:
    assert Note({"note": "\u200b12345\u200b"}).is_valid()
    assert not Note({"note": "123456"}).is_valid()
    assert Note({"note": "\u200b\u202e"}).errors["note"] == ["This field is required."]
