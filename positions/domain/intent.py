"""What we want (an intent), and our own refusal of it (Denied). Both are plain values: nothing here sends anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from events.order import OrderSide, OrderType


class IntentKind(StrEnum):
    BRACKET = "bracket"  # entry, and stop and target as its OCA children
    SINGLE = "single"  # one order
    OCA = "oca"  # stop and target of a position already held, without an entry


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """One wish. `intent_id` is its identity: the same id twice is the same wish and makes no second order.

    `quantity` is absolute shares, prices are per share. `expires_at` is when the wish lapses before it is sent (I8);
    `entry_life_seconds` how long an unfilled entry may rest at the broker. `position_id` is for exits; `signal_id`,
    `source`, `strategy` and `reference_price` (the price the person saw) say where the wish came from, `expected_price` the fill
    that size and levels were made for; `margin` is what the
    broker's what-if said of it, as `Margin.to_dict`; `shown` what its card showed, as `Shown.to_dict`.
    """

    intent_id: str
    symbol: str
    side: OrderSide
    quantity: float
    entry_type: OrderType = OrderType.LIMIT
    limit_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    signal_id: str = ""
    source: str = ""
    strategy: str = ""
    reference_price: float | None = None
    expected_price: float | None = None
    expires_at: datetime | None = None
    entry_life_seconds: float | None = None
    position_id: str = ""
    kind: IntentKind | str = IntentKind.BRACKET
    cause: str = ""
    margin: dict[str, Any] | None = None
    shown: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        row = asdict(self)
        row["expires_at"] = None if self.expires_at is None else self.expires_at.isoformat()
        return {key: value.value if isinstance(value, StrEnum) else value for key, value in row.items()}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> OrderIntent:
        expires = row.get("expires_at")
        return cls(
            **{
                **row,
                "side": OrderSide(row["side"]),
                "entry_type": OrderType(row["entry_type"]),
                "expires_at": None if expires is None else datetime.fromisoformat(expires),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """We refused. `code` for programs, `message` and `what_to_do` for people, `values` the numbers that decided.

    Not to be mixed up with a rejection, which is IB's and keeps IB's words.
    """

    code: str
    message: str
    values: dict[str, Any] = field(default_factory=dict)
    what_to_do: str = ""

    def __str__(self) -> str:
        return f"{self.message} {self.what_to_do}".strip()


EXPIRED = Denied(
    code="expired",
    message="The approval lapsed before the order could be sent.",
    what_to_do="Nothing was sent. Look at the market and decide again.",
)
