"""The risk gate: every refusal by its own code, and what still passes."""

from __future__ import annotations

import ast
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.order import OrderRole, OrderSide, OrderState, OrderType
from positions.domain.intent import Denied, OrderIntent
from positions.domain.margin import Margin
from positions.domain.order import Order
from positions.domain.ports import Contract, Tick
from positions.domain.position import Position
from positions.domain.risk import Lock, RiskContext, RiskGate, RiskLimits, Scope, ScopedLimit, TradingState

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


def recent(quantity: float, *, side: OrderSide = OrderSide.BUY, price: float | None = 100.0, role: OrderRole = OrderRole.ENTRY) -> Order:
    """An order of ours in AAPL that has just left."""
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    order = Order(
        order_id=f"o{quantity:g}", order_ref=f"r{quantity:g}", symbol="AAPL", side=side, order_type=kind, quantity=quantity, role=role,
        limit_price=price, now=lambda: NOW,
    )  # fmt: skip
    order.state = OrderState.WORKING
    return order


def lock(scope: Scope, name: str = "") -> Lock:
    return Lock(cause="c", code="drawdown", scope=scope, name=name, reason="Too deep.", since=NOW)


def margin(**changes: Any) -> dict[str, Any]:
    """What the broker said of INTENT: 50 % of it, a hundred thousand free."""
    asked = Margin(
        symbol="AAPL", side=OrderSide.BUY.value, quantity=100.0, limit_price=100.0, held=0.0, initial_change=5_000.0,
        maintenance_change=2_500.0, excess_liquidity=100_000.0, asked_at=NOW,
    )  # fmt: skip
    return replace(asked, **changes).to_dict()


def check(
    intent: dict[str, Any] | None = None, context: dict[str, Any] | None = None, limits: dict[str, Any] | None = None
) -> Denied | None:
    """The gate's answer; whatever it is, asking has changed nothing."""
    gate = RiskGate(replace(LIMITS, **(limits or {})))
    wish, moment = replace(INTENT, **(intent or {})), replace(CONTEXT, **(context or {}))
    before = everything(wish, moment, gate)
    answer = gate.check(wish, moment)
    assert everything(wish, moment, gate) == before
    return answer


def everything(intent: OrderIntent, moment: RiskContext, gate: RiskGate) -> str:
    """All that a check could reach, as text (NaN equals itself there)."""
    orders = [order.to_dict() for order in moment.orders]
    positions = [position.to_dict() for position in moment.positions]
    rest = [(f.name, getattr(moment, f.name)) for f in fields(moment) if f.name not in ("orders", "positions")]
    return repr((intent, orders, positions, rest, gate.limits, gate.entry_checks))


def test_a_sound_entry_passes() -> None:
    assert check() is None
    assert check({"side": OrderSide.SELL, "stop_loss": 105.0, "take_profit": 90.0}) is None
    assert check({"entry_type": OrderType.MARKET, "limit_price": None}) is None
    assert check(context={"clock_skew": -1.9}) is None


