"""What the exits of a position should look like, and what to do about it when they do not. Pure decisions; nothing is sent here.

The rules, in order of importance:
1. Stop and target together never close more than is held; what a separate exit order will close counts against them.
2. Every share held has a stop at the broker.
3. Nothing is left at the broker for a position that is over.

The broker keeps most of this by itself: children wait for their parent and never exceed what it filled, and an OCA group
of type 2 shrinks and cancels its members. So a mismatch has `GRACE_SECONDS` to heal before we send anything: a modify
that crosses the broker's own reduction on the wire could enlarge a stop beyond the position. A missing stop waits half
as long, and what cannot cross anything is urgent and does not wait.

A stop that did not stay twice is an alarm: the manager says so and follows the rule a person chose, flatten or hold. So is
a holding that nobody meant to have and for which no stop level is known: no stop can even be tried.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from events.order import OrderRole, OrderState, PendingRequest
from events.position import PositionStatus
from positions.domain.order import Order
from positions.domain.position import Position
from positions.domain.protection import is_bare

GRACE_SECONDS = 1.5
BARE_GRACE_SECONDS = 0.75
DOUBT_GRACE_SECONDS = 2.0  # for a stop that was sent to be confirmed, before the broker is asked
LEVEL_GRACE_SECONDS = 2.0  # for a holding without a stop level: a correction that made it may be followed by the next
PROTECT_ATTEMPTS = 2  # so many in PROTECT_WINDOW that did not stay are an alarm
PROTECT_WINDOW = timedelta(minutes=10)
AGAIN_SECONDS = 15.0  # after an alarm the rule is followed again this often, until it has worked
NO_LEVEL = "no level for one is known; set a stop, or close it"
_PAIR = (OrderRole.STOP, OrderRole.TARGET)


class Repair(StrEnum):
    CANCEL = "cancel"
    RESIZE = "resize"
    PROTECT = "protect"
    ASK = "ask"  # read the broker's lists
    ALARM = "alarm"  # stops are refused, or none can be tried: tell, and follow the rule
    RESTORED = "restored"  # an alarm is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One repair. `order` for cancel and resize; `quantity` in shares for resize (the order's total) and protect."""

    repair: Repair
    order: Order | None = None
    quantity: float = 0
    reason: str
    urgent: bool = False
    group: str = ""  # of protect: the OCA group it joins, so that two stops never close the same shares
    patience: float | None = None  # seconds it waits, where that is not the usual time


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A position whose stop could not be placed, or has no level."""

    position_id: str
    symbol: str
    detail: str
    since: datetime


class ExitKeeper:
    """Remembers since when something was wrong, so that the broker gets its chance to put it right first."""

    def __init__(self) -> None:
        self.alarms: dict[str, Alarm] = {}  # position_id → what is wrong with its stop
        self.absent: frozenset[str] = frozenset()  # order_ids in doubt that the last two pictures of the broker's do not show
        self.look_again = False  # one picture leaves a stop in doubt: the next one decides, and should be taken soon
        self._missed: dict[str, datetime] = {}  # order_id → the first picture of a row that does not show it
        self._since: dict[str, datetime] = {}  # what is wrong (order or position id) → since when
        self._attempts: dict[str, list[datetime]] = {}  # position_id → when stops were placed for it

    def due(self, position: Position, orders: Sequence[Order], now: datetime) -> list[Work]:
        """The repairs that have waited long enough."""
        wanted = [work for work in repairs(position, orders, self.absent) if not _refused_lately(work, now)]
        keys = {self._key(position, work): work for work in wanted}
        for key in [key for key in self._since if key.startswith(position.position_id) and key not in keys]:
            del self._since[key]
        waited = [work for key, work in keys.items() if self._waited(key, work, now)]
        ready = [step for work in waited if (step := self._escalated(position, orders, work, now)) is not None]
        if position.position_id in self.alarms and not is_bare(position, orders):
            del self.alarms[position.position_id]
            self._attempts.pop(position.position_id, None)
            ready.append(Work(repair=Repair.RESTORED, reason="protected again" if position.held else "the position is closed"))
        return ready

    def note_picture(self, missing: Sequence[Order], at: datetime) -> None:
        """A list of the broker's, made at `at`, and our live stops that it does not show.

        One list may come incomplete; a second stop on its word would be one too many. Only a full reading puts an order in doubt,
        so at least one of the two is one.
        """
        self._missed = {order.order_id: self._missed.get(order.order_id, at) for order in missing}
        doubtful = [order.order_id for order in missing if order.state is OrderState.IN_DOUBT]
        self.absent = frozenset(name for name in doubtful if self._missed[name] < at)
        self.look_again = len(self.absent) < len(doubtful)

    def forget_after(self, now: datetime) -> None:
        """Stamps ahead of `now` become `now`: the clock was set back since, and what is timed from them begins again."""
        self._since = {key: min(at, now) for key, at in self._since.items()}
        self._missed = {name: min(at, now) for name, at in self._missed.items()}
        self._attempts = {name: [min(at, now) for at in times] for name, times in self._attempts.items()}

    def placed(self, position: Position, now: datetime) -> None:
        """A protective stop was sent."""
        self._attempts.setdefault(position.position_id, []).append(now)

    def _waited(self, key: str, work: Work, now: datetime) -> bool:
        usual = BARE_GRACE_SECONDS if work.repair is Repair.PROTECT else GRACE_SECONDS
        grace = usual if work.patience is None else work.patience
        return (now - self._since.setdefault(key, now)).total_seconds() >= grace or work.urgent

    def _escalated(self, position: Position, orders: Sequence[Order], work: Work, now: datetime) -> Work | None:
        """A stop that did not stay twice becomes an alarm, and so does a holding without a level, repeated until it is over."""
        if work.repair is Repair.ALARM:
            return self._alarmed(position, work, work.reason, now)
        if work.repair is not Repair.PROTECT:
            return work
        recent = [at for at in self._attempts.get(position.position_id, []) if now - at < PROTECT_WINDOW]
        if len(recent) < PROTECT_ATTEMPTS:
            return work
        return self._alarmed(position, work, f"{len(recent)} stops did not stay at the broker{_last_words(orders)}", now)

    def _alarmed(self, position: Position, work: Work, detail: str, now: datetime) -> Work | None:
        """The first time urgent; then the rule is followed again now and then."""
        attempts = self._attempts.setdefault(position.position_id, [])
        known = self.alarms.get(position.position_id)
        if known is not None and attempts and (now - attempts[-1]).total_seconds() < AGAIN_SECONDS:
            return None
        attempts.append(now)
        if known is not None:
            return Work(repair=Repair.ALARM, quantity=work.quantity, reason=known.detail)
        self.alarms[position.position_id] = Alarm(position_id=position.position_id, symbol=position.symbol, detail=detail, since=now)
        return Work(repair=Repair.ALARM, quantity=work.quantity, reason=detail, urgent=True)

    @staticmethod
    def _key(position: Position, work: Work) -> str:
        return f"{position.position_id}:{work.repair}:{work.order.order_id if work.order else ''}"


def repairs(position: Position, orders: Sequence[Order], absent: Collection[str] = ()) -> list[Work]:
    """Everything that is not as it should be right now. `absent` as the keeper has them."""
    live = [order for order in orders if order.is_live and not order.external]
    exits = [order for order in live if order.role in _PAIR]
    if position.status is PositionStatus.CLOSED:
        return _after_the_end(orders, live)
    entry = next((order for order in live if order.role is OrderRole.ENTRY and not order.reopened), None)
    if entry is not None:
        return _while_entering(entry, orders, exits)
    held = abs(position.held)
    room = held - leaving(orders)
    extra = _extra_stops(exits)
    kept = [order for order in exits if order not in extra]
    kept_room = room - sum(order.remaining_quantity for order in extra)
    grouped = [order for order in live if order.role is OrderRole.EXIT and order.oca_group]
    calm = not any(order.is_exit and order.filled_quantity for order in orders)  # then no reduction of the broker's is on its way
    work = [_cancel(order, "one stop takes over for all shares", urgent=True) for order in extra if _may_cancel(order)]
    work += [piece for order in (*kept, *grouped) if (piece := _fit(order, kept_room, calm=calm)) is not None]
    separate = [order for order in live if order.role is OrderRole.EXIT and not order.oca_group and order.remaining_quantity > held]
    work += [piece for order in separate if (piece := _fit(order, held)) is not None]
    stops = [order for order in exits if order.role is OrderRole.STOP]
    if room > 0 and not _group_exit(orders):
        if not stops and position.stop_loss is None:
            work.append(Work(repair=Repair.ALARM, quantity=room, reason=NO_LEVEL, patience=LEVEL_GRACE_SECONDS))
        elif not stops:
            work.append(Work(repair=Repair.PROTECT, quantity=room, reason="no stop at the broker"))
        elif position.stop_loss is not None and all(stop.order_id in absent for stop in stops):
            why, group = "the broker does not show its stop: another one in the same group protects it meanwhile", stops[0].oca_group
            work.append(Work(repair=Repair.PROTECT, quantity=room, reason=why, group=group))
        elif not any(stop.is_acked for stop in stops):
            # It may rest there, and have filled, unheard: only a reading may say that another one is needed.
            work.append(Work(repair=Repair.ASK, reason="a stop is not confirmed", patience=DOUBT_GRACE_SECONDS))
    return work


def leaving(orders: Sequence[Order]) -> float:
    """Shares that exit orders outside any OCA group will close, the ones still waiting to be sent included."""
    separate = [o for o in orders if o.role is OrderRole.EXIT and not o.oca_group and not o.is_terminal]
    return sum(order.remaining_quantity for order in separate)


def stop_state(position: Position, orders: Sequence[Order]) -> str:
    """none, pending, resting or missing, for the row."""
    if not position.is_active:
        return "none"
    stops = [order for order in orders if order.role is OrderRole.STOP and order.is_live]
    if any(stop.is_acked and stop.pending is PendingRequest.NONE for stop in stops):
        return "resting"
    if stops:
        return "pending"
    return "missing" if position.held else "none"


def _after_the_end(orders: Sequence[Order], live: Sequence[Order]) -> list[Work]:
    """Nothing may rest for a closed position. The broker itself ends the group of the order that closed it."""
    ended = {order.oca_group for order in orders if order.is_exit and order.filled_quantity}
    # One that a correction reopened is asked about first: the reading that is due says whether there is anything to cancel.
    leftovers = [order for order in live if order.is_exit and _may_cancel(order) and not order.reopened]
    return [_cancel(order, "the position is closed", urgent=order.oca_group not in ended) for order in leftovers]


def _extra_stops(exits: Sequence[Order]) -> list[Order]:
    """Stops beside the oldest confirmed one, left by an addition to the position: one stop takes over from them.

    One that nobody has confirmed is left alone where it shares the group: the broker would shrink it with the other, and only
    a reconcile can say whether there is anything to cancel.
    """
    stops = sorted((order for order in exits if order.role is OrderRole.STOP), key=lambda order: order.created_at)
    keeper = next((stop for stop in stops if stop.is_acked and stop.pending is not PendingRequest.CANCEL), None)
    if keeper is None:
        return []
    return [stop for stop in stops if stop is not keeper and (stop.is_acked or stop.oca_group != keeper.oca_group)]


def _while_entering(entry: Order, orders: Sequence[Order], exits: Sequence[Order]) -> list[Work]:
    """Children wait at the broker for their parent. An entry must not fill any further once its stop is gone or an exit began."""
    had_stop = any(order.role is OrderRole.STOP and order.parent_id == entry.order_id for order in orders)
    has_stop = any(order.role is OrderRole.STOP and order.parent_id == entry.order_id for order in exits)
    if had_stop and not has_stop and _may_cancel(entry):
        return [_cancel(entry, "its stop is not at the broker")]
    since = [order for order in orders if order.is_exit and order.filled_quantity]
    leaving_already = any(order.is_live or (order.finished_at or entry.created_at) >= entry.created_at for order in since)
    return [_cancel(entry, "its exit has begun")] if leaving_already and _may_cancel(entry) else []


def _fit(order: Order, room: float, *, calm: bool = False) -> Work | None:
    """Make the order close exactly `room` shares."""
    if not order.is_acked or order.pending is PendingRequest.CANCEL:
        return None
    if room <= 0:
        return _cancel(order, "nothing is left for it to close")
    total = order.filled_quantity + room
    if abs((order.wanted("quantity") or 0) - total) < 1e-9:
        return None
    if order.refused_change.get("quantity") == total:
        return _cancel(order, "IB refused to resize it")  # what it protects gets another stop
    return Work(repair=Repair.RESIZE, order=order, quantity=total, reason="it must match what is held", urgent=calm)


def _group_exit(orders: Sequence[Order]) -> bool:
    return any(order.role is OrderRole.EXIT and order.is_live for order in orders)


def _may_cancel(order: Order) -> bool:
    return order.is_live and order.pending is not PendingRequest.CANCEL


def _cancel(order: Order, reason: str, *, urgent: bool = False) -> Work:
    return Work(repair=Repair.CANCEL, order=order, reason=reason, urgent=urgent)


def _refused_lately(work: Work, now: datetime) -> bool:
    return work.repair is Repair.CANCEL and work.order is not None and work.order.cancel_refused_lately(now)


def _last_words(orders: Sequence[Order]) -> str:
    """What the broker said of the last stop that ended without a fill."""
    ended = [order for order in orders if order.role is OrderRole.STOP and order.is_terminal and order.message]
    return f": {max(ended, key=lambda order: order.created_at).message}" if ended else ""
