"""What the card showed, and the moment before the order is written: whatever moved is named, from what to what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from events.order import OrderSide
from positions.domain.intent import OrderIntent
from positions.domain.ports import Contract, Tick
from positions.domain.position import Position
from positions.domain.risk import RiskContext, RiskGate, RiskLimits
from positions.domain.shown import Shown, is_still_as_shown

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
QUOTE = Tick(symbol="AAPL", last=100.0, bid=99.99, ask=100.01, volume=1.0, time=NOW)
FIRST, SECOND = "2026-03-02 14:00:00.123456+00:00 0", "2026-03-02 14:59:59.500000+00:00 0"
SHOWN = Shown(
    last=100.0, quote_at=NOW.isoformat(), price_then=100.0, allowed_drift=0.005, held=0.0, session="2026-03-02", limits_version=FIRST,
    risk_dollars=500.0,
)  # fmt: skip
CONTEXT = RiskContext(now=NOW, contract=Contract(symbol="AAPL", con_id=1), quote=QUOTE, day_began=NOW.replace(hour=5), limits_version=FIRST)
INTENT = OrderIntent(
    intent_id="i1", symbol="AAPL", side=OrderSide.BUY, quantity=100, limit_price=100.0, stop_loss=95.0, shown=SHOWN.to_dict()
)


def held(quantity: float) -> Position:
    position = Position("AAPL", now=lambda: NOW)
    position.plan(quantity)
    position.apply_fill(quantity, 100.0)
    return position


def refused(intent: dict[str, Any] | None = None, context: dict[str, Any] | None = None, shown: dict[str, Any] | None = None) -> Any:
    kept = replace(SHOWN, **(shown or {})).to_dict()
    wish, moment = replace(INTENT, shown=kept, **(intent or {})), replace(CONTEXT, **(context or {}))
    return is_still_as_shown(wish, moment, RiskLimits())


@pytest.mark.parametrize(
    ("code", "was", "now", "words", "intent", "moment"),
    [
        ("moved_price", 100.0, 100.51, "from 100.00 to 100.51: +0.51% from the card's 100.00", {}, {"quote": replace(QUOTE, last=100.51)}),
        ("moved_price", 100.0, 99.49, "from 100.00 to 99.49: −0.51% from the card's 100.00", {}, {"quote": replace(QUOTE, last=99.49)}),
        ("moved_position", 0.0, 40.0, "from 0 shares, when it was approved, to 40", {}, {"positions": [held(40)]}),
        ("moved_position", 0.0, -40.0, "from 0 shares, when it was approved, to −40", {}, {"positions": [held(-40)]}),
        ("moved_session", "2026-03-02", "2026-03-03", "from 2026-03-02", {}, {"day_began": datetime(2026, 3, 3, 5, tzinfo=UTC)}),
        ("moved_limits", FIRST, SECOND, "2026-03-02 14:00:00 UTC", {}, {"limits_version": SECOND}),
        ("moved_risk", 500.0, 600.0, "from $500.00, when it was approved, to $600.00: the stop is 6.00 away", {"stop_loss": 94.0}, {}),
        ("moved_risk", 500.0, 1_000.0, "to $1,000.00", {"quantity": 200}, {}),
    ],
)
def test_what_moved_is_named_from_what_to_what(
    code: str, was: Any, now: Any, words: str, intent: dict[str, Any], moment: dict[str, Any]
) -> None:
    denied = refused(intent, moment)
    assert (denied.code, denied.values["was"], denied.values["now"]) == (code, was, now)
    assert words in denied.message
    assert "Nothing was sent" in denied.what_to_do


def test_what_has_not_moved_passes() -> None:
    assert refused() is None
    assert refused(context={"quote": replace(QUOTE, last=100.5)}) is None
    assert refused({"stop_loss": 94.99, "limit_price": 99.99}) is None


def test_snapping_to_the_venues_ticks_is_no_move_but_more_is() -> None:
    nickels = Contract(symbol="AAPL", con_id=1, increments=((0.0, 0.05),))
    assert refused({"limit_price": 100.0, "stop_loss": 95.05}, {"contract": nickels}) is None
    assert refused({"limit_price": 100.0, "stop_loss": 95.15}, {"contract": nickels}).code == "moved_risk"


def test_a_price_that_was_near_the_limit_of_the_drift_may_not_go_on_beyond_it() -> None:
    denied = refused(context={"quote": replace(QUOTE, last=100.6)}, shown={"last": 100.4})
    assert denied.code == "moved_price"
    assert "+0.60% from the prediction's 100.00;" in denied.message


def test_a_quote_without_a_trade_is_judged_by_its_middle_as_on_the_card() -> None:
    assert refused(context={"quote": replace(QUOTE, last=None, bid=100.6, ask=100.8)}).values["now"] == pytest.approx(100.7)


@pytest.mark.parametrize("name", ["last", "held", "session", "limits_version", "risk_dollars", "allowed_drift"])
def test_what_an_older_approval_did_not_keep_is_not_compared(name: str) -> None:
    kept = {key: value for key, value in SHOWN.to_dict().items() if key != name}
    moment = {
        "last": {"quote": replace(QUOTE, last=150.0)},
        "allowed_drift": {"quote": replace(QUOTE, last=150.0)},
        "held": {"positions": [held(5)]},
        "session": {"day_began": datetime(2026, 3, 3, 5, tzinfo=UTC)},
        "limits_version": {"limits_version": SECOND},
        "risk_dollars": {},
    }[name]
    wish = replace(INTENT, shown=kept, quantity=300 if name == "risk_dollars" else 100)
    assert is_still_as_shown(wish, replace(CONTEXT, **moment), RiskLimits()) is None


def test_the_gate_asks_it_and_an_intent_that_was_stored_still_carries_it() -> None:
    again = OrderIntent.from_dict(INTENT.to_dict())
    moved = replace(CONTEXT, positions=[held(40)])
    denied = RiskGate().check(again, moved)
    assert denied is not None
    assert denied.code == "moved_position"
    assert RiskGate().check(replace(again, shown=None), moved) is None
