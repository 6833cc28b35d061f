"""One spelling of a share: every door (files, forms, the broker, the prediction service) passes its text through here. Pure.

A share class or a series is written after a dot: `BRK.B`. Brokers and services write the same share `BRK B`, `BRK-B` or
`BRK/B`. A preferred share's series is written `BAC.PRL`; others write it `BAC PRL`, `BAC-PL`, `BAC.PR.L`, `BAC^L` or `BAC-L`.
"""

from __future__ import annotations

import re

LONGEST = 21  # characters, OCC's length of an option's root and date, the longest any column keeps

_SHAPE = re.compile(r"[A-Z0-9][A-Z0-9.]{0,20}")
_SEPARATORS = re.compile(r"[\s./_-]+")
# After a dash these letters are classes, units, rights, votes and warrants; the others are series of preferred shares.
_CLASSES = frozenset("ABCKRUVW")
_PREFERRED = re.compile(r"P(?:R|FD|RF)?([A-Z]{0,2})")


def canonical_symbol(text: str) -> str:
    """The one spelling of a ticker, in capitals; what is no ticker comes back in capitals, for the caller to refuse."""
    words = text.strip().upper().replace("^", "-^")
    root, *rest = [part for part in _SEPARATORS.split(words) if part] or [""]
    if not rest:
        return root
    suffix = "".join(rest)
    if not rest[0].startswith("^") and len(suffix) == 1:
        dashed = "-" in words
        return f"{root}.PR{suffix}" if dashed and suffix.isalpha() and suffix not in _CLASSES else f"{root}.{suffix}"
    if suffix.startswith("^"):
        return f"{root}.PR{suffix[1:]}"
    found = _PREFERRED.fullmatch(suffix)
    return f"{root}.PR{found[1]}" if found and len(rest[0]) <= 3 else f"{root}.{suffix}"


def symbols_in(text: str) -> list[str]:
    """Every symbol of a text that a person typed, in the one spelling: separated by commas or new lines, or by blanks where there are
    none of those (then a class needs its dot: `BRK.B`)."""
    parts = re.split(r"[,;\n]+", text) if re.search(r"[,;\n]", text) else text.split()
    return [symbol for symbol in map(canonical_symbol, parts) if symbol]


def broker_symbol(symbol: str) -> str:
    """IB's own spelling of the one spelling: `BRK B`, `BAC PRL`."""
    return symbol.replace(".", " ")


def is_symbol(text: str) -> bool:
    """Whether `text`, in the one spelling, has the form of a ticker; not whether it exists."""
    return len(text) <= LONGEST and _SHAPE.fullmatch(text) is not None and not text.endswith(".") and ".." not in text
