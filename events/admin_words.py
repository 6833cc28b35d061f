"""Names that programs use, in the words of people, wherever the admin shows a stored one."""

from __future__ import annotations

import re
from typing import Any

from django.db import models

from events.refusal_words import refusal_title
from events.templatetags import desk

_STATE_NAME = re.compile(r"[a-z]+(_[a-z]+)+")
_CLASS_NAME = re.compile(r"([A-Z][a-z]+){2,}")
_IDS = frozenset({"key", "cause", "about", "order_ref", "account", "username"})  # texts that are written as they are


def in_words(field: models.Field[Any, Any], value: Any) -> Any:
    """Names that programs use, as people write them: in_doubt -> in doubt, PositionUpdateEvent -> Position update."""
    if not isinstance(value, str) or not isinstance(field, models.CharField):
        return value
    if field.choices:
        return dict(field.flatchoices).get(value, value)
    if field.name == "code":
        return refusal_title(value)
    if _CLASS_NAME.fullmatch(value) and field.name in ("event_type", "name"):
        return desk.split_words(value)
    return value.replace("_", " ") if _STATE_NAME.fullmatch(value) and field.name not in _IDS else value
