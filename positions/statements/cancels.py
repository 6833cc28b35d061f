"""Cancellations of a file put beside the trades they take back, each found in one step. Pure.

IB lists a cancelled trade as it was, then its cancellation with the shares reversed, and a correction once more under the
same ids. A cancellation of an earlier day stands alone, or with nothing but the replacement, which must not be taken for the
trade that it replaces. What remains of the fees of a cancelled trade stays.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from positions.domain.ledger import split_exec_id
from positions.statements.statement import ZERO, StatementTrade


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`repeated` are rows that say the same as another one, beside it."""

    trades: tuple[StatementTrade, ...]
    cancelled: tuple[StatementTrade, ...]
    cancels: tuple[StatementTrade, ...]
    repeated: tuple[tuple[StatementTrade, StatementTrade], ...]


def settle(rows: Iterable[StatementTrade], first: date | None) -> Settled:
    """`first` is the first day of the file's period: what was traded before it can only be a replacement, or booked late."""
    once, repeated = _without_repeats(rows)
    taking_back = [row for row in once if row.is_cancel]
    shelf = _Shelf([row for row in once if not row.is_cancel], taking_back, first)
    cancelled, cancels = list[StatementTrade](), list[StatementTrade]()
    for cancel in taking_back:
        original = shelf.take(cancel)
        if original is None:
            cancels.append(cancel)
        else:
            cancelled.append(_taken_back(original, cancel))
    trades, cancelled = _fees_to_replacements(shelf.left(), cancelled)
    trades, cancels = _replacing(trades, cancels)
    return Settled(trades=tuple(trades), cancelled=tuple(cancelled), cancels=tuple(cancels), repeated=tuple(repeated))


class _Shelf:
    """Trades by everything a cancellation may name them by; of equal ones the earliest booking comes first."""

    def __init__(self, trades: Sequence[StatementTrade], cancels: Sequence[StatementTrade], first: date | None) -> None:
        self._trades = trades
        self._first = first
        self._taken: set[int] = set()
        self._named = any(trade.trade_id for trade in trades)
        # only what a cancellation looks for is put on the shelf
        # only what a cancellation looks for is put on the shelf, the earliest booking last, to be taken from the end
        self._places: dict[Hashable, list[int]] = {key: [] for cancel in cancels for key in self._looked_for(cancel)}
        newest_first = sorted(range(len(trades)), key=lambda n: (_sequence(trades[n]) or 0, n), reverse=True)
        for place in newest_first if cancels else ():
            for key in _keys(trades[place]):
                found = self._places.get(key)
                if found is not None:
                    found.append(place)

    def take(self, cancel: StatementTrade) -> StatementTrade | None:
        for key in self._looked_for(cancel):
            places = self._places[key]
            while places and places[-1] in self._taken:
                places.pop()
            if places and (key[0] == "transaction" or self._may_be(self._trades[places[-1]], cancel)):
                self._taken.add(places[-1])
                return self._trades[places.pop()]
        return None

    def _looked_for(self, cancel: StatementTrade) -> list[tuple[Hashable, ...]]:
        back = -cancel.quantity
        keys: list[tuple[Hashable, ...]] = []
        if cancel.original_transaction_id:
            keys.append(("transaction", cancel.original_transaction_id))
        if cancel.original_trade_id and self._named:
            return [*keys, ("trade", cancel.original_trade_id, back)]
        if cancel.exec_id:
            keys.append(("execution", split_exec_id(cancel.exec_id)[0], back, cancel.price))
        like = (cancel.symbol, back, cancel.price, cancel.day)
        return [*keys, ("moment", *like, cancel.at), ("like", *like)]

    def _may_be(self, trade: StatementTrade, cancel: StatementTrade) -> bool:
        booked, cancelled = _sequence(trade), _sequence(cancel)
        if booked is not None and cancelled is not None:
            return booked < cancelled
        return self._first is None or trade.day >= self._first

    def left(self) -> list[StatementTrade]:
        return [trade for place, trade in enumerate(self._trades) if place not in self._taken]


