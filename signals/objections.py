"""What can stand against approving a signal, as a list of small checks asked in order; the first objection wins.

They run twice: for the card, where an objection disables Approve and says why, and again in the server's decision, with
fresh numbers and the person's own ticket. The worker's risk gate asks once more before anything leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from positions.domain.risk import Scope, TradingState
from signals.models import SignalRecord

if TYPE_CHECKING:
    from signals.facts import Facts
    from signals.proposal import Proposal

SOURCE = "options flow"  # where the orders of signals come from, as limits and locks name it
CLOSES = ("close_long", "close_short")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a signal cannot be approved now: a code for programs, a sentence for people."""

    code: str
    message: str


Check = Callable[["Proposal", "Facts"], Objection | None]


def objection_to(proposal: Proposal, facts: Facts) -> Objection | None:
    """The first thing that stands against approving, or None."""
    return next((objection for check in CHECKS if (objection := check(proposal, facts)) is not None), None)


def still_pending(proposal: Proposal, facts: Facts) -> Objection | None:
    signal = proposal.signal
    if signal.state != SignalRecord.State.PENDING:
        return Objection(code="not_pending", message=f"This signal is already {signal.state}.")
    if signal.expires_at <= facts.now:
        return Objection(code="expired", message="This signal has expired.")
    return None


def trading_allows_it(proposal: Proposal, facts: Facts) -> Objection | None:
    why = f": {facts.trading_reason}" if facts.trading_reason else ""
    if facts.trading is TradingState.HALTED:
        return Objection(code="halted", message=f"Trading is halted{why}. An admin has to resume it first.")
    if facts.trading is TradingState.REDUCE_ONLY and proposal.signal.action not in CLOSES:
        return Objection(code="reduce_only", message=f"Trading is reduce-only{why}. Only exits are allowed.")
    return None


def nothing_is_locked(proposal: Proposal, facts: Facts) -> Objection | None:
    """A lock on everything, on this symbol, or on what its signals come from."""
    if proposal.signal.action in CLOSES:
        return None
    for lock in facts.locks:
        if lock.scope == Scope.BOOK or lock.name in (proposal.signal.symbol, SOURCE):
            until = f"until {lock.until:%Y-%m-%d %H:%M} UTC" if lock.until else "until an admin clears it"
            message = f"{lock.what.capitalize() if not lock.name else lock.what} locked {until}: {lock.reason}"
            return Objection(code=f"locked_{lock.code}", message=message)
    return None


def margin_is_within(proposal: Proposal, facts: Facts) -> Objection | None:
    """The broker's own word on this entry. No word yet is a warning: the worker asks again before anything leaves."""
    ticket, signal = proposal.ticket, proposal.signal
    if ticket is None or signal.action in CLOSES:
        return None
    margin = facts.margins.get(signal.signal_id)
    if margin is None:
        error = facts.margin_errors.get(signal.signal_id, "")
        return Objection(code="no_what_if", message=error) if error and facts.limits.require_margin else None
    if not margin.excess_liquidity or margin.quantity <= 0:
        return None
    takes = margin.initial_change * max(1.0, ticket.quantity / margin.quantity)
    free = margin.excess_liquidity * facts.limits.max_margin_pct / 100
    if takes <= free:
        return None
    return Objection(code="margin", message=f"It would take ${takes:,.2f} of margin; ${free:,.2f} may be used. Make it smaller.")


def worker_is_there(proposal: Proposal, facts: Facts) -> Objection | None:
    if facts.worker_ok:
        return None
    return Objection(code="worker_down", message=f"The worker is not ready to trade. {facts.worker_detail}".strip())


def session_is_open(proposal: Proposal, facts: Facts) -> Objection | None:
    return None if facts.session_open else Objection(code="market_closed", message="The market is closed.")


def symbol_is_allowed(proposal: Proposal, facts: Facts) -> Objection | None:
    if proposal.signal.action in CLOSES or proposal.signal.symbol not in facts.limits.restricted_symbols.upper().split():
        return None
    return Objection(code="restricted", message=f"{proposal.signal.symbol} is on the restricted list.")


def data_is_recent(proposal: Proposal, facts: Facts) -> Objection | None:
    at = proposal.signal.data_time
    if at is None:
        return Objection(code="no_data_time", message="The prediction does not say when its data is from.")
    age = (facts.now - at).total_seconds()
    if age <= facts.settings.max_age_seconds:
        return None
    limit = facts.settings.max_age_seconds
    return Objection(code="old_data", message=f"The prediction's data is {age:.0f} s old; {limit} s is the limit.")


def price_is_fresh(proposal: Proposal, facts: Facts) -> Objection | None:
    quote = proposal.quote
    if quote is None:
        return Objection(code="no_price", message=f"No fresh price of {proposal.signal.symbol}.")
    if quote.age > facts.limits.quote_max_age_seconds:
        limit = facts.limits.quote_max_age_seconds
        return Objection(code="stale_price", message=f"No fresh price: the last one is {quote.age:.0f} s old; {limit} s is the limit.")
    if not quote.live:
        return Objection(code="not_live", message="The price is delayed, frozen or the stock is halted; an order needs a live one.")
    return None


def drift_is_within(proposal: Proposal, facts: Facts) -> Objection | None:
    drift, allowed = proposal.drift, proposal.allowed_drift
    if drift is None or allowed is None:
        return Objection(code="no_reference", message="The prediction came without a price to compare with.")
    if abs(drift) <= allowed:
        return None
    return Objection(code="drift", message=f"The price has moved {drift:+.2%} since the prediction; {allowed:.2%} is the limit.")


