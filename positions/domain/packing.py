"""What an event carries of an object's state: nothing twice and nothing empty, and of what only grows, only what is new.

An event's `order_data` or `position_data` leaves out what its own fields say and what has the value that `EMPTY` gives it;
`order_state` and `position_state` give the whole state again. Events of before carry all of it, and are read the same way.
The values in the tables below belong to events that are stored: they are never changed, only added to.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from events.order import OrderEvent
from events.position import PositionEvent

NEW_HISTORY = "new_history"  # lines of the history since the event before
CHANGED_FILLS = "changed_fills"  # [number, entry] of each entry that was added or changed since the event before
GROWING = frozenset({"history", "fills", NEW_HISTORY, CHANGED_FILLS})

_POSITION_EMPTY: dict[str, Any] = {
    "take_profit": None, "stop_distance_pct": None, "close_time": None, "exit_price": None, "reason": "", "strategy": "", "account": "",
    "metadata": {}, "order_ids": [],
    "stock": {"avg_volume": None, "beta": None, "dividend_yield": None, "sector": None, "industry": None, "market_cap": None},
    "protection": {"bare_since": None, "seconds": 0.0, "gaps": 0, "longest": 0.0, "first": None, "days": {}},
    "exit_rules": {
        "trail": None, "break_even_r": None, "break_even_at": None, "close_after_minutes": None, "close_at_session_end": False,
        "time_stop_at": None, "targets": [], "reverse": None,
    },
}  # fmt: skip
_ORDER_EMPTY: dict[str, Any] = {
    "limit_price": None, "stop_price": None, "parent_id": "", "oca_group": "", "desired": {}, "intent": {}, "why_held": "", "code": "",
    "message": "", "external": False, "anomalies": 0, "reason": "", "life_seconds": None, "ended_as": "", "ended_filled": None,
    "taken_back": 0, "reopened": False, "finished_at": None, "short_since": None, "unused_at": None, "close_after": {},
    "filled_quantity": 0, "average_price": None, "commission": 0.0, "executions": [], "pending": "none", "account": "",
}  # fmt: skip

# Name in the state → the event's field that says the same.
_POSITION_SAID = {
    "id": "position_id", "at": "update_time", "symbol": "symbol", "status": "status", "quantity": "quantity", "entry_price": "entry_price",
    "last": "current_price", "unrealized_pnl": "unrealized_pnl", "realized_pnl": "realized_pnl", "create_time": "create_time",
    "signal_id": "signal_id",
}  # fmt: skip
_ORDER_SAID = {
    "id": "order_id", "order_id": "order_id", "signal_id": "signal_id", "position_id": "position_id", "symbol": "symbol",
    "state": "status", "order_type": "order_type", "limit_price": "limit_price", "stop_price": "stop_price", "created_at": "create_time",
    "updated_at": "update_time", "at": "update_time", "version": "version",
}  # fmt: skip


def position_data(state: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """`state` without what the event's other `fields` say."""
    return _packed(state, fields, _POSITION_SAID, _POSITION_EMPTY)


def position_state(event: PositionEvent) -> dict[str, Any]:
    """The position as the event tells of it, without history and fills."""
    whole = _whole(event, event.position_data, _POSITION_SAID, _POSITION_EMPTY)
    return {name: value for name, value in whole.items() if name not in GROWING}


def order_data(state: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return _packed(state, fields, _ORDER_SAID, _ORDER_EMPTY)


def order_state(event: OrderEvent) -> dict[str, Any]:
    """The order as the event tells of it."""
    return _whole(event, event.order_data, _ORDER_SAID, _ORDER_EMPTY)


def _packed(state: Mapping[str, Any], fields: Mapping[str, Any], said: Mapping[str, str], empty: Mapping[str, Any]) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for name, value in state.items():
        if name in said and _same(_plain(fields[said[name]]), value):
            continue
        if name in empty and name not in said:
            if _same(empty[name], value):
                continue
            if isinstance(value, dict):
                value = {part: own for part, own in value.items() if not (part in empty[name] and _same(empty[name][part], own))}
        packed[name] = value
    return packed


def _whole(event: Any, data: Mapping[str, Any], said: Mapping[str, str], empty: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {name: dict(value) if isinstance(value, dict) else value for name, value in empty.items()}
    whole |= {name: _plain(getattr(event, field)) for name, field in said.items()}
    for name, value in data.items():
        whole[name] = {**empty[name], **value} if isinstance(value, dict) and name in empty else value
    return whole


def _same(one: Any, other: Any) -> bool:
    """Also of one type: 0, 0.0 and False are written differently."""
    return type(one) is type(other) and one == other


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