def _keys(trade: StatementTrade) -> list[Hashable]:
    like = (trade.symbol, trade.quantity, trade.price, trade.day)
    keys: list[Hashable] = [("moment", *like, trade.at), ("like", *like)]
    if trade.transaction_id:
        keys.append(("transaction", trade.transaction_id))
    if trade.trade_id:
        keys.append(("trade", trade.trade_id, trade.quantity))
    if trade.exec_id:
        keys.append(("execution", split_exec_id(trade.exec_id)[0], trade.quantity, trade.price))
    return keys


def _sequence(trade: StatementTrade) -> int | None:
    """IB counts its bookings up; None where the file does not say."""
    return int(trade.transaction_id) if trade.transaction_id.isdecimal() else None


def _taken_back(original: StatementTrade, cancel: StatementTrade) -> StatementTrade:
    """No shares, and what is left of the fee and the result."""
    return replace(
        original,
        quantity=ZERO,
        commission=_sum(original.commission, cancel.commission),
        realized=_sum(original.realized, cancel.realized),
        report_day=original.report_day if original.report_day == cancel.report_day else None,
        lines=original.lines + cancel.lines,
    )


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _fees_to_replacements(
    trades: list[StatementTrade], cancelled: list[StatementTrade]
) -> tuple[list[StatementTrade], list[StatementTrade]]:
    """A correction is the same execution: what its cancelled form cost or realized belongs to it."""
    places = {_identity(trade): place for place, trade in enumerate(trades) if trade.exec_id}
    alone = list[StatementTrade]()
    for gone in cancelled:
        place = places.get(_identity(gone)) if gone.exec_id else None
        if place is None:
            alone.append(gone)
            continue
        kept = trades[place]
        commission, realized = _sum(kept.commission, gone.commission), _sum(kept.realized, gone.realized)
        trades[place] = replace(kept, commission=commission, realized=realized, lines=kept.lines + gone.lines)
    return trades, alone


def _replacing(trades: list[StatementTrade], cancels: list[StatementTrade]) -> tuple[list[StatementTrade], list[StatementTrade]]:
    """A correction whose first form stands on an earlier statement: what it costs in all is not in this file."""
    places = {name: place for place, trade in enumerate(trades) for name in _names(trade.trade_id, trade.exec_id)} if cancels else {}
    alone = list[StatementTrade]()
    for cancel in cancels:
        found = [places[name] for name in _names(cancel.original_trade_id, cancel.exec_id) if name in places]
        if not found:
            alone.append(cancel)
            continue
        kept = trades[found[0]]
        trades[found[0]] = replace(kept, commission=None, realized=None, lines=kept.lines + cancel.lines)
    return trades, alone


def _names(trade_id: str, exec_id: str) -> list[tuple[str, str]]:
    execution = [("execution", split_exec_id(exec_id)[0])] if exec_id else []
    return [("trade", trade_id), *execution] if trade_id else execution


def _identity(trade: StatementTrade) -> str:
    return split_exec_id(trade.exec_id)[0]


def _without_repeats(
    rows: Iterable[StatementTrade],
) -> tuple[list[StatementTrade], list[tuple[StatementTrade, StatementTrade]]]:
    """Only an execution id proves that two equal rows are one execution."""
    seen: dict[Hashable, StatementTrade] = {}
    once, repeated = list[StatementTrade](), list[tuple[StatementTrade, StatementTrade]]()
    for row in rows:
        if row.exec_id:
            said = (row.exec_id, row.transaction_id, row.is_cancel, row.quantity, row.price, row.commission, row.realized, row.at)
            known = seen.setdefault(said, row)
            if known is not row:
                repeated.append((row, known))
                continue
        once.append(row)
    return once, repeated
