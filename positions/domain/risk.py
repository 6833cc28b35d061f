"""The risk gate: a list of small named checks, asked in order before an order may leave. The first refusal wins.

Every refusal is a `Denied` with a code, the numbers that decided and what to do. A check never changes anything and
never waits. Entries pass all checks; exits only those that also make sense for getting out, so that a halt or a stale
quote never locks a person into a position. Here are the gate and the checks of one order by itself; those on its
surroundings are in `risk_pace.py`, `risk_market.py`, `margin.py` and `shown.py`. `controls.py` is the table of them all.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from events.clock import CLOCK_TOLERANCE, clock_trouble
from events.order import OrderRole, OrderSide, OrderState, OrderType
from events.wording import age_words, count_words, money_text, price_text, quantity_text, shares_words
from positions.domain.intent import EXPIRED, Denied, IntentKind, OrderIntent
from positions.domain.levels import is_beyond_sense
from positions.domain.margin import margin_is_within
from positions.domain.pricing import signed
from positions.domain.risk_context import (
    Check,
    Lock,
    RiskContext,
    RiskLimits,
    Scope,
    ScopedLimit,
    TradingState,
    denied,
    entry_price,
)
from positions.domain.risk_market import (
    account_is_the_pinned_one,
    close_is_not_near,
    does_not_cross_our_own,
    does_not_trade_away_what_others_hold,
    nothing_is_locked,
    risk_of_entry,
    scopes_are_within,
    symbol_risk_is_within,
    working_orders_are_within,
)
from positions.domain.risk_pace import day_is_within, not_the_same_shape_again, repeats_are_within
from positions.domain.shown import is_still_as_shown

__all__ = ["Check", "Lock", "RiskContext", "RiskGate", "RiskLimits", "Scope", "ScopedLimit", "TradingState", "entry_price"]

log = logging.getLogger(__name__)

LIVE_DATA = 1  # market_data_type of a live quote


class RiskGate:
    """Holds the limits and the checks. `limits` may be replaced at any time; the next intent sees the new ones."""

    def __init__(self, limits: RiskLimits | None = None, *, entry_checks: Sequence[Check] = (), exit_checks: Sequence[Check] = ()) -> None:
        self.limits = limits or RiskLimits()
        self.entry_checks: list[Check] = list(entry_checks or ENTRY_CHECKS)
        self.exit_checks: list[Check] = list(exit_checks or EXIT_CHECKS)

    def check(self, intent: OrderIntent, context: RiskContext) -> Denied | None:
        """The first refusal, or None."""
        checks = self.exit_checks if intent.position_id else self.entry_checks
        for check in checks:
            refusal = check(intent, context, self.limits)
            if refusal is not None:
                log.debug("%s of %s refused: %s: %s", intent.kind, intent.symbol, refusal.code, refusal)
                return refusal
        return None


# ---- checks: one refusal each -------------------------------------------------------------------------------------------


def numbers_make_sense(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """Finite, positive, whole, and a limit order has its limit."""
    for name in ("quantity", "limit_price", "stop_loss", "take_profit"):
        value = getattr(intent, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            return denied("bad_number", f"The {_words(name)} must be a positive number.", "Correct it.", field=name, value=repr(value))
    if intent.quantity != int(intent.quantity):
        return denied(
            "fractional", f"{quantity_text(intent.quantity)} is not a whole number of shares.", "Round it.", quantity=intent.quantity
        )
    if intent.entry_type is OrderType.LIMIT and intent.limit_price is None:
        return denied("no_limit_price", "A limit order needs a limit price.", "Give one, or choose a market order.")
    return None


def not_expired(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if intent.expires_at is None or context.now < intent.expires_at:
        return None
    return replace(EXPIRED, values={"expired_at": intent.expires_at.isoformat()})


def trading_is_active(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    return trading_refusal(context.trading_state, context.trading_reason)


def trading_refusal(state: TradingState, reason: str) -> Denied | None:
    """Why no entry may leave in this state; None in ACTIVE."""
    if state is TradingState.ACTIVE:
        return None
    word = "halted" if state is TradingState.HALTED else "reduce-only"
    why = f": {reason.rstrip('.')}" if reason else ""
    return denied(state.value, f"Trading is {word}{why}.", "An admin has to resume trading first.", reason=reason)


def link_is_up(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if context.link_up:
        return None
    return denied("link_down", "There is no connection to the broker.", "Wait until the gateway is connected, then try again.")


def clocks_agree(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """A wrong clock makes old prices fresh and lapsed wishes alive."""
    for away, whose in ((context.clock_skew, "broker's"), (context.database_skew, "database's")):
        if trouble := clock_trouble(away, whose):
            words = f"{trouble[0].upper()}{trouble[1:]}."
            return denied(
                "clock_skew", words, "Set it by a time server; it is compared every few seconds.", skew=away, limit=CLOCK_TOLERANCE
            )
    return None


def books_are_reconciled(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if context.reconciled:
        return None
    return denied("not_reconciled", "Our books have not been compared with the broker's yet.", "Wait for the reconcile to finish.")


def symbol_is_known(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if context.contract is not None:
        return None
    return denied("unknown_symbol", f"The broker does not know a stock {intent.symbol!r}.", "Check the symbol.", symbol=intent.symbol)


def symbol_is_allowed(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if intent.symbol not in limits.restricted_symbols:
        return None
    return denied("restricted", f"{intent.symbol} is on the restricted list.", "An admin can take it off.", symbol=intent.symbol)


def session_is_open(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if context.session_open is not False:
        return None
    return denied("market_closed", "The market is closed.", "Wait for the regular session.")


def entry_has_a_stop(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if intent.stop_loss is not None or intent.kind != IntentKind.BRACKET:
        return None
    return denied("no_stop", "An entry needs a stop.", "Set a stop price.")


def quote_is_fresh(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    quote, what = context.quote, "Wait for a fresh live quote."
    if quote is None or context.market is None:
        return denied("no_quote", f"There is no price for {intent.symbol}.", what)
    if quote.halted:
        return denied("symbol_halted", f"{intent.symbol} is halted at the exchange.", "Wait until it trades again.")
    if quote.market_data_type != LIVE_DATA:
        return denied("not_live", "The quote is delayed or frozen.", "Orders need live data.", data_type=quote.market_data_type)
    age = (context.now - quote.time).total_seconds()
    if age < -limits.quote_max_age_seconds:  # a clock was set back: nobody knows how old it is
        message = f"The last price is stamped {age_words(-age)} from now."
        return denied("stale_quote", message, what, age=age, limit=limits.quote_max_age_seconds)
    if age > limits.quote_max_age_seconds:
        return denied("stale_quote", f"The last price is {age_words(age)} old.", what, age=age, limit=limits.quote_max_age_seconds)
    if quote.bid is not None and quote.ask is not None and quote.bid > quote.ask:
        return denied("crossed_quote", "Bid and ask are crossed.", what, bid=quote.bid, ask=quote.ask)
    return None


def price_is_in_the_collar(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    market = context.market
    if intent.limit_price is None or market is None:
        return None
    away = abs(intent.limit_price - market) / market * 100
    if away <= limits.price_collar_pct:
        return None
    return denied(
        "price_collar",
        f"The limit of {price_text(intent.limit_price)} is {money_text(away, 1)}% away from the market at {price_text(market)}; "
        f"{quantity_text(limits.price_collar_pct)}% is allowed.",
        "Move the limit closer to the market.",
        limit_price=intent.limit_price,
        market=market,
        away_pct=away,
        limit_pct=limits.price_collar_pct,
    )


def levels_are_on_their_sides(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """Long: stop < entry < target, and the stop below the market too; short the other way round."""
    sign = 1 if intent.side is OrderSide.BUY else -1
    entry, market = entry_price(intent, context), context.market
    for reference, name in ((entry, "entry"), (market, "market")):
        if reference is None:
            continue
        for what, level in (("stop", intent.stop_loss), ("target", intent.take_profit)):
            if is_beyond_sense(level, reference):
                message = f"The {what} at {price_text(level)} is more than ten times the {name} at {price_text(reference)}."
                return denied(f"{what}_side", message, f"Move the {what}.", level=level, **{name: reference})
        if intent.stop_loss is not None and (reference - intent.stop_loss) * sign <= 0:
            side = "below" if sign > 0 else "above"
            message = f"The stop at {price_text(intent.stop_loss)} must be {side} the {name} at {price_text(reference)}."
            return denied("stop_side", message, "Move the stop.", stop=intent.stop_loss, **{name: reference})
        if intent.take_profit is not None and (intent.take_profit - reference) * sign <= 0:
            side = "above" if sign > 0 else "below"
            message = f"The target at {price_text(intent.take_profit)} must be {side} the {name} at {price_text(reference)}."
            return denied("target_side", message, "Move the target.", target=intent.take_profit, **{name: reference})
    return None


def quantity_is_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    if intent.quantity <= limits.max_order_quantity:
        return None
    return denied(
        "max_quantity",
        f"{shares_words(intent.quantity)} are more than the {quantity_text(limits.max_order_quantity)} one order may have.",
        "Make it smaller.",
        quantity=intent.quantity,
        limit=limits.max_order_quantity,
    )


def notional_is_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    price = entry_price(intent, context)
    if price is None:
        return None
    notional = intent.quantity * price
    if notional <= limits.max_order_notional:
        return None
    return denied(
        "max_notional",
        f"The order is worth ${money_text(notional)}; one order may be worth ${money_text(limits.max_order_notional)}.",
        "Make it smaller.",
        notional=notional,
        limit=limits.max_order_notional,
    )


def position_notional_is_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    price = entry_price(intent, context)
    if price is None:
        return None
    held = sum(position.held for position in context.held(intent.symbol))
    working = sum(signed(order.side, order.remaining_quantity) for order in context.working_entries(intent.symbol))
    notional = abs(held + working + signed(intent.side, intent.quantity)) * price
    if notional <= limits.max_position_notional:
        return None
    return denied(
        "max_position",
        f"{intent.symbol} would be worth ${money_text(notional)}; ${money_text(limits.max_position_notional)} is allowed per symbol.",
        "Make it smaller.",
        notional=notional,
        limit=limits.max_position_notional,
    )


def not_opposite_to_what_we_hold(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    sign = 1 if intent.side is OrderSide.BUY else -1
    against = [position for position in context.held(intent.symbol) if position.direction != sign]
    if not against:
        return None
    word = "long" if against[0].direction > 0 else "short"
    held = sum(position.held for position in against)
    return denied("opposite_position", f"We are {word} {intent.symbol}.", "Close that position first.", held=held)


def symbol_is_not_in_doubt(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    for order in context.orders:
        if order.state is OrderState.IN_DOUBT and order.symbol == intent.symbol and order.role is OrderRole.ENTRY:
            return denied(
                "in_doubt",
                f"Nobody knows yet whether the broker has our order {order.order_ref}.",
                "Wait for the reconcile, or resolve that order.",
                order_id=order.order_id,
            )
    return None


def not_a_duplicate(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """The same signal may not enter twice; neither may an equal wish while its twin is still on its way."""
    for order in context.orders:
        if order.role is not OrderRole.ENTRY or order.external:
            continue
        same_signal = bool(intent.signal_id) and order.signal_id == intent.signal_id and (order.is_live or order.filled_quantity > 0)
        recent = context.now - order.created_at < timedelta(seconds=5)
        same_shape = order.is_live and recent and (order.symbol, order.side) == (intent.symbol, intent.side)
        if same_signal or (same_shape and order.quantity == intent.quantity and order.signal_id == intent.signal_id):
            return denied(
                "duplicate",
                "This has already been ordered.",
                "Look at the order that exists.",
                order_id=order.order_id,
                order_ref=order.order_ref,
            )
    return None


def positions_are_not_too_many(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    symbols = {p.symbol for p in context.positions if p.is_active} | {o.symbol for o in context.working_entries()}
    if intent.symbol in symbols or len(symbols) < limits.max_open_positions:
        return None
    count, limit = len(symbols), limits.max_open_positions
    return denied(
        "max_positions",
        f"{count_words(count, 'position is', 'positions are')} open; at most {limit} may be.",
        "Close one first.",
        count=count,
        limit=limit,
    )


def risk_is_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    price = entry_price(intent, context)
    if price is None:
        return None
    open_risk = sum(position.open_risk for position in context.positions if position.is_active)
    working = sum(risk_of_entry(order, context) for order in context.working_entries())
    this = intent.quantity * abs(price - intent.stop_loss) if intent.stop_loss is not None else intent.quantity * price
    total = open_risk + working + this
    if total <= limits.max_open_risk:
        return None
    return denied(
        "max_risk",
        f"${money_text(total)} would be at risk in all; ${money_text(limits.max_open_risk)} is allowed.",
        "Make it smaller, or bring a stop closer.",
        open_risk=open_risk + working,
        this_order=this,
        limit=limits.max_open_risk,
    )


def daily_loss_is_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    allowed = limits.daily_loss_limit * (1 + context.released_losses)
    if context.day_pnl is None or context.day_pnl > -allowed:
        return None
    return denied(
        "daily_loss",
        f"Today's loss of ${money_text(-context.day_pnl)} has reached the limit of ${money_text(allowed)}.",
        "No new entries today.",
        day_pnl=context.day_pnl,
        limit=allowed,
    )


def reduces_only(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """An exit is on the other side of its position and never larger."""
    position = next((p for p in context.positions if p.position_id == intent.position_id), None)
    if position is None or not position.held:
        return denied("no_position", "There is nothing to close.", "Look at the position's state.", position_id=intent.position_id)
    if (intent.side is OrderSide.BUY) == (position.held > 0) or intent.quantity > abs(position.held):
        return denied(
            "not_reducing",
            f"The position holds {quantity_text(position.held)}; this order would not only reduce it.",
            "Ask for at most what is held.",
            held=position.held,
            quantity=intent.quantity,
        )
    return None


ENTRY_CHECKS: tuple[Check, ...] = (
    numbers_make_sense,
    not_expired,
    trading_is_active,
    nothing_is_locked,
    link_is_up,
    clocks_agree,
    account_is_the_pinned_one,
    books_are_reconciled,
    symbol_is_known,
    symbol_is_allowed,
    not_a_duplicate,
    not_the_same_shape_again,
    symbol_is_not_in_doubt,
    session_is_open,
    close_is_not_near,
    entry_has_a_stop,
    quote_is_fresh,
    is_still_as_shown,
    price_is_in_the_collar,
    levels_are_on_their_sides,
    quantity_is_within,
    notional_is_within,
    not_opposite_to_what_we_hold,
    does_not_trade_away_what_others_hold,
    does_not_cross_our_own,
    working_orders_are_within,
    position_notional_is_within,
    positions_are_not_too_many,
    symbol_risk_is_within,
    risk_is_within,
    scopes_are_within,
    day_is_within,
    repeats_are_within,
    daily_loss_is_within,
    margin_is_within,
)
EXIT_CHECKS: tuple[Check, ...] = (numbers_make_sense, not_expired, link_is_up, symbol_is_known, reduces_only)


def _words(name: str) -> str:
    return {"stop_loss": "stop", "take_profit": "target", "limit_price": "limit price"}.get(name, name)
