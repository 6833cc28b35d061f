"""One order: what we asked for, where it is, what we asked of it since, and what was executed.

`state`, `pending` and the ledger are three separate things; the table of `order_states.py` alone moves the state.
`to_dict()` is the page's row and everything needed to restore the order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from events.clock import utc_now
from events.order import OrderRole, OrderSide, OrderState, OrderType, PendingRequest, TimeInForce
from positions.domain.ledger import Entry, Execution, FillLedger
from positions.domain.order_states import ACKED, LIVE, TERMINAL, Trigger, next_state

CANCEL_AGAIN = 30.0  # seconds
log = logging.getLogger(__name__)

_TIMES = ("created_at", "sent_at", "finished_at", "updated_at", "short_since", "unused_at")
_PLAIN = (
    "order_id", "intent_id", "signal_id", "position_id", "parent_id", "order_ref", "oca_group", "oca_type", "symbol", "account",
    "quantity", "limit_price", "stop_price", "desired", "intent", "ib_order_id", "client_id", "perm_id", "session_id",
    "ib_status", "why_held", "code", "message", "external", "anomalies", "reason", "life_seconds",
    "ended_as", "ended_filled", "version",
)  # fmt: skip
# Rows of earlier versions have none of these.
_LATER = ("taken_back", "reopened", "objection", "refused_change", "cancel_asked", "cancel_refused_at")


class Order:
    """`quantity` is absolute shares; `order_id` is ours (FIX ClOrdID), `order_ref` its name at the broker."""

    def __init__(
        self,
        *,
        order_id: str,
        order_ref: str,
        symbol: str,
        side: OrderSide,
        order_type: OrderType,
        quantity: float,
        role: OrderRole,
        limit_price: float | None = None,
        stop_price: float | None = None,
        tif: TimeInForce = TimeInForce.DAY,
        intent_id: str = "",
        signal_id: str = "",
        position_id: str = "",
        parent_id: str = "",
        oca_group: str = "",
        oca_type: int = 2,
        account: str = "",
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.order_id = order_id
        self.order_ref = order_ref
        self.symbol = symbol
        self.side = side
        self.order_type = order_type
        self.quantity = quantity
        self.role = role
        self.limit_price = limit_price
        self.stop_price = stop_price
        self.tif = tif
        self.intent_id = intent_id
        self.signal_id = signal_id
        self.position_id = position_id
        self.parent_id = parent_id  # our id of the entry whose child it is
        self.oca_group = oca_group
        self.oca_type = oca_type
        self.account = account
        self.state = OrderState.PLANNED
        self.pending = PendingRequest.NONE
        self.desired: dict[str, float] = {}  # what a pending replace asks for: quantity, limit_price, stop_price
        self.intent: dict[str, Any] = {}  # of entries and exits: the wish, for checking it again before a resend
        self.close_after: dict[str, Any] = {}  # of an entry being cancelled: the close that waits for its end (`WaitingClose`)
        self.ledger = FillLedger()
        self.ib_order_id = 0
        self.client_id = 0
        self.perm_id = 0
        self.session_id = ""
        self.ib_status = ""
        self.why_held = ""
        self.code = ""  # our refusal code, or IB's error number
        self.message = ""  # our words, or IB's own
        self.reason = ""  # why we made it or asked for its end
        self.external = False
        self.anomalies = 0  # reports the state table had no row for
        self.life_seconds: float | None = None  # an unfilled entry is cancelled after this
        self.ended_as = ""  # the trigger that waits until our executions match what the broker says was filled
        self.ended_filled: float | None = None  # how much that is
        self.taken_back: float = 0  # shares that corrections and busts took away; the broker's own count may still hold them
        self.objection: dict[str, str] = {}  # an error of the broker's that its lists must still explain: code, message, at, pending
        self.refused_change: dict[str, float] = {}  # the change that the broker refused last; it is not asked for again by itself
        self.cancel_asked = False  # somebody wanted its end: what ends it is no refusal
        self.cancel_refused_at: str = ""  # when the broker last refused to cancel it, ISO
        self.reopened = False  # filled until a correction or bust: only the broker's lists can say whether it works on
        self.version = 0
        self.created_at = now()
        self.updated_at = self.created_at
        self.sent_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.short_since: datetime | None = None  # since when the broker claims more fills than we have executions of
        self.unused_at: datetime | None = None  # sent and unanswered: since when it is known that the broker had not used its id
        self._now = now

    def __repr__(self) -> str:
        return f"<Order {self.order_ref} {self.side.value} {self.quantity:g} {self.symbol} {self.order_type.value} {self.state.value}>"

    def stamped_after(self, now: datetime) -> bool:
        """Whether a stamp lies ahead of `now`, because the wall clock was set back since. Such stamps become `now`: what is timed
        from them begins again, instead of standing still until the clock has caught up."""
        timed = ("sent_at", "updated_at", "short_since", "unused_at")
        late = [name for name in timed if (at := getattr(self, name)) is not None and at > now]
        for name in late:
            setattr(self, name, now)
        return bool(late)

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def is_live(self) -> bool:
        """It may be at the broker."""
        return self.state in LIVE

    @property
    def is_acked(self) -> bool:
        """The broker has said it has it."""
        return self.state in ACKED

    @property
    def is_exit(self) -> bool:
        return self.role in (OrderRole.STOP, OrderRole.TARGET, OrderRole.EXIT)

    @property
    def filled_quantity(self) -> float:
        return _number(self.ledger.quantity)

    @property
    def accounted_quantity(self) -> float:
        """Shares the broker may truthfully say were filled: what is, and what it has taken back since."""
        return self.filled_quantity + self.taken_back

    @property
    def remaining_quantity(self) -> float:
        return max(0, self.quantity - self.filled_quantity)

    @property
    def average_price(self) -> float | None:
        average = self.ledger.average_price
        return None if average is None else float(average)

    @property
    def commission(self) -> float:
        return float(self.ledger.commission)

    @property
    def overfilled(self) -> bool:
        """The broker executed more than was asked: a fact to show, never to hide."""
        return self.filled_quantity > self.quantity

    # ---- what happens to it -----------------------------------------------------------------------------------------

    def move(self, trigger: Trigger, *, code: str = "", message: str = "") -> bool:
        """Take the table's row for `trigger`; without one, count an anomaly and change nothing. True if the state changed."""
        target = next_state(self.state, trigger)
        if target is None:
            self.anomalies += 1
            log.debug("%s: %s changes nothing while %s", self, trigger.value, self.state.value)
            return False
        if code or message:
            self.code, self.message = code, message
        if target is self.state:
            return False
        log.debug("%s: %s → %s by %s%s", self, self.state.value, target.value, trigger.value, f": {message}" if message else "")
        self.state, self.reopened = target, target is OrderState.IN_DOUBT and (trigger is Trigger.UNFILLED or self.reopened)
        if target in TERMINAL:
            self.finished_at = self._now()
            self.pending, self.desired, self.objection = PendingRequest.NONE, {}, {}
        else:
            self.finished_at = None
        self.touch()
        return True

    def ask_cancel(self, reason: str = "") -> None:
        """A cancel was sent; it outranks a pending replace."""
        self.pending, self.desired, self.reason = PendingRequest.CANCEL, {}, reason or self.reason
        self.cancel_asked = True
        self.touch()

    def ask_replace(self, **desired: float) -> None:
        """A modify was sent; `quantity`, `limit_price`, `stop_price` are what it asks for."""
        self.pending, self.desired = PendingRequest.REPLACE, {**self.desired, **desired}
        self.touch()

    def clear_pending(self) -> None:
        """The request was answered."""
        if self.pending is not PendingRequest.NONE:
            self.pending, self.desired = PendingRequest.NONE, {}
            self.touch()

    def refuse_request(self, *, for_good: bool = True) -> None:
        """The broker refused the cancel or the change: what was true before stays true. `for_good`: it would refuse the same again;
        else it only came at a wrong moment."""
        if self.pending is PendingRequest.REPLACE and for_good:
            self.refused_change = dict(self.desired)
        elif self.pending is PendingRequest.CANCEL:
            self.cancel_asked = False
            self.cancel_refused_at = self._now().isoformat() if for_good else ""
        self.clear_pending()

    def take_objection(self, code: str, message: str) -> None:
        """The broker's error about this order, kept with what was asked of it, until a reading says whether the order works."""
        self.code, self.message = code, message
        self.objection = {"code": code, "message": message, "at": self._now().isoformat(), "pending": self.pending.value}
        self.touch()

    def cancel_refused_lately(self, now: datetime) -> bool:
        """The broker has just refused to cancel it: asked for again by itself only after a while."""
        return bool(self.cancel_refused_at) and 0 <= (now - datetime.fromisoformat(self.cancel_refused_at)).total_seconds() < CANCEL_AGAIN

    def wanted(self, name: str) -> float | None:
        """The value of `quantity`, `limit_price` or `stop_price` once everything asked for is confirmed."""
        value: float | None = self.desired[name] if name in self.desired else getattr(self, name)
        return value

    def execute(self, execution: Execution) -> tuple[Entry, Execution | None]:
        """Enter an execution, and move the state by what the ledger now says."""
        entry, before = self.ledger.add(execution)
        if entry is Entry.KNOWN:
            return entry, before
        if before is not None:
            lost = _counted(before) - _counted(execution)
            self.taken_back = max(0, self.taken_back + _number(lost))
        self.touch()
        self.settle(entry)
        return entry, before

    def settle(self, entry: Entry = Entry.NEW) -> None:
        """Full ledger → filled; below it after a correction or bust → maybe in doubt."""
        if self.filled_quantity >= self.quantity > 0:
            self.move(Trigger.LEDGER_FULL) if self.state is not OrderState.FILLED else None
        elif entry in (Entry.CORRECTED, Entry.BUSTED):
            self.move(Trigger.UNFILLED)
        else:
            self.move(Trigger.FILL)

    def touch(self) -> None:
        """A new version."""
        self.version += 1
        self.updated_at = self._now()

    # ---- the whole state --------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The page's row, and everything needed to restore."""
        row: dict[str, Any] = {name: getattr(self, name) for name in (*_PLAIN, *_LATER)}
        row |= {name: _iso(getattr(self, name)) for name in _TIMES}
        row |= {
            "id": self.order_id,
            "v": self.version,
            "at": self.updated_at.isoformat(),
            "role": self.role.value,
            "side": self.side.value,
            "order_type": self.order_type.value,
            "tif": self.tif.value,
            "state": self.state.value,
            "pending": self.pending.value,
            "desired": dict(self.desired),
            "intent": dict(self.intent),
            "close_after": dict(self.close_after),
            "filled_quantity": self.filled_quantity,
            "remaining_quantity": self.remaining_quantity,
            "average_price": self.average_price,
            "commission": self.commission,
            "executions": [execution.to_dict() for execution in self.ledger.executions],
        }
        return row

    @classmethod
    def from_dict(cls, row: dict[str, Any], *, now: Callable[[], datetime] = utc_now) -> Self:
        """The order `to_dict` described."""
        order = cls(
            order_id=row["order_id"],
            order_ref=row["order_ref"],
            symbol=row["symbol"],
            side=OrderSide(row["side"]),
            order_type=OrderType(row["order_type"]),
            quantity=row["quantity"],
            role=OrderRole(row["role"]),
            tif=TimeInForce(row["tif"]),
            now=now,
        )
        for name in _PLAIN:
            setattr(order, name, row[name])
        for name in _LATER:
            setattr(order, name, row.get(name, getattr(order, name)))
        for name in _TIMES:
            setattr(order, name, None if (at := row.get(name)) is None else datetime.fromisoformat(at))
        order.state, order.pending = OrderState(row["state"]), PendingRequest(row["pending"])
        order.desired, order.intent = dict(row["desired"]), dict(row["intent"])
        order.objection, order.refused_change = dict(order.objection), dict(order.refused_change)
        order.close_after = dict(row.get("close_after") or {})  # rows of earlier versions have none
        order.ledger = FillLedger(Execution.from_dict(execution) for execution in row["executions"])
        return order


def exit_reason(order: Order) -> str:
    """Why a fill of this order closes its position."""
    match order.role:
        case OrderRole.STOP:
            return "stop"
        case OrderRole.TARGET:
            return "target"
        case OrderRole.EXIT:
            return order.reason or "closed"
    return ""


def _counted(execution: Execution) -> Decimal:
    return Decimal(0) if execution.busted else execution.quantity


def _number(value: Any) -> float:
    """An int when whole, so that 100 shares read 100."""
    return int(value) if value == value.to_integral_value() else float(value)


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
