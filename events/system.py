"""What happened to the desk itself: links, reconciliation, trading state, sources, equity, commands, failed handlers."""

from __future__ import annotations

import dataclasses
from typing import Any

from events.base import BaseEvent, event


@event
class SystemEvent(BaseEvent):
    """Something about the desk, not about a trade."""

    source: str = "system"


@event
class ConnectionEvent(SystemEvent):
    """The broker link changed; `state` is a LinkState word, `mode` simulated, paper or live."""

    state: str = ""
    detail: str = ""
    account: str = ""
    mode: str = ""


@event
class ReconcileEvent(SystemEvent):
    """What comparing our book with the broker's found. `external` counts orders we did not make."""

    ok: bool = False
    reason: str = ""
    opened: int = 0
    filled: int = 0
    differences: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    external: int = 0


@event
class HoldingEvent(SystemEvent):
    """What the account holds of a symbol beyond our own positions, as a whole; `quantity` is signed, 0 when nothing is left.

    `acknowledged_by` is the person who said that it is known; `reason` says why it changed, in words.
    """

    account: str = ""
    symbol: str = ""
    quantity: float = 0.0
    previous_quantity: float = 0.0
    average_cost: float | None = None
    acknowledged_by: str = ""
    reason: str = ""


@event
class ProtectionEvent(SystemEvent):
    """A stop could not be placed ("alarm", with the rule that is followed: flatten or hold), or is there again ("restored")."""

    symbol: str = ""
    state: str = ""
    rule: str = ""
    detail: str = ""


@event
class OvernightChangeEvent(SystemEvent):
    """The broker holds another quantity than our book and no execution says why; `kind` is a guess for a person."""

    symbol: str = ""
    kind: str = ""
    ours: float = 0.0
    theirs: float = 0.0
    detail: str = ""


@event
class TradingStateEvent(SystemEvent):
    """Whether orders may leave: active, reduce_only or halted."""

    state: str = ""
    reason: str = ""
    changed_by: str = ""
    previous_state: str = ""


@event
class RiskLockEvent(SystemEvent):
    """Entries were shut for a scope (state locked) or opened again by a person (cleared); `until` empty = until cleared."""

    code: str = ""
    scope: str = ""
    name: str = ""
    state: str = ""
    reason: str = ""
    until: str = ""
    by: str = ""


@event
class LimitChangedEvent(SystemEvent):
    """A person changed a limit: `limit` names whose, `field` which, with its value before and after."""

    limit: str = ""
    field: str = ""
    old: str = ""
    new: str = ""
    changed_by: str = ""
    reason: str = ""


@event
class SourceHealthEvent(SystemEvent):
    """How polling goes; an empty ticker is the API itself."""

    ticker: str = ""
    state: str = ""
    errors_in_row: int = 0
    detail: str = ""


@event
class EquityEvent(SystemEvent):
    """The account's worth at a moment, in account currency. `open_risk` is lost if every stop fills at its price."""

    account: str = ""
    equity: float | None = None
    cash: float | None = None
    unrealized_pnl: float | None = None
    realized_pnl: float | None = None
    day_pnl: float | None = None
    open_risk: float | None = None


@event
class CommandEvent(SystemEvent):
    """A command moved on; `state` is done, refused or expired, `code` the refusal."""

    command_id: int = 0
    name: str = ""
    state: str = ""
    code: str = ""
    reason: str = ""


@event
class HandlerFailedEvent(SystemEvent):
    """A handler raised. A core one (orders, positions, journal) halts trading; an observer is skipped."""

    handler: str = ""
    error: str = ""
    core: bool = False
    failed_event_id: str = ""
    failed_event_type: str = ""


@event
class JournalCheckedEvent(SystemEvent):
    """The journal was folded afresh and does not give the live tables, or does so again. `differences` counts them."""

    equal: bool = False
    events: int = 0
    differences: int = 0
    detail: str = ""
