"""The chain of one signal as steps in the order they happen: prediction, decision, command, orders, fills, position, result.

Each step says in a few words what came of it, and when; a step that has not happened yet has no time and no tone. Steps that can
no longer happen are left out: nothing follows a rejection, a refused command, or an entry that ended without a fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from events.models import CommandRecord
from events.order import OrderState
from events.position import PositionStatus
from positions.models import FillRecord, OrderRecord, PositionRecord
from positions.orders import LIVE_STATES
from signals.models import SignalRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`anchor` is the part of the page that tells more; `money` is signed, net, in account currency."""

    title: str
    anchor: str
    text: str = ""
    at: datetime | None = None
    state: str = ""
    money: Decimal | None = None


def steps(
    signal: SignalRecord,
    commands: Sequence[CommandRecord],
    orders: Sequence[OrderRecord],
    fills: Sequence[FillRecord],
    positions: Sequence[PositionRecord],
) -> list[Step]:
    """What has happened and what still can, the oldest first. Sequences are oldest first, too."""
    held = [position for position in positions if position.open_time or position.status != PositionStatus.CLOSED]  # not: planned in vain
    sent = [order for order in orders if not order.never_left]
    whole = [
        _prediction(signal),
        _decision(signal),
        _command(signal, commands),
        _orders(sent),
        _fills(fills),
        _position(held),
        _result(held),
    ]
    return whole if _goes_on(signal, commands, sent, fills) else [step for step in whole if step.state]


def _goes_on(signal: SignalRecord, commands: Sequence[CommandRecord], sent: Sequence[OrderRecord], fills: Sequence[FillRecord]) -> bool:
    """Whether another step can still follow."""
    if signal.state == SignalRecord.State.PENDING or fills:
        return True
    if signal.state != SignalRecord.State.APPROVED:
        return False
    if sent:
        return any(order.state in LIVE_STATES or order.state == OrderState.FILLED for order in sent)
    return not commands or commands[-1].state not in (CommandRecord.State.REFUSED, CommandRecord.State.EXPIRED)


def _prediction(signal: SignalRecord) -> Step:
    told = signal.prediction.prediction_time if signal.prediction else signal.created_at
    sure = signal.prediction.confidence if signal.prediction else signal.confidence
    return Step(title="Prediction", anchor="prediction", text=f"{sure:.1%} sure", at=told, state="signal")


def _decision(signal: SignalRecord) -> Step:
    by = f"by {signal.decided_by}" if signal.decided_by else signal.reason
    waiting = signal.state == SignalRecord.State.PENDING
    return Step(title="Decision", anchor="decision", text="" if waiting else by, at=signal.decided_at, state=signal.state)


def _command(signal: SignalRecord, commands: Sequence[CommandRecord]) -> Step:
    if not commands or signal.state == SignalRecord.State.PENDING:  # what an earlier decision led to is no step of the next one
        return Step(title="Command", anchor="command")
    last = commands[-1]
    return Step(title="Command", anchor="command", at=last.finished_at or last.created_at, state=last.state)


def _orders(orders: Sequence[OrderRecord]) -> Step:
    if not orders:
        return Step(title="Orders", anchor="orders")
    live = sum(order.state in LIVE_STATES for order in orders)
    return Step(
        title="Orders",
        anchor="orders",
        text=f"{len(orders)} sent, {live} live",
        at=orders[0].created_at,
        state="working" if live else "done",
    )


def _fills(fills: Sequence[FillRecord]) -> Step:
    if not fills:
        return Step(title="Fills", anchor="fills")
    shares = sum((fill.quantity for fill in fills), start=Decimal(0))
    count = f"{len(fills)} fill{'s' * (len(fills) > 1)}"
    return Step(title="Fills", anchor="fills", text=f"{count}, {_shares(shares)} shares", at=fills[-1].fill_time, state="filled")


def _position(positions: Sequence[PositionRecord]) -> Step:
    if not positions:
        return Step(title="Position", anchor="position")
    last = positions[-1]
    held = f"{_shares(last.quantity)} held" if last.quantity else ""
    return Step(title="Position", anchor="position", text=held, at=last.open_time or last.created_at, state=last.status)


def _result(positions: Sequence[PositionRecord]) -> Step:
    closed = [position.close_time for position in positions if position.close_time]
    if not positions or len(closed) < len(positions):
        return Step(title="Result", anchor="position")
    money = sum((position.realized_pnl for position in positions), start=Decimal(0))
    return Step(title="Result", anchor="position", text="net", at=max(closed), state="closed", money=money)


def _shares(value: Decimal) -> str:
    return f"{value.normalize():,f}".replace("-", "\u2212")
