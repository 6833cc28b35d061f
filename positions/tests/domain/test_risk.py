"""The risk gate: every refusal by its own code, and what still passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.order import OrderRole, OrderSide, OrderState, OrderType
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order import Order
from positions.domain.ports import Contract, Tick
from positions.domain.position import Position
from positions.domain.risk import RiskContext, RiskGate, RiskLimits, TradingState

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
QUOTE = Tick(symbol="AAPL", last=100.0, bid=99.99, ask=100.01, volume=1.0, time=NOW)
CONTEXT = RiskContext(now=NOW, contract=Contract(symbol="AAPL", con_id=1), quote=QUOTE)
INTENT = OrderIntent(
    intent_id="i1",
    symbol="AAPL",
    side=OrderSide.BUY,
    quantity=100,
    limit_price=100.0,
    stop_loss=95.0,
    take_profit=110.0,
    signal_id="s1",
)
LIMITS = RiskLimits(restricted_symbols=frozenset({"GME"}))


def held(symbol: str, quantity: float, price: float = 100.0, stop: float | None = None) -> Position:
    position = Position(symbol, now=lambda: NOW)
    position.plan(quantity, stop_loss=stop)
    position.apply_fill(quantity, price)
    return position


def working(symbol: str, quantity: float, *, state: OrderState = OrderState.WORKING, signal_id: str = "") -> Order:
    order = Order(
        order_id=f"o-{symbol}",
        order_ref=f"r-{symbol}",
        symbol=symbol,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=quantity,
        role=OrderRole.ENTRY,
        limit_price=100.0,
        signal_id=signal_id,
        now=lambda: NOW - timedelta(minutes=1),
    )
    order.state = state
    return order


def check(
    intent: dict[str, Any] | None = None, context: dict[str, Any] | None = None, limits: dict[str, Any] | None = None
) -> Denied | None:
    gate = RiskGate(replace(LIMITS, **(limits or {})))
    return gate.check(replace(INTENT, **(intent or {})), replace(CONTEXT, **(context or {})))


def test_a_sound_entry_passes() -> None:
    assert check() is None
    assert check({"side": OrderSide.SELL, "stop_loss": 105.0, "take_profit": 90.0}) is None
    assert check({"entry_type": OrderType.MARKET, "limit_price": None}) is None


@pytest.mark.parametrize(
    ("code", "intent", "context", "limits"),
    [
        ("bad_number", {"quantity": float("nan")}, {}, {}),
        ("bad_number", {"stop_loss": float("inf")}, {}, {}),
        ("bad_number", {"quantity": 0}, {}, {}),
        ("fractional", {"quantity": 1.5}, {}, {}),
        ("no_limit_price", {"limit_price": None}, {}, {}),
        ("expired", {"expires_at": NOW}, {}, {}),
        ("halted", {}, {"trading_state": TradingState.HALTED, "trading_reason": "fire"}, {}),
        ("reduce_only", {}, {"trading_state": TradingState.REDUCE_ONLY}, {}),
        ("link_down", {}, {"link_up": False}, {}),
        ("not_reconciled", {}, {"reconciled": False}, {}),
        ("unknown_symbol", {}, {"contract": None}, {}),
        ("restricted", {"symbol": "GME"}, {}, {}),
        ("duplicate", {}, {"orders": [working("AAPL", 1, signal_id="s1")]}, {}),
        ("in_doubt", {}, {"orders": [working("AAPL", 1, state=OrderState.IN_DOUBT)]}, {}),
        ("market_closed", {}, {"session_open": False}, {}),
        ("no_stop", {"stop_loss": None}, {}, {}),
        ("no_quote", {}, {"quote": None}, {}),
        ("no_quote", {}, {"quote": replace(QUOTE, bid=None, ask=-1.0, last=float("nan"))}, {}),
        ("symbol_halted", {}, {"quote": replace(QUOTE, halted=True)}, {}),
        ("not_live", {}, {"quote": replace(QUOTE, market_data_type=3)}, {}),
        ("stale_quote", {}, {"quote": replace(QUOTE, time=NOW - timedelta(seconds=11))}, {}),
        ("crossed_quote", {}, {"quote": replace(QUOTE, bid=101.0)}, {}),
        ("price_collar", {"limit_price": 103.5}, {}, {}),
        ("stop_side", {"stop_loss": 100.0}, {}, {}),
        ("stop_side", {"limit_price": 102.0, "stop_loss": 101.0}, {}, {}),
        ("target_side", {"take_profit": 99.0}, {}, {}),
        ("max_quantity", {}, {}, {"max_order_quantity": 99}),
        ("max_notional", {}, {}, {"max_order_notional": 9_999.0}),
        ("opposite_position", {}, {"positions": [held("AAPL", -10)]}, {}),
        ("max_position", {}, {"positions": [held("AAPL", 50)]}, {"max_position_notional": 14_999.0}),
        ("max_position", {}, {"orders": [working("AAPL", 50)]}, {"max_position_notional": 14_999.0}),
        ("max_positions", {}, {"positions": [held("MSFT", 1)], "orders": [working("IBM", 1)]}, {"max_open_positions": 2}),
        ("max_risk", {}, {"positions": [held("MSFT", 100, stop=96.0)]}, {"max_open_risk": 899.0}),
        ("max_risk", {}, {"orders": [working("MSFT", 4)]}, {"max_open_risk": 899.0}),
        ("daily_loss", {}, {"day_pnl": -10_000.0}, {}),
    ],
)
def test_each_refusal_has_its_code_and_says_what_to_do(
    code: str, intent: dict[str, Any], context: dict[str, Any], limits: dict[str, Any]
) -> None:
    denied = check(intent, context, limits)
    assert denied is not None
    assert denied.code == code
    assert denied.message
    assert denied.what_to_do


def test_limits_are_inclusive() -> None:
    limits = {"max_order_quantity": 100, "max_order_notional": 10_000.0, "max_position_notional": 10_000.0, "max_open_risk": 500.0}
    assert check(limits=limits) is None
    assert check({"limit_price": 103.0}, limits={"price_collar_pct": 3.0}) is None
    assert check(context={"positions": [held("AAPL", 1)]}, limits={"max_open_positions": 1}) is None


def test_an_exit_leaves_whatever_the_trading_state_and_the_quote() -> None:
    position = held("AAPL", 100)
    out = {"side": OrderSide.SELL, "position_id": position.position_id, "entry_type": OrderType.MARKET, "limit_price": None}
    out |= {"stop_loss": None, "take_profit": None}
    context = {"positions": [position], "trading_state": TradingState.HALTED, "quote": None, "reconciled": False}
    assert check(out, context) is None
    for wrong in ({"quantity": 101}, {"side": OrderSide.BUY}):
        denied = check({**out, **wrong}, context)
        assert denied is not None
        assert denied.code == "not_reducing"
    denied = check(out, {**context, "positions": []})
    assert denied is not None
    assert denied.code == "no_position"
