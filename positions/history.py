"""The history of a position as lines for people: when, which version, what changed, why, by whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from events.wording import money_text

_FIELD_WORDS = {
    "stop_loss": "stop",
    "take_profit": "target",
    "quantity": "quantity",
    "entry_price": "entry",
    "status": "status",
    "realized_pnl": "realized P&L",
    "exit_price": "exit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """`at` is ISO text; `changes` are sentences like "stop 143.20 → 145.00"."""

    at: str
    version: int | None
    kind: str
    changes: list[str]
    why: str
    by: str


def history_lines(entries: Iterable[Mapping[str, Any]]) -> list[HistoryLine]:
    """In the order given. Entries this code does not understand are shown as they are, never dropped."""
    return [_line(entry) for entry in entries]


def _line(entry: Mapping[str, Any]) -> HistoryLine:
    version = entry.get("version")
    return HistoryLine(
        at=str(entry.get("time") or ""),
        version=version if isinstance(version, int) else None,
        kind=str(entry.get("type") or "change").replace("_", " "),
        changes=_changes(entry.get("changed")),
        why=str(entry.get("reason") or ""),
        by=str(entry.get("by") or ""),
    )


def _changes(what: Any) -> list[str]:
    if isinstance(what, Mapping):
        return [_change(str(field), value) for field, value in what.items() if not _unmoved(value)]
    return [str(what)] if what else []


def _unmoved(value: Any) -> bool:
    """A (before, after) pair that says nothing happened to this part."""
    return isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]


def _change(field: str, value: Any) -> str:
    name = _FIELD_WORDS.get(field, field.replace("_", " "))
    if isinstance(value, list | tuple) and len(value) == 2:
        return f"{name} {_text(value[0])} → {_text(value[1])}"
    return f"{name} {_text(value)}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return money_text(value, 4).rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
