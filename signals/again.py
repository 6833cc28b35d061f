"""Deciding again about a signal whose approval came to nothing: the worker refused it, or it lapsed, before anything left.

The signal waits once more, until its own end, and is proposed with fresh numbers. The refused command, and in the journal the
first decision, stay as they are. Only what is proven to have sent nothing comes back: the command has its final answer,
and no order of the signal was ever at the broker. The page asks the same question before it offers the button.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from events.clock import utc_now
from events.commands import ApproveSignal
from events.models import CommandRecord
from events.wording import moment_words
from positions.models import OrderRecord
from signals import store
from signals.approval import CONFLICT, Refusal
from signals.domain.predictions import DIRECTIONS
from signals.models import SignalRecord

State = SignalRecord.State
SENT_NOTHING = (CommandRecord.State.REFUSED, CommandRecord.State.EXPIRED)  # the final answers that a worker gives only when nothing left


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The approval that came to nothing, and what stands against deciding again, if anything does."""

    command: CommandRecord
    refusal: Refusal | None


def nothing_came_of(signal: SignalRecord, *, now: datetime) -> Failed | None:
    """The approval of an approved signal that came to nothing; None when there is none."""
    command = _newest(signal) if signal.state == State.APPROVED else None
    if command is None or command.state not in SENT_NOTHING:
        return None
    return Failed(command=command, refusal=_against(signal, now))


def decide_again(signal_id: str, *, user: Any, version: int, now: datetime | None = None) -> SignalRecord | Refusal:
    """The signal, waiting again. Whoever asks for what is already so gets the same answer. Raises SignalRecord.DoesNotExist."""
    now = now or utc_now()
    with transaction.atomic():
        signal = SignalRecord.objects.select_related("prediction").get(pk=signal_id)
        if signal.state == State.PENDING:
            return signal
        failed = nothing_came_of(signal, now=now)
        if failed is None:
            return _not_failed(signal)
        if signal.version != version:
            return _refused("changed", "This signal was decided again since you looked at it. Look at what came of that.")
        if failed.refusal is not None:
            return failed.refusal
        command, by = failed.command, str(user.get_username())
        try:
            if store.reopen(signal, by=by, code=command.code or str(command.state), cause=f"command {command.pk}"):
                return signal
        except IntegrityError:  # another signal of the symbol came between our look and our write
            return _newer(signal)
    return _refused("changed", "Somebody was faster. Look at the signal as it is now.")


def _newest(signal: SignalRecord) -> CommandRecord | None:
    return CommandRecord.objects.filter(signal_id=signal.signal_id, name=ApproveSignal.__name__).order_by("-id").first()


def _against(signal: SignalRecord, now: datetime) -> Refusal | None:
    """Why a signal whose approval came to nothing must not wait again."""
    order = _order_that_may_have_left(signal)
    if order is not None:
        message = (
            f"The {order.role} order {order.order_ref} of this signal is {order.state.replace('_', ' ')} and may have been at the broker."
        )
        return _refused("may_have_left", f"{message} Look at that order first.")
    if signal.expires_at <= now:
        ended = moment_words(signal.expires_at, utc_now())
        return _refused("expired", f"The signal itself ended at {ended}. Wait for another one.")
    if SignalRecord.objects.filter(Q(created_at__gt=signal.created_at) | Q(state=State.PENDING), symbol=signal.symbol).exists():
        return _newer(signal)
    if not _is_still_predicted(signal):
        return _refused("revised", "The prediction was revised since and no longer says so. Wait for another signal.")
    return None


def _order_that_may_have_left(signal: SignalRecord) -> OrderRecord | None:
    """A signal that closes makes orders of the position's own signal: those are found by the wish."""
    wishes = CommandRecord.objects.filter(signal_id=signal.signal_id, name=ApproveSignal.__name__)
    # Of whatever account: an order of another one is an order that may have left, too.
    made = OrderRecord.objects.filter(Q(signal_id=signal.signal_id) | Q(intent_id__in=[wish.intent_id for wish in wishes]))
    return next((order for order in made.order_by("created_at") if not order.never_left), None)


def _is_still_predicted(signal: SignalRecord) -> bool:
    """A waiting signal is superseded when its prediction is revised; an approved one is not, so it is looked up here."""
    said = signal.prediction
    return said is None or (DIRECTIONS.get(said.word) == signal.direction and said.confidence >= signal.threshold)


def _not_failed(signal: SignalRecord) -> Refusal:
    if signal.state != State.APPROVED:
        return _refused(
            f"already_{signal.state}", f"This signal is {signal.state}; only an approval that came to nothing is decided again."
        )
    command = _newest(signal)
    if command is not None and command.state != CommandRecord.State.DONE:
        return _refused("on_its_way", "The worker has not answered the approval yet. Wait for its outcome.")
    return _refused("was_sent", "The approval was carried out: there is nothing to decide again.")


def _newer(signal: SignalRecord) -> Refusal:
    return _refused("superseded", f"A newer {signal.symbol} signal has come since. Look at that one.")


def _refused(code: str, message: str) -> Refusal:
    return Refusal(code=code, message=message, status=CONFLICT)
