"""What can stand against approving a signal, as a list of small checks asked in order; the first objection wins.

They run twice: for the card, where an objection disables Approve and says why, and again in the server's decision, with
fresh numbers and the person's own ticket. The worker's risk gate asks once more before anything leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from positions.domain.risk import TradingState
from signals.gate import refusal_of
from signals.models import SignalRecord

if TYPE_CHECKING:
    from signals.facts import Facts
    from signals.proposal import Proposal

CLOSES = ("close_long", "close_short")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a signal cannot be approved now: a code for programs, a sentence for people."""

    code: str
    message: str
    what_to_do: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What stands against it and what to do about it."""
        return f"{self.message} {self.what_to_do}".strip()


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


def broker_has_answered(proposal: Proposal, facts: Facts) -> Objection | None:
    """No word on margin yet is a warning, since the worker asks again before anything leaves; an error is an objection."""
    signal = proposal.signal
    if proposal.ticket is None or signal.action in CLOSES or signal.signal_id in facts.margins or not facts.limits.require_margin:
        return None
    error = facts.margin_errors.get(signal.signal_id, "")
    return Objection(code="no_what_if", message=error) if error else None


def worker_is_there(proposal: Proposal, facts: Facts) -> Objection | None:
    if facts.worker_ok:
        return None
    return Objection(code="worker_down", message=f"The worker is not ready to trade. {facts.worker_detail}".strip())


def session_is_open(proposal: Proposal, facts: Facts) -> Objection | None:
    return None if facts.session_open else Objection(code="market_closed", message="The market is closed.")


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


def gate_lets_it_pass(proposal: Proposal, facts: Facts) -> Objection | None:
    """Every check of the worker's gate that rows can answer, by the same functions."""
    if proposal.signal.action in CLOSES:
        return None
    denied = refusal_of(proposal, facts)
    if denied is None:
        return None
    return Objection(code=denied.code, message=denied.message, what_to_do=denied.what_to_do, values=denied.values)


CHECKS: tuple[Check, ...] = (
    still_pending,
    trading_allows_it,
    worker_is_there,
    session_is_open,
    data_is_recent,
    price_is_fresh,
    drift_is_within,
    there_is_something_to_trade,
    gate_lets_it_pass,
    broker_has_answered,
)
