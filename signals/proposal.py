"""What a pending signal would become: size, entry, stop, target, money at risk; and what stands against it.

One function makes the numbers a card shows, and the same function judges the numbers a person sends back, so that what
a page calls impossible is exactly what the server refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from events.clock import utc_now
from events.order import OrderSide
from events.wording import percent_text, price_text, shares_words
from positions.domain.expected import expected_fill, money_between
from positions.domain.margin import Margin
from signals.domain.plan import EntryMarket, PlanRules, entry_limit, plan_entry
from signals.domain.sizing import Caps, SizingMethod
from signals.facts import Facts, Quote, gather
from signals.models import SignalRecord, SignalSettings
from signals.objections import CLOSES, Objection, objections_to

SOFT = 0.9  # of a limit: from here on a person is told
_METHODS = {
    SignalSettings.Sizing.SHARES: (SizingMethod.FIXED_SHARES, "shares"),
    SignalSettings.Sizing.DOLLARS: (SizingMethod.FIXED_DOLLARS, "dollars"),
    SignalSettings.Sizing.EQUITY: (SizingMethod.PERCENT_EQUITY, "equity_pct"),
    SignalSettings.Sizing.RISK: (SizingMethod.RISK_DOLLARS, "risk_dollars"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The numbers of the order: shares, and prices per share. A close has no stop and no target."""

    quantity: float
    entry: float
    stop: float | None
    target: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A signal with fresh numbers. `ticket` is None when none can be made; any of the `objections` disables Approve."""

    signal: SignalRecord
    quote: Quote | None = None
    atr: float | None = None
    held: float = 0.0
    ticket: Ticket | None = None
    slippage_pct: float = 0.0  # how much worse than the quote the fill is expected, percent
    sizing: str = ""  # how the size came about, or why there is none
    drift: float | None = None  # the last price against the predicted one, a fraction
    allowed_drift: float | None = None  # a fraction
    margin: Margin | None = None  # what the broker's what-if said of the proposed entry
    warnings: tuple[str, ...] = ()
    objections: tuple[Objection, ...] = ()

    @property
    def expected(self) -> float | None:
        """The price per share the entry is expected to fill at: the quote's, slippage added, never beyond the limit."""
        ticket, quote = self.ticket, self.quote
        if ticket is None or quote is None:
            return None if ticket is None else ticket.entry
        side = OrderSide.BUY if self.signal.direction > 0 else OrderSide.SELL
        return expected_fill(side, bid=quote.bid, ask=quote.ask, last=quote.last, slippage_pct=self.slippage_pct, limit=ticket.entry)

    @property
    def risk_dollars(self) -> float | None:
        """At the expected fill."""
        return None if self.ticket is None else money_between(self.ticket.quantity, self.expected, self.ticket.stop)

    @property
    def reward_dollars(self) -> float | None:
        return None if self.ticket is None else money_between(self.ticket.quantity, self.expected, self.ticket.target)

    @property
    def worst_risk(self) -> float | None:
        """At the limit: what limits bind."""
        return None if self.ticket is None else money_between(self.ticket.quantity, self.ticket.entry, self.ticket.stop)

    @property
    def worst_reward_risk(self) -> float | None:
        ticket, risk = self.ticket, self.worst_risk
        reward = None if ticket is None else money_between(ticket.quantity, ticket.entry, ticket.target)
        return reward / risk if risk and reward is not None else None

    @property
    def reward_risk(self) -> float | None:
        risk, reward = self.risk_dollars, self.reward_dollars
        return reward / risk if risk and reward is not None else None

    @property
    def notional(self) -> float | None:
        return None if self.ticket is None or self.expected is None else self.ticket.quantity * self.expected

    @property
    def worst_notional(self) -> float | None:
        return None if self.ticket is None else self.ticket.quantity * self.ticket.entry

    def _expected_words(self) -> str:
        if self.ticket is None or self.quote is None or self.expected is None:
            return ""
        quoted = ("ask", self.quote.ask) if self.signal.direction > 0 else ("bid", self.quote.bid)
        side = quoted[0] if quoted[1] else "last price"
        slip = f" and {percent_text(self.slippage_pct / 100)} slippage" if self.slippage_pct else ""
        return f"expected to fill at {price_text(self.expected)}: the {side}{slip}, not beyond the limit"

    def as_row(self) -> dict[str, Any]:
        """The signal's row and the proposal, as pages show them."""
        ticket, quote = self.ticket, self.quote
        return self.signal.as_row() | {
            "last": quote.last if quote else None,
            "last_at": quote.at.isoformat() if quote else None,
            "drift_pct": self.drift,
            "allowed_drift_pct": self.allowed_drift,
            "atr": self.atr,
            "quantity": ticket.quantity if ticket else None,
            "entry": ticket.entry if ticket else None,
            "stop": ticket.stop if ticket else None,
            "target": ticket.target if ticket else None,
            "expected": self.expected,
            "slippage_pct": self.slippage_pct,
            "worst_risk": self.worst_risk,
            "worst_reward_risk": self.worst_reward_risk,
            "worst_notional": self.worst_notional,
            "risk_dollars": self.risk_dollars,
            "reward_dollars": self.reward_dollars,
            "reward_risk": self.reward_risk,
            "notional": self.notional,
            "margin": self.margin.initial_change if self.margin else None,
            "margin_maintenance": self.margin.maintenance_change if self.margin else None,
            "margin_commission": self.margin.commission if self.margin else None,
            "margin_share_pct": self.margin.share_pct if self.margin else None,
            "held": self.held,
            "sizing": "; ".join(words for words in (self.sizing, self._expected_words()) if words),
            "warnings": list(self.warnings),
            "refusals": [objection.as_row() for objection in self.objections],
        }


