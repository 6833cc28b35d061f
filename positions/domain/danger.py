"""Whose stop comes first when there are more to send than the line takes at once. Pure questions; nothing is sent here.

First what has no stop at all, then what has one for fewer shares than are held, then stops that rest too far away; among
equals the one with the most money in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from positions.domain.order import Order
from positions.domain.position import Position
from positions.domain.protection import covered

AT_ONCE = 8  # repairs, each with a commit of its own, before somebody else gets a turn and the order is looked at anew
MOVES_AT_ONCE = 36  # moves share one commit: as many as the line takes, which then leave without a wait

Rank = tuple[int, float]  # smaller is more urgent


def rank(position: Position, orders: Sequence[Order]) -> Rank:
    """By what the broker has confirmed."""
    held = abs(position.held)
    bare = held - min(held, covered(position, orders))
    if bare <= 1e-9:
        return (2, 0.0)
    money = bare * (position.current_price or position.entry_price or 0.0)
    return (0 if bare >= held - 1e-9 else 1, -money)


def loose(position: Position, wanted: float) -> Rank:
    """A stop that should rest at `wanted`: the dollars between where it is and where it should be."""
    if position.stop_loss is None:
        return (0, -abs(position.held) * wanted)
    return (2, -abs(position.held) * abs(wanted - position.stop_loss))
