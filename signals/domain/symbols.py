"""What may stand where a ticker stands."""

import re

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9. -]{0,20}")


def is_symbol(text: str) -> bool:
    """Whether `text` has the form of a ticker; not whether it exists."""
    return _SYMBOL.fullmatch(text) is not None and not text.endswith(" ")
