"""What can stand against approving a signal, as a list of small checks; all that object are shown, in the order asked.

They run twice: for the card, where any objection disables Approve and says why, and again in the server's decision, with
fresh numbers and the person's own ticket. The worker's risk gate asks once more before anything leaves, and decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from events.refusal_words import refusal_title
from events.wording import age_words, moment_words, percent_text, shares_words
from positions.domain.intent import Denied
from positions.domain.risk import TradingState
from signals.figures import figures_of
from signals.gate import refusals_of
from signals.models import SignalRecord
from signals.session import next_session

if TYPE_CHECKING:
    from signals.facts import Facts
    from signals.proposal import Proposal

CLOSES = ("close_long", "close_short")
SAME = {"no_quote": "no_price", "stale_quote": "stale_price"}  # the gate's word → what this file calls the same trouble
ANOTHER = "Wait for another signal."


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a signal cannot be approved now: a code for programs, a sentence for people, the numbers that decided."""

    code: str
    message: str
    what_to_do: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What stands against it and what to do about it."""
        return f"{self.message} {self.what_to_do}".strip()

    def as_row(self) -> dict[str, Any]:
        """As pages and scripts get it; `figures` are the values as (name, text)."""
        return {
            "code": self.code,
            "title": refusal_title(self.code),
            "message": self.message,
            "what_to_do": self.what_to_do,
            "values": dict(self.values),
            "figures": figures_of(self.values),
        }


Check = Callable[["Proposal", "Facts"], Objection | None]


def objections_to(proposal: Proposal, facts: Facts) -> tuple[Objection, ...]:
    """All that stands against approving. What is decided or over is only that; nothing else about it matters any more."""
    over = still_pending(proposal, facts)
    if over is not None:
        return (over,)
    found = [objection for check in CHECKS if (objection := check(proposal, facts)) is not None]
    said = {objection.code for objection in found}
    found += [o for o in gate_refusals(proposal, facts) if SAME.get(o.code, o.code) not in said]
    return tuple(found)


def still_pending(proposal: Proposal, facts: Facts) -> Objection | None:
    signal = proposal.signal
    if signal.state != SignalRecord.State.PENDING:
        return Objection(code="not_pending", message=f"This signal is already {signal.state}.", what_to_do=ANOTHER)
    if signal.expires_at <= facts.now:
        return Objection(code="expired", message="This signal has expired.", what_to_do=ANOTHER)
    return None


def trading_allows_it(proposal: Proposal, facts: Facts) -> Objection | None:
    why = f": {facts.trading_reason}" if facts.trading_reason else ""
    if facts.trading is TradingState.HALTED:
        return Objection(code="halted", message=f"Trading is halted{why}.", what_to_do="An admin has to resume it first.")
    if facts.trading is TradingState.REDUCE_ONLY and proposal.signal.action not in CLOSES:
        message = f"Trading is reduce-only{why}. Only exits are allowed."
        return Objection(code="reduce_only", message=message, what_to_do="An admin has to resume trading first.")
    return None


def broker_has_answered(proposal: Proposal, facts: Facts) -> Objection | None:
    """No word on margin yet is a warning, since the worker asks again before anything leaves; an error is an objection."""
    signal = proposal.signal
    if proposal.ticket is None or signal.action in CLOSES or signal.signal_id in facts.margins or not facts.limits.require_margin:
        return None
    error = facts.margin_errors.get(signal.signal_id, "")
    return Objection(code="no_what_if", message=error, what_to_do="Check the broker link if it stays.") if error else None


def worker_is_there(proposal: Proposal, facts: Facts) -> Objection | None:
    if facts.worker_ok:
        return None
    message = f"The worker is not ready to trade. {facts.worker_detail}".strip()
    return Objection(code="worker_down", message=message, what_to_do="Wait until it is; the health page says more.")


def session_is_open(proposal: Proposal, facts: Facts) -> Objection | None:
    if facts.session_open:
        return None
    opens = moment_words(next_session(facts.now), facts.now)
    return Objection(code="market_closed", message="The market is closed.", what_to_do=f"Wait for the regular session: it opens {opens}.")


def data_is_recent(proposal: Proposal, facts: Facts) -> Objection | None:
    at = proposal.signal.data_time
    if at is None:
        return Objection(code="no_data_time", message="The prediction does not say when its data is from.", what_to_do=ANOTHER)
    age = (facts.now - at).total_seconds()
    if age <= facts.settings.max_age_seconds:
        return None
    limit = facts.settings.max_age_seconds
    message = f"The prediction's data is {age_words(age)} old; {age_words(limit)} is the limit."
    return Objection(code="old_data", message=message, what_to_do=ANOTHER, values={"age": age, "limit": limit})


def price_is_fresh(proposal: Proposal, facts: Facts) -> Objection | None:
    quote, what = proposal.quote, "Wait for a fresh live quote."
    if quote is None:
        return Objection(code="no_price", message=f"No fresh price of {proposal.signal.symbol}.", what_to_do=what)
    limit = facts.limits.quote_max_age_seconds
    if quote.age > limit:
        message = f"No fresh price: the last one is {age_words(quote.age)} old; {age_words(limit)} is the limit."
        return Objection(code="stale_price", message=message, what_to_do=what, values={"age": quote.age, "limit": limit})
    if not quote.live:
        message = "The price is delayed, frozen or the stock is halted; an order needs a live one."
        return Objection(code="not_live", message=message, what_to_do=what)
    return None


def drift_is_within(proposal: Proposal, facts: Facts) -> Objection | None:
    if proposal.quote is None:
        return None  # that there is no price is said already
    drift, allowed = proposal.drift, proposal.allowed_drift
    if drift is None or allowed is None:
        return Objection(code="no_reference", message="The prediction came without a price to compare with.", what_to_do=ANOTHER)
    if abs(drift) <= allowed:
        return None
    return Objection(
        code="drift",
        message=f"The price has moved {percent_text(drift, signed=True)} since the prediction; {percent_text(allowed)} is the limit.",
        what_to_do="Wait for it to come back, or reject the signal.",
        values={
            "price_then": proposal.signal.price,
            "price_now": proposal.quote.last,
            "drift_pct": drift * 100,
            "limit_pct": allowed * 100,
        },
    )


def there_is_something_to_trade(proposal: Proposal, facts: Facts) -> Objection | None:
    if proposal.ticket is None:
        return _no_ticket(proposal)
    if proposal.signal.action not in CLOSES:
        return None
    if proposal.held * proposal.signal.direction >= 0:
        message = f"No {proposal.signal.symbol} is held any more; there is nothing to close."
        return Objection(code="nothing_held", message=message, what_to_do="Reject the signal.")
    if proposal.ticket.quantity > abs(proposal.held):
        word = "can be sold: that is all that is held" if proposal.held > 0 else "can be bought back: that is all that is short"
        return Objection(
            code="too_many",
            message=f"No more than {shares_words(abs(proposal.held))} {word}.",
            what_to_do="Ask for at most that many.",
            values={"quantity": proposal.ticket.quantity, "held": proposal.held},
        )
    return None


def _no_ticket(proposal: Proposal) -> Objection | None:
    if proposal.quote is None:
        return None  # no price, no size: said already
    return Objection(
        code="no_size",
        message=f"No size can be proposed: {proposal.sizing or 'no price'}.",
        what_to_do="An admin can change how orders are sized.",
    )


def gate_refusals(proposal: Proposal, facts: Facts) -> list[Objection]:
    """Every check of the worker's gate that rows can answer, by the same functions."""
    if proposal.signal.action in CLOSES:
        return []
    return [_objection(denied) for denied in refusals_of(proposal, facts)]


def _objection(denied: Denied) -> Objection:
    return Objection(code=denied.code, message=denied.message, what_to_do=denied.what_to_do, values=denied.values)


CHECKS: tuple[Check, ...] = (
    trading_allows_it,
    worker_is_there,
    session_is_open,
    data_is_recent,
    price_is_fresh,
    drift_is_within,
    there_is_something_to_trade,
    broker_has_answered,
)
