"""What a position was planned to risk and to gain, beside what its fills made of it. Read from the entries' own wishes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from events.order import OrderRole
from positions.domain.expected import money_between
from positions.domain.holding import in_r
from positions.models import PositionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Price per share, money, and multiples of the risk. `risk` is of all entries; the rest of the first one. The actual ones are
    None until something has filled, and where there is no R."""

    price: float | None
    risk: float | None
    reward_r: float | None
    actual_price: float | None
    actual_risk: float | None
    actual_reward_r: float | None


def planned_of(record: PositionRecord, orders: Iterable[Mapping[str, Any]]) -> Planned | None:
    """`orders` are the rows of the position's orders, oldest first. None where no entry said what it expected."""
    intents = [order["intent"] for order in orders if order.get("role") == OrderRole.ENTRY and order.get("intent")]
    plans = [intent for intent in intents if intent.get("expected_price") is not None]
    if not plans:
        return None
    first, risks = plans[0], [_risk(intent) for intent in plans]
    target = first.get("take_profit")
    risk = _risk(first)
    return Planned(
        price=first["expected_price"],
        risk=sum(known for known in risks if known is not None) if len(plans) == len(intents) and None not in risks else None,
        reward_r=in_r(money_between(first["quantity"], first["expected_price"], target) or 0.0, risk) if target is not None else None,
        actual_price=_number(record.entry_price),
        actual_risk=_number(record.risk_taken),
        actual_reward_r=_actual_reward(record, target),
    )


def _risk(intent: Mapping[str, Any]) -> float | None:
    return money_between(intent["quantity"], intent["expected_price"], intent.get("stop_loss"))


def _actual_reward(record: PositionRecord, target: float | None) -> float | None:
    """How many R away from the average entry the planned target lies."""
    if target is None or record.entry_price is None or not record.opened_quantity:
        return None
    away = abs(target - float(record.entry_price)) * float(record.opened_quantity)
    return in_r(away, _number(record.risk_taken))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
