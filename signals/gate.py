"""The worker's risk gate, asked for a card: the very same checks on a context built from rows.

One evaluator, two contexts. What only the worker can know (whether the broker knows the symbol, the link at this instant)
passes here and is asked there; everything else that would refuse the order is said before a person approves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.db.models import QuerySet

from events.order import OrderRole, OrderSide, OrderState, OrderType
from positions import store
from positions.current import current_positions
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order import Order
from positions.domain.ports import Contract, Tick
from positions.domain.position import Position
from positions.domain.risk import ENTRY_CHECKS, RiskContext, RiskLimits, TradingState, not_expired, numbers_make_sense
from positions.limits import limits_from, limits_row
from positions.locks import read_locks
from positions.models import OrderRecord, PositionRecord
from positions.models import RiskLimits as RiskLimitsRecord
from signals.domain.entry import entry_intent

if TYPE_CHECKING:
    from signals.facts import Facts
    from signals.proposal import Proposal

Record = TypeVar("Record", OrderRecord, PositionRecord)
Restored = TypeVar("Restored", Order, Position)
# A signal has a life of its own, which the card shows; the command's begins with the approval.
CARD_CHECKS = tuple(check for check in ENTRY_CHECKS if check is not not_expired)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    """The moment as the rows have it, without a symbol's quote, and the limits of the moment."""

    context: RiskContext
    limits: RiskLimits
    version: str = ""  # changes with every edit of a limit


class _Known(Generic[Record, Restored]):
    """Objects restored from rows: restored again only when their row has changed. The checks read them and change nothing.

    `columns` are those that tell a changed row from an unchanged one.
    """

    def __init__(self, *columns: str) -> None:
        self._columns = columns
        self._objects: dict[tuple[Any, ...], Restored] = {}  # (key, *columns) → object

    def of(self, records: QuerySet[Record], restore: Callable[[Record], Restored]) -> list[Restored]:
        """In the order of the records."""
        stamps = list(records.values_list("pk", *self._columns))
        known = {stamp: self._objects[stamp] for stamp in stamps if stamp in self._objects}
        missing = {stamp[0]: stamp for stamp in stamps if stamp not in known}
        if missing:
            changed = records.model._default_manager.filter(pk__in=list(missing))
            known |= {missing[record.pk]: restore(record) for record in changed}
        self._objects = known
        return [known[stamp] for stamp in stamps if stamp in known]


_known_orders: _Known[OrderRecord, Order] = _Known(
    *("version", "updated_at", "state", "pending", "quantity", "filled_quantity", "limit_price", "stop_price", "ib_status", "external")
)
_known_positions: _Known[PositionRecord, Position] = _Known("version", "updated_at", "status", "quantity", "entry_price", "stop_loss")


def view_of(
    record: RiskLimitsRecord, *, now: datetime, day_began: datetime, state: TradingState, reason: str, session_open: bool,
    session_closes: datetime | None, day_pnl: float | None, account: str, clock_skew: float = 0.0,
    database_skew: float = 0.0,
) -> GateView:  # fmt: skip
    """Read orders, positions, holdings and locks; the rest the caller has read already."""
    row = limits_row(record)
    locks, cleared, released = read_locks(account, now)
    context = RiskContext(
        now=now,
        positions=_positions(current_positions(account)),
        orders=_orders(store.relevant_orders(account)),
        elsewhere=store.load_elsewhere(account),
        trading_state=state,
        trading_reason=reason,
        session_open=session_open,
        session_closes=session_closes,
        clock_skew=clock_skew,
        database_skew=database_skew,
        day_began=day_began,
        day_pnl=day_pnl,
        account=account,
        locks=locks,
        cleared=cleared,
        released_losses=released,
    )
    return GateView(context=context, limits=limits_from(row), version=row["version"])


def refusals_of(proposal: Proposal, facts: Facts) -> list[Denied]:
    """Every check that would refuse this entry now. The margin's age is the worker's matter: it asks anew."""
    view, intent = facts.gate, intent_of(proposal)
    if intent is None or view is None:
        return []
    symbol = proposal.signal.symbol
    context = replace(view.context, quote=_tick(proposal), contract=Contract(symbol=symbol, con_id=0))
    limits = replace(view.limits, require_margin=False)
    senseless = numbers_make_sense(intent, context, limits)
    if senseless is not None:
        return [senseless]  # the other checks calculate with these numbers
    return [denied for check in CARD_CHECKS if (denied := check(intent, context, limits)) is not None]


def intent_of(proposal: Proposal) -> OrderIntent | None:
    """The entry an approval would ask for, with what the broker said of it."""
    ticket, signal = proposal.ticket, proposal.signal
    if ticket is None:
        return None
    intent = entry_intent(
        intent_id=f"card-{signal.signal_id}",
        signal_id=signal.signal_id,
        symbol=signal.symbol,
        direction=signal.direction,
        quantity=ticket.quantity,
        limit_price=ticket.entry,
        stop_loss=ticket.stop,
        take_profit=ticket.target,
        reference_price=proposal.quote.last if proposal.quote else ticket.entry,
        expected_price=proposal.expected,
    )
    return replace(intent, margin=_margin(proposal, ticket.quantity))


def _margin(proposal: Proposal, quantity: float) -> dict[str, Any] | None:
    """What the broker said, in proportion when a person asks for more shares than it was asked about."""
    margin = proposal.margin
    if margin is None or margin.quantity <= 0:
        return None
    more = max(1.0, quantity / margin.quantity)
    return replace(margin, quantity=max(quantity, margin.quantity), initial_change=margin.initial_change * more).to_dict()


def _tick(proposal: Proposal) -> Tick | None:
    quote = proposal.quote
    if quote is None:
        return None
    kind = 1 if quote.live else 2
    return Tick(
        symbol=proposal.signal.symbol, last=quote.last, bid=quote.bid, ask=quote.ask, volume=None, time=quote.at, market_data_type=kind
    )


def _orders(records: QuerySet[OrderRecord]) -> list[Order]:
    return _known_orders.of(records, lambda record: _whole(Order.from_dict, record.data) or _order_of_columns(record))


def _whole(restore: Callable[[dict[str, Any]], Restored], data: dict[str, Any]) -> Restored | None:
    """The object its row's data describes; None when the row carries no whole state, or one of another version."""
    try:
        return restore(data)
    except (KeyError, TypeError, ValueError):
        return None


def _order_of_columns(record: OrderRecord) -> Order:
    """A row that carries no whole state still counts, by its columns."""
    order = Order(
        order_id=record.order_id,
        order_ref=record.order_ref,
        symbol=record.symbol,
        side=OrderSide(record.side.lower()),
        order_type=OrderType(record.order_type),
        quantity=float(record.quantity),
        role=OrderRole(record.role) if record.role in set(OrderRole) else OrderRole.ENTRY,
        limit_price=float(record.limit_price) if record.limit_price is not None else None,
        signal_id=record.signal_id,
        account=record.account,
        now=lambda: record.created_at,
    )
    order.state, order.external, order.ib_status = OrderState(record.state), record.external, record.ib_status
    return order


def _positions(records: QuerySet[PositionRecord]) -> list[Position]:
    return _known_positions.of(records, lambda record: _whole(Position.from_dict, record.data) or _position_of_columns(record))


def _position_of_columns(record: PositionRecord) -> Position:
    position = Position(record.symbol, record.position_id)
    stop = float(record.stop_loss) if record.stop_loss is not None else None
    position.plan(float(record.quantity), stop_loss=stop)
    if record.quantity:
        position.apply_fill(float(record.quantity), float(record.entry_price or record.current_price or 0.01))
    return position
