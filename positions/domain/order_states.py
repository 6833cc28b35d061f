"""The order state machine, as a table: (state, trigger) → state. What is not listed changes nothing and is an anomaly.

State, pending request and filled quantity are three separate things. A trigger is evidence: the broker's word on the
wire, a reconcile query's answer, our own ledger, or silence. Fills never come from a status.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import product

from events.order import OrderState as S


class Trigger(StrEnum):
    """What may move an order."""

    CLAIM = "claim"  # ids fixed and committed; about to be written to the socket
    DENY = "deny"  # our own checks refused, the person aborted, or the wish lapsed
    NEVER_SENT = "never_sent"  # provably nothing reached the broker, and nothing will be sent again
    RESEND = "resend"  # provably nothing reached the broker; the same ids may be sent again
    SILENCE = "silence"  # no word for too long, a lost session, a restart, or evidence that contradicts itself
    WIRE_PENDING = "wire_pending"  # ApiPending, PendingSubmit
    WIRE_HELD = "wire_held"  # PreSubmitted, or Inactive while a locate is sought
    WIRE_WORKING = "wire_working"  # Submitted
    WIRE_SUSPENDED = "wire_suspended"  # Inactive, unexplained
    WIRE_CANCELED = "wire_canceled"  # Cancelled or ApiCancelled, and our ledger agrees on what was filled
    WIRE_EXPIRED = "wire_expired"  # the same, at the end of a DAY or GTD order
    WIRE_REJECTED = "wire_rejected"  # a refusal code on a new order, or Inactive with one
    FILL = "fill"  # an execution arrived, the ledger is below the quantity
    LEDGER_FULL = "ledger_full"  # the ledger has reached the quantity
    UNFILLED = "unfilled"  # a correction or bust took the ledger back below the quantity
    QUERY_PENDING = "query_pending"  # as WIRE_…, but the answer to our own query, which outranks what was pushed
    QUERY_HELD = "query_held"
    QUERY_WORKING = "query_working"
    QUERY_SUSPENDED = "query_suspended"


T = Trigger
TERMINAL = frozenset({S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.DENIED})
ACKED = frozenset({S.PENDING_NEW, S.HELD, S.WORKING, S.SUSPENDED})  # the broker has said something
LIVE = ACKED | {S.SENDING, S.IN_DOUBT}  # may be at the broker: counts as working for every limit
_WIRE = {
    T.WIRE_PENDING: S.PENDING_NEW,
    T.WIRE_HELD: S.HELD,
    T.WIRE_WORKING: S.WORKING,
    T.WIRE_SUSPENDED: S.SUSPENDED,
    T.WIRE_CANCELED: S.CANCELED,
    T.WIRE_EXPIRED: S.EXPIRED,
    T.WIRE_REJECTED: S.REJECTED,
    T.FILL: S.WORKING,
    T.LEDGER_FULL: S.FILLED,
}
_QUERY = {
    T.QUERY_PENDING: S.PENDING_NEW,
    T.QUERY_HELD: S.HELD,
    T.QUERY_WORKING: S.WORKING,
    T.QUERY_SUSPENDED: S.SUSPENDED,
}

TRANSITIONS: dict[tuple[S, Trigger], S] = {
    (S.PLANNED, T.CLAIM): S.SENDING,
    (S.PLANNED, T.DENY): S.DENIED,
    (S.PLANNED, T.NEVER_SENT): S.CANCELED,
    # Anything the broker says of an order is proof that it got it.
    **{(state, trigger): target for state in LIVE for trigger, target in _WIRE.items()},
    **{(state, trigger): target for state in LIVE for trigger, target in _QUERY.items()},
    (S.SENDING, T.NEVER_SENT): S.CANCELED,
    (S.IN_DOUBT, T.NEVER_SENT): S.CANCELED,
    (S.IN_DOUBT, T.RESEND): S.PLANNED,
    **{(state, T.SILENCE): S.IN_DOUBT for state in LIVE - {S.IN_DOUBT}},
    # Fills land after a cancel, a rejection and even an expiry: the ledger takes them, and full is full.
    **{(state, T.LEDGER_FULL): S.FILLED for state in (S.CANCELED, S.REJECTED, S.EXPIRED)},
    # A late partial fill leaves the order terminal; only its filled quantity changes.
    **{(state, T.FILL): state for state in (S.CANCELED, S.REJECTED, S.EXPIRED, S.FILLED)},
    # A bust of a filled order: nobody knows whether the broker will work the rest. Only a query can say.
    (S.FILLED, T.UNFILLED): S.IN_DOUBT,
    **{(state, T.UNFILLED): state for state in (*LIVE, S.CANCELED, S.REJECTED, S.EXPIRED)},
    # The library lied about an end, or it was stale: a query that shows the order alive wins, with an alarm.
    **{(state, trigger): target for state, (trigger, target) in product((S.CANCELED, S.REJECTED, S.EXPIRED), _QUERY.items())},
    # A rejection that follows Cancelled (IB sends both, in either order) explains it.
    (S.CANCELED, T.WIRE_REJECTED): S.REJECTED,
}


def next_state(state: S, trigger: Trigger) -> S | None:
    """Where `trigger` leads from `state`; None when the table has no such row."""
    return TRANSITIONS.get((state, trigger))


NEVER_SENT = "never_sent"  # the code of an order that provably never reached the broker

# Error codes that refuse a new order outright, in IB's numbering.
REFUSALS = frozenset({110, 200, 201, 203, 321, 387, 388, 10268, 10269, 10311})
# Codes that answer a request of ours on a live order and leave it alive.
REQUEST_REFUSED = frozenset({104, 105, 110, 135, 161, 201, 321, 329, 10147, 10148, 10326})
# IB's numbers are an open list: any other one about an order is a refusal as soon as a reading shows that the order does not work.
_NOTICES = frozenset({202, 399, 404, 10167, 10349})
_WARNINGS = range(2100, 2200)  # of the system, of data farms, of attributes that are ignored


def is_notice(code: int) -> bool:
    """Information, whatever order it is about: it ends none. A status says what becomes of the order."""
    return code in _NOTICES or code in _WARNINGS


def wire_trigger(status: str, *, why_held: str, refused: bool, from_query: bool) -> Trigger | None:
    """IB's status word as a trigger; None for the words that need the ledger first (Filled, Cancelled) or are unknown."""
    match status:
        case "ApiPending" | "PendingSubmit":
            return T.QUERY_PENDING if from_query else T.WIRE_PENDING
        case "PreSubmitted":
            return T.QUERY_HELD if from_query else T.WIRE_HELD
        case "Submitted":
            return T.QUERY_WORKING if from_query else T.WIRE_WORKING
        case "Inactive" if "locate" in why_held:
            return T.QUERY_HELD if from_query else T.WIRE_HELD
        case "Inactive":
            if refused:
                return T.WIRE_REJECTED
            return T.QUERY_SUSPENDED if from_query else T.WIRE_SUSPENDED
    return None
