"""Checks on what came before an entry: its twin, its symbol's and its source's last minutes, the day so far.

They count entries that left or may have left; what was refused or provably never sent counts for nothing.
"""

from __future__ import annotations

from datetime import timedelta

from events.wording import age_words, count_words, money_text, quantity_text
from positions.domain.intent import Denied, OrderIntent
from positions.domain.risk_context import RiskContext, RiskLimits, Scope, denied, entry_price, order_in, order_price

REPEAT_LIMIT = "repeat_limit"  # the worker answers this refusal with a lock


def not_the_same_shape_again(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """Symbol, side, size and limit of an entry that left moments ago, for whatever signal."""
    began = context.now - timedelta(seconds=limits.duplicate_window_seconds)
    shape = (intent.symbol, intent.side, intent.quantity, intent.limit_price)
    for order in context.entries_since(began):
        if order.intent_id != intent.intent_id and (order.symbol, order.side, order.quantity, order.limit_price) == shape:
            return denied(
                "same_shape",
                f"The very same entry left less than {age_words(limits.duplicate_window_seconds)} ago.",
                "Look at that order; a second one may follow a little later.",
                order_id=order.order_id,
                window=limits.duplicate_window_seconds,
            )
    return None


def repeats_are_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """Entries per symbol and per source in the window, counted from the last time a person cleared that lock."""
    for scope, name, limit in (
        (Scope.SYMBOL, intent.symbol, limits.max_symbol_repeats),
        (Scope.SOURCE, intent.source, limits.max_source_repeats),
    ):
        if not name:
            continue
        began = context.now - timedelta(seconds=limits.repeat_window_seconds)
        cleared = context.cleared.get(f"{scope.value} {name}")
        began = max(began, cleared) if cleared is not None else began
        count = sum(order_in(scope, order, name) for order in context.entries_since(began))
        if count >= limit:
            minutes = limits.repeat_window_seconds / 60
            return denied(
                REPEAT_LIMIT,
                f"{count_words(count, 'entry', 'entries')} of {scope.value} {name} left within {quantity_text(minutes)} min; "
                f"at most {limit} may.",
                "Find out why; an admin clears the lock on the trading page.",
                scope=scope.value,
                name=name,
                count=count,
                limit=limit,
            )
    return None


def day_is_within(intent: OrderIntent, context: RiskContext, limits: RiskLimits) -> Denied | None:
    """Entries and money sent today, over everything and for each scope that has a limit of its own."""
    if context.day_began is None:
        return None
    today = context.entries_since(context.day_began)
    this = intent.quantity * (entry_price(intent, context) or 0.0)
    asked: list[tuple[str, int, float, float | None, float | None]] = [
        ("today", len(today), sum(o.quantity * order_price(o) for o in today), limits.max_day_entries, limits.max_day_notional)
    ]
    for limit in limits.scopes_of(intent, context.account):
        mine = [o for o in today if order_in(limit.scope, o, limit.name)]
        spent = sum(o.quantity * order_price(o) for o in mine)
        asked.append((f"today for {limit.words}", len(mine), spent, limit.max_day_entries, limit.max_day_notional))
    for words, count, spent, most, money in asked:
        if most is not None and count + 1 > most:
            message = f"{count_words(count, 'entry was', 'entries were')} sent {words}; at most {quantity_text(most)} may be."
            return denied("day_entries", message, "No more until tomorrow, or an admin raises the limit.", count=count, limit=most)
        if money is not None and spent + this > money:
            message = f"Entries worth ${money_text(spent + this)} would be sent {words}; ${money_text(money)} is allowed."
            what = "Make it smaller, or wait for tomorrow."
            return denied("day_notional", message, what, notional=spent + this, limit=money)
    return None
