"""A person's decision about a signal: compare-and-set of the signal and the command to the worker, in one commit.

Everything is checked again with fresh numbers inside that transaction. Of two tabs or two people one wins; the other
gets a `Refusal` that says who decided what and when. The same form sent twice is answered the same way twice.

A decision is about one version of the signal, and so is its command: an approval that came to nothing may be decided again
(`again.py`), under a later version and a command of its own, while a form of the first decision finds its version gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from events.clock import utc_now
from events.commands import ApproveSignal, BadCommand, RejectSignal
from events.exchange_time import exchange_date
from events.failpoints import failpoint
from events.inbox import file_command
from events.models import CommandRecord
from events.wording import moment_words
from positions.domain.shown import Shown
from signals import store
from signals.facts import Facts, gather
from signals.models import SignalRecord
from signals.objections import Objection
from signals.proposal import Proposal, Ticket, propose

CONFLICT = 409  # somebody or something was faster
REFUSED = 422  # understood, and not allowed now
LONGEST_APPROVAL = 120  # seconds
State = SignalRecord.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Nothing was changed. `status` is the HTTP answer, `message` what the person reads; `code` is the first reason's."""

    code: str
    message: str
    status: int
    objections: tuple[Objection, ...] = ()  # all reasons, when it is the desk's own checks that refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decides what, for which account. `key` is the form's idempotency key, `version` the signal version the person saw."""

    user: Any
    account: str
    key: str
    version: int

    @property
    def name(self) -> str:
        return str(self.user.get_username())


def approve(
    signal_id: str, decision: Decision, ticket: Ticket, *, edited: list[str], now: datetime | None = None
) -> CommandRecord | Refusal:
    """Approve with the person's own numbers. Raises SignalRecord.DoesNotExist."""
    now = now or utc_now()
    failpoint("approve.begin")
    with transaction.atomic():
        signal = SignalRecord.objects.select_related("prediction").get(pk=signal_id)
        settled = _already_settled(signal, decision, State.APPROVED, ApproveSignal.__name__)
        if settled is not None:
            return settled
        facts = gather({signal.symbol}, now=now)
        proposal = propose(signal, facts, ticket)
        if proposal.objections:
            return _refusal(proposal.objections)
        try:
            command = _approval(proposal, decision, ticket)
        except BadCommand as error:
            return Refusal(code="bad_number", message=f"Refused: {error}.", status=REFUSED)
        kept: dict[str, Any] = {
            "quantity": ticket.quantity,
            "limit_price": ticket.entry,
            "stop_loss": ticket.stop,
            "take_profit": ticket.target,
        }
        if proposal.margin is not None:
            kept["margin"] = proposal.margin.to_dict()
        kept["shown"] = _shown(proposal, facts).to_dict()
        kept |= {"edited": edited, "key": decision.key, "reference_price": command.reference_price}
        kept["expected_price"] = command.expected_price
        if not store.change(signal, state=State.APPROVED, decided_by=decision.name, decided_at=now, decision=kept):
            return _lost(signal_id)
        failpoint("approve.signal")
        life = min(facts.settings.approval_seconds, LONGEST_APPROVAL)
        key = f"approve:{signal_id}:{decision.version}"
        record, _ = file_command(command, account=decision.account, user=decision.user, key=key, expires_in=life, now=now)
        failpoint("approve.command")
    failpoint("approve.committed")
    return record


def reject(signal_id: str, decision: Decision, reason: str, *, now: datetime | None = None) -> CommandRecord | Refusal:
    """Reject for a reason. Raises SignalRecord.DoesNotExist."""
    now = now or utc_now()
    with transaction.atomic():
        signal = SignalRecord.objects.get(pk=signal_id)
        settled = _already_settled(signal, decision, State.REJECTED, RejectSignal.__name__)
        if settled is not None:
            return settled
        if signal.expires_at <= now:
            return Refusal(code="expired", message="This signal has expired; there is nothing left to reject.", status=CONFLICT)
        command = RejectSignal(signal_id=signal_id, reason=reason, decided_by=decision.name)
        kept = {"key": decision.key}
        if not store.change(signal, state=State.REJECTED, reason=reason, decided_by=decision.name, decided_at=now, decision=kept):
            return _lost(signal_id)
        record, _ = file_command(command, account=decision.account, user=decision.user, key=f"reject:{signal_id}", now=now)
    return record


def _refusal(objections: tuple[Objection, ...]) -> Refusal:
    message = " ".join(objection.words for objection in objections)
    return Refusal(code=objections[0].code, message=message, status=REFUSED, objections=objections)


def shown_at_approval(signal_id: str) -> dict[str, Any] | None:
    """What the card of an approved signal showed (`Shown.to_dict`), for the worker's gate; None when nothing is kept."""
    decision = SignalRecord.objects.filter(pk=signal_id, state=State.APPROVED).values_list("decision", flat=True).first()
    return (decision or {}).get("shown")


def _shown(proposal: Proposal, facts: Facts) -> Shown:
    """The surroundings the person decided in, beside the ticket and the margin: what the worker compares with."""
    quote, gate = proposal.quote, facts.gate
    return Shown(
        last=quote.last if quote else None,
        quote_at=quote.at.isoformat() if quote else "",
        price_then=proposal.signal.price,
        allowed_drift=proposal.allowed_drift,
        held=proposal.held,
        session=exchange_date(facts.now).isoformat(),
        limits_version=gate.version if gate else "",
        risk_dollars=proposal.worst_risk,
    )


def _approval(proposal: Proposal, decision: Decision, ticket: Ticket) -> ApproveSignal:
    signal, quote = proposal.signal, proposal.quote
    return ApproveSignal(
        signal_id=signal.signal_id,
        version=signal.version,
        symbol=signal.symbol,
        direction=signal.direction,
        action=signal.action,
        quantity=ticket.quantity,
        limit_price=ticket.entry,
        stop_loss=ticket.stop,
        take_profit=ticket.target,
        reference_price=quote.last if quote else ticket.entry,
        expected_price=proposal.expected,
        decided_by=decision.name,
    )


def _already_settled(signal: SignalRecord, decision: Decision, state: str, command: str) -> CommandRecord | Refusal | None:
    """The first answer again, if this very form was already accepted; a refusal if anything else happened to the signal since."""
    if signal.state == state and signal.decided_by == decision.name and signal.decision.get("key") == decision.key:
        return CommandRecord.objects.select_related("created_by").filter(signal_id=signal.signal_id, name=command).latest("id")
    if signal.state != State.PENDING:
        return _conflict(signal)
    if signal.version != decision.version:
        return Refusal(
            code="changed",
            message="This signal has changed since you looked at it. Check the new numbers and decide again.",
            status=CONFLICT,
        )
    return None


def _lost(signal_id: str) -> Refusal:
    return _conflict(SignalRecord.objects.get(pk=signal_id))


def _conflict(signal: SignalRecord) -> Refusal:
    """Who was faster, and when."""
    when = f" at {moment_words(signal.decided_at, utc_now())}" if signal.decided_at else ""
    who = f" by {signal.decided_by}" if signal.decided_by else ""
    return Refusal(
        code=f"already_{signal.state}", message=f"Nothing was sent: this signal was already {signal.state}{who}{when}.", status=CONFLICT
    )