def propose(signal: SignalRecord, facts: Facts, ticket: Ticket | None = None) -> Proposal:
    """The proposal for `signal`; with `ticket`, the same judgement of a person's own numbers."""
    base = _base(signal, facts)
    sized = replace(base, ticket=ticket) if ticket is not None else _with_ticket(base, facts)
    return replace(sized, warnings=_warnings(sized, facts), objections=objections_to(sized, facts))


def _base(signal: SignalRecord, facts: Facts) -> Proposal:
    quote = facts.quotes.get(signal.symbol)
    return Proposal(
        signal=signal,
        quote=quote,
        atr=facts.atrs.get(signal.symbol),
        held=facts.held.get(signal.symbol, 0.0),
        slippage_pct=facts.settings.slippage_pct,
        drift=_drift(signal, quote),
        allowed_drift=_allowed_drift(signal, facts),
        margin=facts.margins.get(signal.signal_id),
    )


def pending_tickets(most: int, now: datetime | None = None) -> list[Proposal]:
    """What the first `most` that wait would become, without judging it: neither warnings nor objections. For the worker, which asks
    all the time."""
    now = now or utc_now()
    signals = list(waiting(now)[:most])
    if not signals:
        return []
    facts = gather({signal.symbol for signal in signals}, now=now, judging=False)
    return [_with_ticket(_base(signal, facts), facts) for signal in signals]


def waiting(now: datetime) -> QuerySet[SignalRecord]:
    """Those that can still be decided, the one that expires first on top."""
    found = SignalRecord.objects.filter(state=SignalRecord.State.PENDING, expires_at__gt=now)
    return found.order_by("expires_at", "signal_id")


def _drift(signal: SignalRecord, quote: Quote | None) -> float | None:
    return None if quote is None or signal.price <= 0 else quote.last / signal.price - 1


def _allowed_drift(signal: SignalRecord, facts: Facts) -> float | None:
    """max(0.5 %, 0.5 ATR) by default, as a fraction of the predicted price."""
    if signal.price <= 0:
        return None
    by_atr = facts.settings.max_drift_atr * facts.atrs.get(signal.symbol, 0.0) / signal.price
    return max(facts.settings.max_drift_pct / 100, by_atr)


