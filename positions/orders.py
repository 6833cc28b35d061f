"""Order words for people: which states are alive, and what each state, role and pending request means in one sentence."""

from __future__ import annotations

from events.order import OrderState, PendingRequest

# Alive at the broker or on the way there; everything else is over.
LIVE_STATES = frozenset(
    {
        OrderState.PLANNED,
        OrderState.SENDING,
        OrderState.PENDING_NEW,
        OrderState.HELD,
        OrderState.WORKING,
        OrderState.SUSPENDED,
        OrderState.IN_DOUBT,
    }
)
LIVE_WORDS = sorted(state.value for state in LIVE_STATES)

STATE_WORDS: dict[str, str] = {
    OrderState.PLANNED: "Written down, not sent yet.",
    OrderState.SENDING: "On its way to the broker; no answer yet.",
    OrderState.PENDING_NEW: "The broker has it and has not confirmed it yet.",
    OrderState.HELD: "The broker keeps it until its parent fills or the session opens.",
    OrderState.WORKING: "Live in the market.",
    OrderState.FILLED: "Done: every share was traded.",
    OrderState.CANCELED: "Cancelled; shares filled before that stay filled.",
    OrderState.EXPIRED: "Its time ran out.",
    OrderState.REJECTED: "Refused by the broker; its own words are shown.",
    OrderState.DENIED: "Refused by our own checks; it never left.",
    OrderState.SUSPENDED: "The broker set it aside; it does not work in the market now.",
    OrderState.IN_DOUBT: "The link broke before the broker answered. It is being checked; it may be live.",
}

# What a held order waits for (events.tape.order_state_words) → a sentence.
HELD_WORDS: dict[str, str] = {
    "resting": "Rests at the broker until its price is touched.",
    "waiting for entry": "The broker keeps it until the entry fills.",
    "waiting for shares to borrow": "The broker looks for shares to borrow.",
}

PENDING_WORDS: dict[str, str] = {
    PendingRequest.REPLACE: "A change was sent; the broker has not confirmed it.",
    PendingRequest.CANCEL: "A cancel was sent; the broker has not confirmed it.",
}

ROLE_WORDS: dict[str, str] = {
    "entry": "Opens the position.",
    "stop": "Protects the position: sells (or buys back) when the price turns against it.",
    "target": "Takes the profit at a price.",
    "exit": "Closes the position by hand or by rule.",
    "external": "Seen at the broker, not made here.",
}
