"""The matching engine: what happens to the orders of the book. Shared by the simulated gateway and backtests.

Pure and synchronous: no network, no clock, no asyncio. The caller gives it requests (`place`, `cancel`, `cancel_all`),
market pictures (`on_quote`, `on_bar`, `on_close`) and the passing of time (`expire`); it answers through `emit` with
the events of `orders.py`, in the order in which IB would report them. `place` never fills: the next market picture does.

A backtest needs only:

    exchange = Exchange(events.append)
    exchange.place(OrderSpec(client_id=1, order_id=1, symbol="AAPL", side=Side.BUY, quantity=10, kind=Kind.MARKET), at=t)
    exchange.on_bar("AAPL", bar)

Brackets: a family waits for its transmitting member, then the children wait for the parent. They become active as
it fills, never for more than it has filled, and die with it when it is cancelled unfilled. Siblings and OCA groups
are handled by `oca.py`, prices by `matching.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from positions.gateway import matching, oca
from positions.gateway.book import Book
from positions.gateway.orders import (
    CLOSE_KINDS,
    LOCATE,
    BarLike,
    BookOrder,
    Event,
    Kind,
    OrderExecuted,
    OrderNotice,
    OrderRefused,
    OrderSpec,
    OrderUpdated,
    QuoteLike,
    Refusal,
    Status,
    Tif,
)

Admission = Callable[[OrderSpec, BookOrder | None], Refusal | None]
Sizing = Callable[[BookOrder, QuoteLike], float]
OpenFor = Callable[[OrderSpec, float], bool]

NEVER_MODIFIED = ("symbol", "side", "account", "parent_id")


def admit_all(_spec: OrderSpec, _existing: BookOrder | None) -> Refusal | None:
    return None


def unlimited(order: BookOrder, _quote: QuoteLike) -> float:
    return order.remaining


def always_open(_spec: OrderSpec, _at: float) -> bool:
    return True


class Exchange:
    """The engine around one `book`.

    `admission` may refuse a new or changed order; `sizing` says how many shares may fill now (0 for none);
    `open_for` says whether the order's session is open. `first_perm_id` and `first_exec` continue stored sequences.
    """

    def __init__(
        self,
        emit: Callable[[Event], None],
        *,
        admission: Admission = admit_all,
        sizing: Sizing = unlimited,
        open_for: OpenFor = always_open,
        first_perm_id: int = 1,
        first_exec: int = 1,
        exec_prefix: str = "0000e0d5",
    ) -> None:
        self.book = Book()
        self.next_perm_id = first_perm_id
        self.next_exec = first_exec
        self._emit = emit
        self._admission = admission
        self._sizing = sizing
        self._open_for = open_for
        self._exec_prefix = exec_prefix

    # Requests

    def place(self, spec: OrderSpec, at: float, *, locate: bool = False) -> None:
        """A new order, or a change of the live order with the same key. Refusals come as OrderRefused.

        With `locate` a new order trades only after `located`.
        """
        existing = self.book.orders.get(spec.key)
        if existing is not None and existing.live:
            self._modify(existing, spec, at)
            return
        refusal = self._refuse_new(spec, existing)
        if refusal is not None:
            self._refuse(spec, refusal)
            return
        self.book.last_ids[spec.client_id] = spec.order_id
        order = BookOrder(
            spec=spec,
            perm_id=self.next_perm_id,
            quantity=spec.quantity,
            placed_at=at,
            limit_price=spec.limit_price,
            stop_price=spec.stop_price,
            why_held=LOCATE if locate else "",
        )
        self.next_perm_id += 1
        self.book.add(order)
        if spec.transmit:
            self._transmit_family(order, at)

    def located(self, order: BookOrder, at: float) -> None:
        """The shares to sell short are found: the order works from now on."""
        if order.live and order.why_held == LOCATE:
            order.why_held = ""
            if order.transmitted:
                self._release(order, at)

    def cancel(self, client_id: int, order_id: int, at: float) -> None:
        """Cancels a live order of this client; refused with 10147 (unknown) or 10148 (too late)."""
        order = self.book.orders.get((client_id, order_id))
        if order is None:
            self._refuse_id(client_id, order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found.")
            return
        if not order.live:
            text = f"OrderId {order_id} that needs to be cancelled can not be cancelled, state: {order.status}."
            self._refuse_id(client_id, order_id, 10148, text)
            return
        if order.transmitted:
            self._report(order, at, status=Status.PENDING_CANCEL)
        self.withdraw(order, at)

    def cancel_all(self, at: float) -> None:
        """The global cancel: every live order of every client."""
        for order in self.book.live_orders():
            if order.live:
                self.withdraw(order, at)

    def withdraw(self, order: BookOrder, at: float, *, notice: str = "Order Canceled - reason:", status: str = "") -> None:
        """Takes an order out of the book: Cancelled, error 202, and what hangs on it."""
        self._finish(order, Status.CANCELLED, at, status or "Cancelled by Trader")
        self._emit(OrderNotice(client_id=order.spec.client_id, order_id=order.spec.order_id, code=202, text=notice))
        for child in self.book.children(order):
            if child.live and order.filled <= 0:
                self.withdraw(child, at, status="Cancelled with its parent")
        self._fit_children(order, at)

    def reduce(self, order: BookOrder, quantity: float, at: float) -> None:
        """Shrinks an order by `quantity` (OCA, or a parent that will fill no further); down to nothing cancels it."""
        order.quantity = max(order.filled, round(order.quantity - quantity, 6))
        if order.remaining <= 0:
            self.withdraw(order, at, status="Cancelled by OCA")
        else:
            self._report(order, at, modified=True)

    # The market

    def on_quote(self, symbol: str, quote: QuoteLike) -> None:
        """Matches the symbol's orders, oldest first, against the top of the book."""
        for order in self.book.working(symbol):
            if order.live and self._active(order, quote.at):
                self._match_quote(order, quote)

    def on_bar(self, symbol: str, bar: BarLike, *, closing: bool = False) -> None:
        """Matches against one bar; stops before everything else. `closing` marks the session's last bar (MOC, LOC)."""
        working = self.book.working(symbol)
        ready = [order for order in working if self._active(order, bar.start)]
        for order in sorted(ready, key=lambda order: not order.armed):
            if order.live:
                self._match_bar(order, bar, from_open=True)
        # Children of what has just filled: a stop may be hit in the same bar, a target is never granted.
        for order in working:
            if order not in ready and order.live and order.armed and self._active(order, bar.start):
                self._match_bar(order, bar, from_open=False)
        if closing:
            self.on_close(symbol, bar.close, bar.start)

    def on_close(self, symbol: str, price: float, at: float) -> None:
        """The closing auction: fills MOC, and LOC whose limit allows; cancels the other LOC."""
        for order in self.book.working(symbol):
            if not order.live or order.spec.kind not in CLOSE_KINDS or self.book.waits_for_parent(order):
                continue
            if matching.fill_price_on_quote(order, _Auction(price, at)) is not None:
                self.fill(order, order.remaining, price, at)
            else:
                self.withdraw(order, at, status="Not filled at the close")

    def expire(self, at: float, *, day_over: bool = False) -> None:
        """Ends GTD orders whose time has come and, when `day_over`, DAY orders."""
        for order in self.book.live_orders():
            timed_out = order.spec.good_till is not None and at >= order.spec.good_till
            if order.live and (timed_out or (day_over and order.spec.tif not in (Tif.GTC, Tif.GTD))):
                self.withdraw(order, at, notice="Order Canceled - reason:Expired", status="Expired")

    def has_expiring(self, at: float) -> bool:
        return any(order.spec.good_till is not None and at >= order.spec.good_till for order in self.book.live_orders())

    def fill(self, order: BookOrder, quantity: float, price: float, at: float) -> None:
        """One execution of a live order, and everything that follows from it."""
        quantity = round(min(quantity, order.remaining), 6)
        if quantity <= 0:
            return
        self._execute(order, quantity, price, at)
        if order.remaining > 0:
            order.why_held = ""
            self._report(order, at, status=Status.SUBMITTED)
        else:
            self._finish(order, Status.FILLED, at, f"Filled Size: {order.filled:g}")
        for child in self.book.children(order):
            if child.live and child.why_held == "child":
                child.why_held = "trigger" if child.armed else ""
                self._report(child, at, status=Status.PRE_SUBMITTED if child.armed else Status.SUBMITTED)
        oca.after_fill(self, order, quantity, at)

    def fill_late(self, order: BookOrder, quantity: float, price: float, at: float) -> None:
        """An execution of a cancelled order: the fill that was already on its way. Nothing else changes."""
        self._execute(order, round(min(quantity, order.remaining), 6), price, at)

    def live_orders(self) -> list[BookOrder]:
        return self.book.live_orders()

    # Inside

    def _execute(self, order: BookOrder, quantity: float, price: float, at: float) -> None:
        total = round(order.filled + quantity, 6)
        order.average_price = (order.average_price * order.filled + price * quantity) / total
        order.filled = total
        order.last_price = price
        exec_id = f"{self._exec_prefix}.{self.next_exec:08x}.01.01"  # the last segment counts corrections
        self.next_exec += 1
        self._emit(
            OrderExecuted(
                order=order,
                exec_id=exec_id,
                quantity=quantity,
                price=price,
                cumulative_quantity=total,
                average_price=order.average_price,
                at=at,
            )
        )

    def _refuse_new(self, spec: OrderSpec, existing: BookOrder | None) -> Refusal | None:
        if existing is not None or spec.order_id <= self.book.last_ids.get(spec.client_id, 0):
            return Refusal(code=103, text="Duplicate order id")
        if spec.parent_id:
            parent = self.book.orders.get((spec.client_id, spec.parent_id))
            if parent is None or not parent.live:
                return Refusal(code=135, text=f"Can't find order with id ={spec.parent_id}")
        return self._admission(spec, None)

    def _modify(self, order: BookOrder, spec: OrderSpec, at: float) -> None:
        refusal = self._refuse_change(order, spec)
        if refusal is not None:
            self._refuse(spec, refusal, order)
            return
        if not order.triggered:
            order.stop_price = matching.modified_stop(order, spec)
        order.spec = replace(spec, parent_id=order.spec.parent_id)  # a change keeps the family, also with the parent cleared
        self._resize_children(order, spec.quantity, at)
        order.quantity = spec.quantity
        order.limit_price = spec.limit_price
        if not order.transmitted and spec.transmit:
            self._transmit_family(order, at)
        elif order.remaining <= 0:
            self._finish(order, Status.FILLED, at, f"Filled Size: {order.filled:g}")
            self._fit_children(order, at)
        elif order.transmitted:
            self._report(order, at, modified=True)

    def _fit_children(self, order: BookOrder, at: float) -> None:
        """The parent will fill no further: none of its children exits more than there is left of it."""
        for child in self.book.children(order):
            if child.live and child.remaining > (left := self.book.left_to_exit(order)):
                self.reduce(child, child.remaining - left, at)

    def _resize_children(self, order: BookOrder, quantity: float, at: float) -> None:
        """Attached orders of the parent's size follow a change of it."""
        for child in self.book.children(order):
            if child.live and child.quantity == order.quantity != quantity:
                child.quantity = max(quantity, child.filled)
                if child.remaining <= 0:
                    self._finish(child, Status.FILLED, at, f"Filled Size: {child.filled:g}")
                elif child.transmitted:
                    self._report(child, at, modified=True)

    def _refuse_change(self, order: BookOrder, spec: OrderSpec) -> Refusal | None:
        if spec.oca_group != order.spec.oca_group:
            return Refusal(code=10326, text="OCA group revision is not allowed.")
        if spec.kind is not order.spec.kind:
            return Refusal(code=329, text="Order modify failed. Cannot change to the new order type.")
        parent_done = self.book.parent_done(order)
        if spec.parent_id and parent_done:
            return Refusal(code=135, text=f"Can't find order with id ={spec.parent_id}")
        names = [name for name in NEVER_MODIFIED if not (parent_done and name == "parent_id")]
        changed = [name for name in names if getattr(spec, name) != getattr(order.spec, name)]
        if changed:
            return Refusal(code=105, text=f"Order being modified does not match original order: {changed[0]}")
        if spec.quantity < order.filled:
            return Refusal(code=201, text="Order rejected - reason:New quantity is below the filled quantity")
        return self._admission(spec, order)

    def _refuse(self, spec: OrderSpec, refusal: Refusal, order: BookOrder | None = None) -> None:
        self._emit(OrderRefused(client_id=spec.client_id, order_id=spec.order_id, code=refusal.code, text=refusal.text, order=order))

    def _refuse_id(self, client_id: int, order_id: int, code: int, text: str) -> None:
        self._emit(OrderRefused(client_id=client_id, order_id=order_id, code=code, text=text))

    def _transmit_family(self, order: BookOrder, at: float) -> None:
        for member in self.book.family(order):
            if not member.transmitted:
                self._release(member, at)

    def _release(self, order: BookOrder, at: float) -> None:
        opened = self._open_for(order.spec, at)
        status = Status.PRE_SUBMITTED
        if order.why_held == LOCATE:
            text = "Order held while securities are located."
            self._emit(OrderNotice(client_id=order.spec.client_id, order_id=order.spec.order_id, code=404, text=text))
        elif self.book.waits_for_parent(order):
            order.why_held = "child"
        elif order.armed:
            order.why_held = "trigger"
        elif opened and order.spec.kind is not Kind.MARKET and (order.spec.good_after or 0.0) <= at:
            status = Status.SUBMITTED
        self._report(order, at, status=status)
        if not opened:
            text = "Order Message:\nWarning: your order will not be placed at the exchange until the session opens"
            self._emit(OrderNotice(client_id=order.spec.client_id, order_id=order.spec.order_id, code=399, text=text))

    def _report(self, order: BookOrder, at: float, *, status: Status | None = None, modified: bool = False) -> None:
        order.status = status or order.status
        self._emit(
            OrderUpdated(
                order=order,
                status=order.status,
                filled=order.filled,
                remaining=order.remaining,
                average_price=order.average_price,
                last_price=order.last_price,
                why_held=order.why_held,
                at=at,
                modified=modified,
            )
        )

    def _finish(self, order: BookOrder, status: Status, at: float, completed_status: str) -> None:
        order.completed_at = at
        order.completed_status = completed_status
        order.why_held = ""
        self.book.retire(order)
        self._report(order, at, status=status)

    def _active(self, order: BookOrder, at: float) -> bool:
        spec = order.spec
        if not order.transmitted or order.why_held == LOCATE or spec.kind in CLOSE_KINDS or self.book.waits_for_parent(order):
            return False
        if spec.good_after is not None and at < spec.good_after:
            return False
        return self._open_for(spec, at)

    def _match_quote(self, order: BookOrder, quote: QuoteLike) -> None:
        was_armed, stop = order.armed, order.stop_price
        if not matching.trigger_on_quote(order, quote):
            if order.stop_price != stop:
                self._report(order, quote.at, modified=True)  # a trail has moved: the client and the store must know
            return
        if was_armed:
            order.why_held = ""
            self._report(order, quote.at, status=Status.SUBMITTED)
        price = matching.fill_price_on_quote(order, quote)
        fillable = self._fillable(order, self._sizing(order, quote)) if price is not None else 0.0
        if order.spec.tif is Tif.FOK and fillable < order.remaining:
            fillable = 0.0
        if price is not None and fillable > 0:
            self.fill(order, fillable, price, quote.at)
        if order.live and order.spec.tif in (Tif.IOC, Tif.FOK):
            self.withdraw(order, quote.at, status="Cancelled: not filled at once")

    def _match_bar(self, order: BookOrder, bar: BarLike, *, from_open: bool) -> None:
        price = matching.fill_price_on_bar(order, bar, from_open=from_open)
        if price is not None:
            self.fill(order, self._fillable(order, order.remaining), price, bar.start)
        if order.live and order.spec.tif in (Tif.IOC, Tif.FOK):
            self.withdraw(order, bar.start, status="Cancelled: not filled at once")

    def _fillable(self, order: BookOrder, offered: float) -> float:
        """A child never fills for more than its parent has, less what all of the parent's children have taken of it."""
        parent = self.book.parent(order)
        cap = self.book.left_to_exit(parent) if parent is not None and parent.live else order.remaining
        return max(0.0, min(offered, order.remaining, cap))


class _Auction:
    """The single price of a closing auction, as a quote."""

    __slots__ = ("ask", "at", "bid", "last")

    def __init__(self, price: float, at: float) -> None:
        self.bid = self.ask = self.last = price
        self.at = at