def _with_ticket(base: Proposal, facts: Facts) -> Proposal:
    """Size, entry, stop and target from the settings, as far as there is a price to start from."""
    signal, quote = base.signal, base.quote
    if quote is None:
        return base
    side = OrderSide.BUY if signal.direction > 0 else OrderSide.SELL
    market = EntryMarket(bid=quote.bid, ask=quote.ask, last=quote.last, atr=base.atr)
    rules = plan_rules(facts.settings)
    if signal.action in CLOSES:
        held = max(0.0, -base.held * signal.direction)
        ticket = Ticket(quantity=held, entry=entry_limit(side, market, rules), stop=None, target=None) if held else None
        return replace(
            base,
            ticket=ticket,
            sizing=("all that is held" if base.held > 0 else "all that is short") if held else "nothing is held any more",
        )
    caps = Caps(max_quantity=facts.limits.max_order_quantity, max_notional=float(facts.limits.max_order_notional))
    plan = plan_entry(side, market, rules, equity=facts.equity, caps=caps)
    if plan.quantity is None:
        return replace(base, sizing=plan.reason)
    return replace(base, ticket=Ticket(quantity=plan.quantity, entry=plan.limit, stop=plan.stop, target=plan.target), sizing=plan.reason)


def plan_rules(settings: SignalSettings) -> PlanRules:
    method, amount = _METHODS[SignalSettings.Sizing(settings.sizing)]
    return PlanRules(
        slippage_pct=settings.slippage_pct,
        offset_pct=settings.entry_offset_pct,
        atr_multiple=settings.stop_atr_multiple,
        least_stop_pct=settings.min_stop_pct,
        reward_risk=settings.reward_risk,
        method=method,
        amount=float(getattr(settings, amount)),
    )


def _warnings(proposal: Proposal, facts: Facts) -> tuple[str, ...]:
    """What a person should know but may decide."""
    said = []
    if proposal.ticket is not None and proposal.margin is None and proposal.signal.action not in CLOSES and facts.limits.require_margin:
        said.append("The broker has not said yet what margin this takes; it is asked before anything is sent.")
    if proposal.notional is not None and proposal.signal.action not in CLOSES:
        said += _near(proposal, facts)
    signal = proposal.signal
    if proposal.ticket is not None and signal.action not in CLOSES and proposal.atr is None:
        said.append("No ATR of one-minute bars known yet: the stop is at the minimum distance.")
    if signal.action not in CLOSES and proposal.held * signal.direction > 0:
        said.append(f"Already {'long' if proposal.held > 0 else 'short'} {shares_words(abs(proposal.held))}: this adds to them.")
    if proposal.drift is not None and proposal.allowed_drift and abs(proposal.drift) > proposal.allowed_drift / 2:
        said.append("The price has used up more than half of the allowed drift.")
    if signal.confidence < signal.threshold + 0.02:
        said.append("Confidence is only just above the threshold.")
    if signal.prediction is not None:
        said += [str(warning)[:200] for warning in signal.prediction.warnings][:5]
    return tuple(said)


def _near(proposal: Proposal, facts: Facts) -> list[str]:
    """The soft level: close to a limit that would refuse it, in the worst case as the limits see it."""
    pairs = (
        ("the value of one order", proposal.worst_notional, float(facts.limits.max_order_notional)),
        ("the risk of one symbol", proposal.worst_risk, float(facts.limits.max_symbol_risk)),
        ("the open risk", facts.open_risk + (proposal.worst_risk or 0.0), float(facts.limits.max_open_risk)),
    )
    return [
        f"More than {SOFT:.0%} of the limit on {what} would be used."
        for what, value, limit in pairs
        if value and SOFT * limit < value <= limit
    ]
