"""One figure of an execution, ours beside the statement's, and whether they differ. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def cell(name: str, ours: Decimal | None, theirs: Decimal | None, *, exact: bool = False, places: int = 2) -> dict[str, Any]:
    """A row that one side lacks differs as a whole, not figure by figure: only what both sides say can differ."""
    unit = Decimal(1).scaleb(-places)
    if ours is None or theirs is None:
        differs = (ours is None) != (theirs is None)
    else:
        differs = ours != theirs if exact else abs(ours - theirs) >= unit / 2 and ours.quantize(unit) != theirs.quantize(unit)
    return {"name": name, "ours": text_of(ours, places, exact), "theirs": text_of(theirs, places, exact), "differs": differs}


def not_compared(cell: dict[str, Any], ours: str = "", theirs: str = "") -> dict[str, Any]:
    """The same figure where one side cannot know it."""
    return cell | {"ours": ours or cell["ours"], "theirs": theirs or cell["theirs"], "differs": False, "compared": False}


def text_of(value: Decimal | None, places: int, exact: bool) -> str:
    if value is None:
        return ""
    return f"{value.normalize():,f}" if exact else f"{value:,.{places}f}"
