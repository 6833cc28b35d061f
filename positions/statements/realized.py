"""What our own fills realized, first in first out and net of the commissions in and out, as IB reckons it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from positions.statements.statement import ZERO, StatementTrade


@dataclass(frozen=True, slots=True, kw_only=True)
class OurFill:
    """One fill of ours at its highest revision; signed quantity, commission None when IB never told it.

    `day` is the trade date. `closed` counts the shares it closed of those our own fills opened, `short` whether they were
    short; a `busted` one counts for nothing and is kept for what a statement may say of it.
    """

    exec_id: str
    order_id: str
    symbol: str
    at: datetime
    day: date
    quantity: Decimal
    price: Decimal
    commission: Decimal | None
    realized: Decimal | None = None
    closed: Decimal = ZERO
    short: bool = False
    busted: bool = False


def with_realized(fills: Sequence[OurFill]) -> list[OurFill]:
    """The same fills, oldest first, each with what it realized and how many shares it closed."""
    lots: dict[str, deque[list[Decimal]]] = {}  # symbol → open lots of [signed shares, price, commission per share]
    return [_reckoned(fill, lots.setdefault(fill.symbol, deque())) for fill in sorted(fills, key=lambda f: (f.at, f.exec_id))]


def _reckoned(fill: OurFill, queue: deque[list[Decimal]]) -> OurFill:
    each = (fill.commission or ZERO) / abs(fill.quantity) if fill.quantity else ZERO
    left, realized, closed = fill.quantity, ZERO, ZERO
    while left and queue and queue[0][0] * left < 0:
        lot = queue[0]
        shares = min(abs(left), abs(lot[0]))
        direction = 1 if lot[0] > 0 else -1
        realized += (fill.price - lot[1]) * shares * direction - shares * (lot[2] + each)
        lot[0] -= shares * direction
        left += shares * direction
        closed += shares
        if not lot[0]:
            queue.popleft()
    if left:
        queue.append([left, fill.price, each])
    return replace(fill, realized=realized, closed=closed, short=bool(closed) and fill.quantity > 0)


def by_order(fills: Iterable[OurFill]) -> list[OurFill]:
    """One line for each order, as activity statements list them: shares added up, the average price, the last time."""
    orders: dict[tuple[str, date], list[OurFill]] = {}
    for fill in fills:
        orders.setdefault((fill.order_id or fill.exec_id, fill.day), []).append(fill)
    return [_together(key, parts) for (key, _), parts in orders.items()]


def _together(key: str, parts: list[OurFill]) -> OurFill:
    shares = sum((part.quantity for part in parts), ZERO)
    fees = [part.commission for part in parts if part.commission is not None]
    realized = [part.realized for part in parts if part.realized is not None]
    return OurFill(
        exec_id=parts[0].exec_id if len(parts) == 1 else "",
        order_id=key,
        symbol=parts[0].symbol,
        at=max(part.at for part in parts),
        day=parts[0].day,
        quantity=shares,
        price=sum((part.quantity * part.price for part in parts), ZERO) / shares if shares else parts[0].price,
        commission=sum(fees, ZERO) if len(fees) == len(parts) else None,
        realized=sum(realized, ZERO) if realized else None,
        closed=sum((part.closed for part in parts), ZERO),
        short=any(part.short for part in parts),
    )


def comparable(ours: OurFill, theirs: StatementTrade) -> bool:
    """Whether both results are of the same shares: ours knows nothing of shares that our own fills never bought."""
    if theirs.realized is None or ours.realized is None:
        return False
    whole = abs(theirs.quantity)
    match theirs.closes:
        case "C":
            return ours.closed >= whole
        case "O":
            return not ours.closed
        case "C;O":
            return ZERO < ours.closed < whole
    if not theirs.realized:
        return not ours.closed or not ours.short  # bought back what we sold without having it: IB counts a purchase
    return ours.closed >= whole or round(ours.realized, 2) == round(theirs.realized, 2)
