"""The name of a listed option in OCC's compact form: root, YYMMDD, C or P, strike × 1000 in eight digits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

_SYMBOL = re.compile(r"([A-Z][A-Z0-9.]{0,5}) *([0-9]{2})([0-9]{2})([0-9]{2})([CP])([0-9]{8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionContract:
    """A listed option; `right` is "call" or "put", `strike` in USD per share."""

    root: str
    expiry: date
    right: str
    strike: float


def decode(symbol: object) -> OptionContract | None:
    """The contract that an OCC symbol names (`SLV230519C00023000` = call 23.00 of 2023-05-19); None when it names none."""
    found = _SYMBOL.fullmatch(symbol) if isinstance(symbol, str) else None
    if found is None:
        return None
    root, year, month, day, right, strike = found.groups()
    try:
        expiry = date(2000 + int(year), int(month), int(day))
    except ValueError:
        return None
    return OptionContract(root=root, expiry=expiry, right="call" if right == "C" else "put", strike=int(strike) / 1000)
