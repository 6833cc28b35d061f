"""Checks on the session, on our own other orders, on what is shut, and on limits of one symbol, source, strategy or account."""

from __future__ import annotations

from datetime import timedelta

from events.order import OrderSide, OrderType
from events.wording import count_words, moment_words, money_text, quantity_text
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order import Order
from positions.domain.position import Position
from positions.domain.pricing import signed
from positions.domain.risk_context import RiskContext, RiskLimits, Scope, ScopedLimit, denied, entry_price, order_in, order_price


def account_is_the_pinned_one(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if not context.account or not context.broker_account or context.account == context.broker_account:
        return None
    return denied(
        "wrong_account",
        f"The gateway trades {context.broker_account}, this desk {context.account}.",
        "Connect the gateway to the desk's account.",
        account=context.account,
        broker_account=context.broker_account,
    )


def close_is_not_near(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """No new entry in the last minutes: there would be no time left to manage it."""
    if context.session_closes is None:
        return None
    left = context.session_closes - context.now
    if left > timedelta(minutes=limits.no_entry_before_close_minutes):
        return None
    minutes = max(0.0, left.total_seconds() / 60)
    return denied(
        "near_close",
        f"The session closes in {minutes:.0f} min; no entry in the last {quantity_text(limits.no_entry_before_close_minutes)} min.",
        "Wait for the next session.",
        minutes_left=minutes,
        limit=limits.no_entry_before_close_minutes,
    )


def nothing_is_locked(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    for lock in context.locks:
        if not lock.shuts(intent, context.now, context.account):
            continue
        until = f"until {moment_words(lock.until, context.now)}" if lock.until is not None else "until a person clears it"
        what = lock.name or "New entries"
        return denied(
            f"locked_{lock.code}"[:40],
            f"{what} locked {until}: {lock.reason}",
            "Wait, or let an admin clear the lock on the trading page.",
            cause=lock.cause,
            until=lock.until.isoformat() if lock.until else None,
            **dict(lock.values),
        )
    return None


def does_not_trade_away_what_others_hold(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """The broker nets: a short entry in a stock that is held long by other hands would sell their shares, and be no short."""
    there = context.elsewhere.get(intent.symbol, 0.0)
    if there * signed(intent.side, 1) >= 0:
        return None
    word, what = ("long", "sell") if there > 0 else ("short", "buy back")
    return denied(
        "opposite_holding",
        f"{quantity_text(abs(there))} {intent.symbol} are held {word} at this account outside the desk; this order would {what} them.",
        "Adopt or close them on the Broker page first.",
        elsewhere=there,
    )


def does_not_cross_our_own(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """No order of ours on the other side that this one could trade with; a stop that still rests cannot."""
    for order in context.orders:
        if order.symbol != intent.symbol or not order.is_live or order.side is intent.side:
            continue
        if order.order_type not in (OrderType.LIMIT, OrderType.MARKET):
            continue
        mine = entry_price(intent, context)
        if order.limit_price is not None and mine is not None and not _crosses(intent.side, mine, order.limit_price):
            continue
        return denied(
            "self_cross",
            f"Our own order to {order.side.value.lower()} {quantity_text(order.remaining_quantity)} {order.symbol} would trade with it.",
            "Cancel that order first, or move the limit.",
            order_id=order.order_id,
            limit_price=intent.limit_price,
            other_price=order.limit_price,
        )
    return None


def _crosses(side: OrderSide, mine: float, other: float) -> bool:
    return mine >= other if side is OrderSide.BUY else mine <= other


def working_orders_are_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """Entry on one side, its stop and target on the other; IB counts working orders per contract and side."""
    live = [order for order in context.orders if order.symbol == intent.symbol and order.is_live]
    same = sum(order.side is intent.side for order in live) + 1
    other = sum(order.side is not intent.side for order in live) + 2
    if max(same, other) <= limits.max_working_orders:
        return None
    return denied(
        "working_orders",
        f"{count_words(len(live), 'order')} in {intent.symbol} at work already; at most {limits.max_working_orders} per side may be.",
        "Cancel some, or wait until they end.",
        working=len(live),
        limit=limits.max_working_orders,
    )


def symbol_risk_is_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    risk = _risk(intent, context, Scope.SYMBOL, intent.symbol)
    if risk <= limits.max_symbol_risk:
        return None
    return denied(
        "symbol_risk",
        f"${money_text(risk)} would be at risk in {intent.symbol}; ${money_text(limits.max_symbol_risk)} is allowed per symbol.",
        "Make it smaller, or bring the stop closer.",
        risk=risk,
        limit=limits.max_symbol_risk,
    )


def scopes_are_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """The tighter limits of this symbol, source, strategy and account; working entries count as filled."""
    price = entry_price(intent, context) or 0.0
    for limit in limits.scopes_of(intent, context.account):
        working = [o for o in context.working_entries() if order_in(limit.scope, o, limit.name)]
        exposure = intent.quantity * price + _held(limit, context) + sum(o.remaining_quantity * order_price(o) for o in working)
        for code, what, value, most in (
            ("scope_quantity", "shares in one order", intent.quantity, limit.max_order_quantity),
            ("scope_notional", "dollars in one order", intent.quantity * price, limit.max_order_notional),
            ("scope_position", "dollars held and working", exposure, limit.max_position_notional),
            ("scope_risk", "dollars at risk", _risk(intent, context, limit.scope, limit.name), limit.max_open_risk),
        ):
            if most is not None and value > most:
                message = f"{money_text(value)} {what} for {limit.words}; {money_text(most)} is the limit."
                return denied(code, message, "Make it smaller.", scope=limit.words, value=value, limit=most)
    return None


def _held(limit: ScopedLimit, context: RiskContext) -> float:
    return sum(abs(p.held) * (p.current_price or p.entry_price or 0.0) for p in _positions(context, limit.scope, limit.name))


def _positions(context: RiskContext, scope: Scope, name: str) -> list[Position]:
    active = [p for p in context.positions if p.is_active]
    if scope is Scope.SYMBOL:
        return [p for p in active if p.symbol == name]
    return [p for p in active if p.strategy == name] if scope in (Scope.SOURCE, Scope.STRATEGY) else active


def _risk(intent: OrderIntent, context: RiskContext, scope: Scope, name: str) -> float:
    """Lost if every stop of the scope fills at its price, this entry and working ones included."""
    price = entry_price(intent, context) or 0.0
    this = intent.quantity * (abs(price - intent.stop_loss) if intent.stop_loss is not None else price)
    working = sum(risk_of_entry(o, context) for o in context.working_entries() if order_in(scope, o, name))
    return this + working + sum(p.open_risk for p in _positions(context, scope, name))


def risk_of_entry(order: Order, context: RiskContext) -> float:
    """What a working entry would put at risk: to its own stop, or everything without one."""
    price = order.limit_price or order.intent.get("reference_price") or 0.0
    stop = order.intent.get("stop_loss")
    return order.remaining_quantity * float(abs(price - stop) if stop is not None else price)