@pytest.mark.parametrize(
    ("code", "intent", "moment", "limits"),
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
        ("clock_skew", {}, {"clock_skew": 2.5}, {}),
        ("clock_skew", {}, {"clock_skew": -3600.0}, {}),
        ("clock_skew", {}, {"database_skew": 2.5}, {}),
        ("clock_skew", {}, {"database_skew": -3600.0}, {}),
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
        ("stale_quote", {}, {"quote": replace(QUOTE, time=NOW + timedelta(seconds=11))}, {}),
        ("crossed_quote", {}, {"quote": replace(QUOTE, bid=101.0)}, {}),
        ("price_collar", {"limit_price": 103.5}, {}, {}),
        ("stop_side", {"stop_loss": 100.0}, {}, {}),
        ("stop_side", {"limit_price": 102.0, "stop_loss": 101.0}, {}, {}),
        ("target_side", {"take_profit": 99.0}, {}, {}),
        ("max_quantity", {}, {}, {"max_order_quantity": 99}),
        ("max_notional", {}, {}, {"max_order_notional": 9_999.0}),
        ("opposite_position", {}, {"positions": [held("AAPL", -10)]}, {}),
        ("opposite_holding", {}, {"elsewhere": {"AAPL": -1.0}}, {}),
        ("max_position", {}, {"positions": [held("AAPL", 50)]}, {"max_position_notional": 14_999.0}),
        ("max_position", {}, {"orders": [working("AAPL", 50)]}, {"max_position_notional": 14_999.0}),
        ("max_positions", {}, {"positions": [held("MSFT", 1)], "orders": [working("IBM", 1)]}, {"max_open_positions": 2}),
        ("max_risk", {}, {"positions": [held("MSFT", 100, stop=96.0)]}, {"max_open_risk": 899.0}),
        ("max_risk", {}, {"orders": [working("MSFT", 4)]}, {"max_open_risk": 899.0}),
        ("daily_loss", {}, {"day_pnl": -10_000.0}, {}),
        ("daily_loss", {}, {"day_pnl": -20_000.0, "released_losses": 1}, {}),
        ("locked_drawdown", {}, {"locks": [lock(Scope.BOOK)]}, {}),
        ("locked_drawdown", {}, {"locks": [lock(Scope.SYMBOL, "AAPL")]}, {}),
        ("locked_drawdown", {"source": "flow"}, {"locks": [lock(Scope.SOURCE, "flow")]}, {}),
        ("wrong_account", {}, {"account": "DU1", "broker_account": "DU2"}, {}),
        ("near_close", {}, {"session_closes": NOW + timedelta(minutes=5)}, {}),
        ("near_close", {}, {"session_closes": NOW}, {}),
        ("same_shape", {}, {"orders": [recent(100)]}, {}),
        ("self_cross", {}, {"orders": [recent(10, side=OrderSide.SELL, price=100.0)]}, {}),
        ("self_cross", {}, {"orders": [recent(10, side=OrderSide.SELL, price=None)]}, {}),
        ("working_orders", {}, {"orders": [recent(1), recent(2)]}, {"max_working_orders": 2}),
        ("symbol_risk", {}, {"positions": [held("AAPL", 100, stop=96.0)]}, {"max_symbol_risk": 899.0}),
        ("scope_quantity", {}, {}, {"scoped": (ScopedLimit(scope=Scope.SYMBOL, name="AAPL", max_order_quantity=99),)}),
        ("scope_notional", {"source": "flow"}, {}, {"scoped": (ScopedLimit(scope=Scope.SOURCE, name="flow", max_order_notional=9_999),)}),
        ("scope_position", {"strategy": "s"}, {}, {"scoped": (ScopedLimit(scope=Scope.STRATEGY, name="s", max_position_notional=9_999),)}),
        ("scope_risk", {}, {"account": "DU1"}, {"scoped": (ScopedLimit(scope=Scope.ACCOUNT, name="DU1", max_open_risk=499),)}),
        ("day_entries", {}, {"day_began": NOW - timedelta(hours=9), "orders": [working("MSFT", 1)]}, {"max_day_entries": 1}),
        (
            "day_entries",
            {},
            {"day_began": NOW - timedelta(hours=9), "orders": [working("AAPL", 1)]},
            {"scoped": (ScopedLimit(scope=Scope.SYMBOL, name="AAPL", max_day_entries=1),)},
        ),
        ("day_notional", {}, {"day_began": NOW - timedelta(hours=9), "orders": [working("MSFT", 10)]}, {"max_day_notional": 10_999.0}),
        ("repeat_limit", {}, {"orders": [working("AAPL", 1), recent(2)]}, {"max_symbol_repeats": 2}),
        ("moved_price", {"shown": {"last": 99.0, "allowed_drift": 0.005}}, {}, {}),
        ("moved_price", {"shown": {"last": 100.0, "price_then": 99.0, "allowed_drift": 0.005}}, {}, {}),
        ("moved_position", {"shown": {"held": 50.0}}, {}, {}),
        ("moved_session", {"shown": {"session": "2026-03-01"}}, {"day_began": NOW}, {}),
        ("moved_limits", {"shown": {"limits_version": "1"}}, {"limits_version": "2"}, {}),
        ("moved_risk", {"shown": {"risk_dollars": 400.0}}, {}, {}),
        ("no_what_if", {}, {}, {"require_margin": True}),
        ("margin_moved_position", {"margin": margin(held=50.0)}, {}, {"require_margin": True}),
        ("margin_moved_size", {"margin": margin(quantity=99.0)}, {}, {"require_margin": True}),
        ("margin_moved_age", {"margin": margin(asked_at=NOW - timedelta(minutes=3))}, {}, {"require_margin": True}),
        ("margin_moved_price", {"margin": margin(limit_price=99.4)}, {}, {"require_margin": True}),
        ("margin_moved_limits", {"margin": margin(limits_version="1")}, {"limits_version": "2"}, {"require_margin": True}),
        ("margin_moved_session", {"margin": margin(day="2026-03-01")}, {"day_began": NOW}, {"require_margin": True}),
        ("margin_moved_order", {"margin": margin(side="sell")}, {}, {"require_margin": True}),
        ("no_excess", {"margin": margin(excess_liquidity=None)}, {}, {"require_margin": True}),
        ("margin", {"margin": margin(initial_change=50_001.0)}, {}, {}),
    ],
)
def test_each_refusal_has_its_code_and_says_what_to_do(
    code: str, intent: dict[str, Any], moment: dict[str, Any], limits: dict[str, Any]
) -> None:
    denied = check(intent, moment, limits)
    assert denied is not None
    assert denied.code == code
    assert denied.message
    assert denied.what_to_do