def there_is_something_to_trade(proposal: Proposal, facts: Facts) -> Objection | None:
    if proposal.ticket is None:
        return Objection(code="no_size", message=f"No size can be proposed: {proposal.sizing or 'no price'}.")
    if proposal.signal.action not in CLOSES:
        return None
    if proposal.held * proposal.signal.direction >= 0:
        return Objection(code="nothing_held", message=f"No {proposal.signal.symbol} is held any more; there is nothing to close.")
    if proposal.ticket.quantity > abs(proposal.held):
        word = "held" if proposal.held > 0 else "short"
        return Objection(code="too_many", message=f"Only {abs(proposal.held):g} shares are {word}.")
    return None


def not_opposite_to_what_is_held(proposal: Proposal, facts: Facts) -> Objection | None:
    if proposal.signal.action in CLOSES or proposal.held * proposal.signal.direction >= 0:
        return None
    word = "long" if proposal.held > 0 else "short"
    return Objection(code="opposite_position", message=f"We are {word} {abs(proposal.held):g} {proposal.signal.symbol}. Close that first.")


def levels_are_on_their_sides(proposal: Proposal, facts: Facts) -> Objection | None:
    """Long: stop < entry < target, and stop < market < target; short the other way round."""
    ticket, quote, sign = proposal.ticket, proposal.quote, proposal.signal.direction
    if ticket is None or proposal.signal.action in CLOSES:
        return None
    if ticket.stop is None:
        return Objection(code="no_stop", message="An entry needs a stop.")
    for name, reference in (("entry", ticket.entry), ("market", quote.last if quote else None)):
        if reference is None:
            continue
        if (reference - ticket.stop) * sign <= 0:
            side = "below" if sign > 0 else "above"
            return Objection(code="stop_side", message=f"The stop at {ticket.stop:g} must be {side} the {name} at {reference:g}.")
        if ticket.target is not None and (ticket.target - reference) * sign <= 0:
            side = "above" if sign > 0 else "below"
            return Objection(code="target_side", message=f"The target at {ticket.target:g} must be {side} the {name} at {reference:g}.")
    return None


def entry_is_in_the_collar(proposal: Proposal, facts: Facts) -> Objection | None:
    ticket, quote = proposal.ticket, proposal.quote
    if ticket is None or quote is None:
        return None
    away = abs(ticket.entry - quote.last) / quote.last * 100
    limit = facts.limits.price_collar_pct
    if away <= limit:
        return None
    return Objection(code="price_collar", message=f"The entry at {ticket.entry:g} is {away:.1f}% from the market; {limit:g}% is the limit.")


def order_is_within_limits(proposal: Proposal, facts: Facts) -> Objection | None:
    ticket, limits = proposal.ticket, facts.limits
    if ticket is None or proposal.signal.action in CLOSES:
        return None
    if ticket.quantity > limits.max_order_quantity:
        return Objection(code="max_quantity", message=f"{ticket.quantity:g} shares; one order may have {limits.max_order_quantity:,}.")
    notional = ticket.quantity * ticket.entry
    if notional > float(limits.max_order_notional):
        return Objection(
            code="max_notional", message=f"The order is worth ${notional:,.2f}; ${limits.max_order_notional:,.2f} is the limit."
        )
    total = notional + facts.held_value.get(proposal.signal.symbol, 0.0)
    if total > float(limits.max_position_notional):
        limit = f"${limits.max_position_notional:,.2f}"
        return Objection(code="max_position", message=f"{proposal.signal.symbol} would be worth ${total:,.2f}; {limit} is the limit.")
    return None


def book_is_within_limits(proposal: Proposal, facts: Facts) -> Objection | None:
    limits = facts.limits
    if proposal.ticket is None or proposal.signal.action in CLOSES:
        return None
    if not proposal.held and facts.open_positions >= limits.max_open_positions:
        return Objection(
            code="max_positions", message=f"{facts.open_positions} positions are open; {limits.max_open_positions} is the limit."
        )
    if facts.entries_today >= limits.max_day_entries:
        return Objection(
            code="day_entries", message=f"{facts.entries_today} entries were sent today; {limits.max_day_entries} is the limit."
        )
    if (proposal.risk_dollars or 0.0) > float(limits.max_symbol_risk):
        most = f"${limits.max_symbol_risk:,.2f}"
        return Objection(code="symbol_risk", message=f"It would put ${proposal.risk_dollars:,.2f} at risk; {most} is the limit per symbol.")
    risk = facts.open_risk + (proposal.risk_dollars or 0.0)
    if risk > float(limits.max_open_risk):
        return Objection(code="max_risk", message=f"Open risk would be ${risk:,.2f}; ${limits.max_open_risk:,.2f} is the limit.")
    if facts.day_pnl is not None and facts.day_pnl <= -float(limits.daily_loss_limit):
        loss = f"${-facts.day_pnl:,.2f}"
        return Objection(code="daily_loss", message=f"Today's loss of {loss} has reached the limit of ${limits.daily_loss_limit:,.2f}.")
    return None


CHECKS: tuple[Check, ...] = (
    still_pending,
    trading_allows_it,
    nothing_is_locked,
    worker_is_there,
    session_is_open,
    symbol_is_allowed,
    data_is_recent,
    price_is_fresh,
    drift_is_within,
    there_is_something_to_trade,
    not_opposite_to_what_is_held,
    levels_are_on_their_sides,
    entry_is_in_the_collar,
    order_is_within_limits,
    book_is_within_limits,
    margin_is_within,
)
