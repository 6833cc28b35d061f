"""History and fills of positions as rows of their own: an event brings what is new of them, so a change costs the same however
many went before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from events.position import PositionEvent
from positions.domain.holding import LedgerEntry
from positions.domain.packing import CHANGED_FILLS, NEW_HISTORY
from positions.models_growing import AT_ONCE, PositionChange, PositionEntry
from positions.upsert import Upsert

LOADED_AT_ONCE = 400  # positions in one statement

_change_upsert = Upsert(PositionChange, key="position_id, version", only_if="{new}.epoch >= {old}.epoch")
_entry_upsert = Upsert(PositionEntry, key="position_id, number", only_if="{new}.epoch >= {old}.epoch")


def save_growing(events: Sequence[PositionEvent], epoch: int) -> None:
    """What these events, in their order, add. Events of before carry all of it: the newest of each position says it."""
    changes: list[dict[str, Any]] = []
    entries: dict[tuple[str, int], dict[str, Any]] = {}
    for event in _without_overtaken(events):
        position_id = event.position_id
        lines, fills = growing_of(event)
        changes += [change_columns(position_id, line, epoch) for line in lines]
        entries |= {(position_id, number): entry_columns(position_id, number, entry, epoch) for number, entry in fills}
    _change_upsert.rows(changes)
    _entry_upsert.rows(list(entries.values()))


def growing_of(event: PositionEvent) -> tuple[list[dict[str, Any]], list[tuple[int, dict[str, Any]]]]:
    """(lines of the history, (number, entry) of the fills) that the event carries: new ones, or all in an event of before."""
    data = event.position_data
    lines = data.get("history") or data.get(NEW_HISTORY) or []
    entries = list(enumerate(data["fills"])) if data.get("fills") else [(number, entry) for number, entry in data.get(CHANGED_FILLS) or ()]
    return lines, entries


def _without_overtaken(events: Sequence[PositionEvent]) -> list[PositionEvent]:
    whole = {event.position_id: event for event in events if "history" in event.position_data}
    return [event for event in events if "history" not in event.position_data or whole[event.position_id] is event]


def change_columns(position_id: str, line: Mapping[str, Any], epoch: int) -> dict[str, Any]:
    version = int(line["version"])
    return {
        "position_id": position_id,
        "version": version,
        "part": version // AT_ONCE,
        "at": datetime.fromisoformat(line["time"]),
        "kind": str(line["type"])[:40],
        "changed": line["changed"],
        "reason": line["reason"],
        "by": str(line["by"])[:150],
        "epoch": epoch,
    }


def entry_columns(position_id: str, number: int, entry: Mapping[str, Any], epoch: int) -> dict[str, Any]:
    return {"position_id": position_id, "number": number, "part": number // AT_ONCE, "data": dict(entry), "epoch": epoch}


def with_growing(states: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The states of positions with their history and fills, as `Position.from_dict` takes them."""
    whole = [state | {"history": [], "fills": []} for state in states]
    for start in range(0, len(whole), LOADED_AT_ONCE):
        by_id = {state["id"]: state for state in whole[start : start + LOADED_AT_ONCE]}
        for change in PositionChange.objects.filter(position_id__in=by_id).order_by("position_id", "version"):
            by_id[change.position_id]["history"].append(change.as_line())
        for entry in PositionEntry.objects.filter(position_id__in=by_id).order_by("position_id", "number"):
            by_id[entry.position_id]["fills"].append(entry.data)
    return whole


def entries_of(position_ids: Iterable[str]) -> dict[str, list[LedgerEntry]]:
    """Position → the entries it is folded from, in their order."""
    found: dict[str, list[LedgerEntry]] = {}
    for entry in PositionEntry.objects.filter(position_id__in=list(position_ids)).order_by("position_id", "number"):
        found.setdefault(entry.position_id, []).append(LedgerEntry.from_dict(entry.data))
    return found