REFUSING = ("risk", "risk_market", "risk_pace", "margin", "shown")


def refusals_in_code() -> list[ast.Call]:
    """Every `denied(…)` of the gate's modules."""
    trees = [ast.parse((Path(__file__).parents[2] / "domain" / f"{name}.py").read_text()) for name in REFUSING]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "denied"]


@pytest.mark.parametrize("call", refusals_in_code(), ids=lambda call: f"{ast.unparse(call.args[0])[:30]}-{call.lineno}")
def test_every_refusal_of_the_gate_carries_words_and_what_to_do(call: ast.Call) -> None:
    _, message, what_to_do = call.args
    for words in (message, what_to_do):
        assert not isinstance(words, ast.Constant) or str(words.value).strip().endswith(".")


def test_every_code_of_the_gate_is_provoked_here() -> None:
    said = Path(__file__).read_text()
    codes = {ast.literal_eval(call.args[0]) for call in refusals_in_code() if isinstance(call.args[0], ast.Constant)}
    assert len(codes) > 30
    assert {code for code in codes if f'"{code}"' not in said} == set()


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


def test_what_is_locked_for_one_name_leaves_the_others_alone() -> None:
    assert check(context={"locks": [lock(Scope.SYMBOL, "MSFT"), lock(Scope.SOURCE, "flow")]}) is None
    lapsed = replace(lock(Scope.BOOK), until=NOW)
    assert check(context={"locks": [lapsed]}) is None


def test_a_cleared_repeat_lock_counts_from_when_it_was_cleared() -> None:
    orders = [working("AAPL", 1), working("AAPL", 2)]
    limits = {"max_symbol_repeats": 2}
    assert check(context={"orders": orders}, limits=limits) is not None
    assert check(context={"orders": orders, "cleared": {"symbol AAPL": NOW - timedelta(seconds=1)}}, limits=limits) is None


def test_orders_that_never_left_count_for_nothing() -> None:
    never = working("AAPL", 1, state=OrderState.DENIED)
    context = {"orders": [never], "day_began": NOW - timedelta(hours=9)}
    assert check(context=context, limits={"max_day_entries": 1, "max_symbol_repeats": 1}) is None


def test_a_resting_target_above_the_entry_does_not_cross_it() -> None:
    assert check(context={"orders": [recent(10, side=OrderSide.SELL, price=110.0, role=OrderRole.TARGET)]}) is None


def test_margin_of_working_entries_counts_as_taken() -> None:
    other = working("MSFT", 1)
    other.intent = {"margin": margin(initial_change=45_001.0)}
    denied = check({"margin": margin()}, {"orders": [other]})
    assert denied is not None
    assert (denied.code, denied.values["working"]) == ("margin", 45_001.0)
    assert check({"margin": margin()}, {"orders": []}, {"require_margin": True}) is None
