"""Which fill of ours a row of a statement is about: by execution id, else by symbol, side, size, price and time. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

from positions.domain.ledger import split_exec_id
from positions.statements.realized import OurFill, by_order
from positions.statements.statement import StatementTrade

NEAR = timedelta(seconds=120)  # an activity statement's time of an order and our last fill of it

Pair = tuple[OurFill | None, StatementTrade | None]


def by_exec_id(trades: Iterable[StatementTrade], fills: Iterable[OurFill], elsewhere: dict[str, OurFill]) -> list[Pair]:
    """`elsewhere` are our fills of other days by base id: IB may book an execution under another trade date than we."""
    rest = {split_exec_id(fill.exec_id)[0]: fill for fill in fills}
    pairs = list[Pair]()
    used: set[str] = set()
    for trade in trades:
        base = split_exec_id(trade.exec_id)[0]
        ours = None if base in used else rest.pop(base, None) or elsewhere.get(base)
        used.add(base)
        pairs.append((ours, trade))
    return pairs + [(fill, None) for fill in rest.values()]


def by_likeness(trades: Sequence[StatementTrade], fills: Sequence[OurFill]) -> list[Pair]:
    """Without ids: an exact line for line match first (orders, then executions), then the same symbol, side and time."""
    for candidates in (by_order(fills), list(fills)):
        pairs, rest = _pair_off(trades, candidates)
        if all(ours is not None for ours, _ in pairs) and not rest:
            return pairs
    pairs, rest = _pair_off(trades, by_order(fills))
    return pairs + [(fill, None) for fill in rest]


def _pair_off(trades: Sequence[StatementTrade], fills: Sequence[OurFill]) -> tuple[list[Pair], list[OurFill]]:
    groups: dict[tuple[str, bool], list[OurFill]] = {}
    for fill in sorted(fills, key=lambda f: f.at):
        groups.setdefault((fill.symbol, fill.quantity > 0), []).append(fill)
    pairs = list[Pair]()
    for trade in sorted(trades, key=lambda t: t.at):
        group = groups.get((trade.symbol, trade.quantity > 0), [])
        start = bisect_left(group, trade.at - NEAR, key=lambda f: f.at)
        end = bisect_right(group, trade.at + NEAR, key=lambda f: f.at)
        best = min(range(start, end), key=lambda n: _unlikeness(group[n], trade), default=None)
        pairs.append((None if best is None else group.pop(best), trade))
    return pairs, [fill for group in groups.values() for fill in group]


def _unlikeness(fill: OurFill, trade: StatementTrade) -> tuple[bool, Decimal, float]:
    return fill.quantity != trade.quantity, abs(fill.price - trade.price), abs((fill.at - trade.at).total_seconds())
