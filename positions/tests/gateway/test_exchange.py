"""The matching engine: what each order type, time in force, bracket and group does, one rule per test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from positions.gateway.exchange import Exchange
from positions.gateway.orders import (
    BookOrder,
    Event,
    Kind,
    OrderExecuted,
    OrderNotice,
    OrderRefused,
    OrderSpec,
    OrderUpdated,
    Side,
    Status,
    Tif,
)

BUY, SELL = Side.BUY, Side.SELL


@dataclass(frozen=True, slots=True)
class Quote:
    bid: float
    ask: float
    last: float
    at: float = 1.0


@dataclass(frozen=True, slots=True)
class Bar:
    open: float
    high: float
    low: float
    close: float
    start: float = 60.0


@dataclass
class Floor:
    """An exchange with its events, and short ways to trade one symbol on it."""

    sizes: list[float] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    open: bool = True
    next_id: int = 1

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.events.append, sizing=self._size, open_for=lambda _spec, _at: self.open)

    def _size(self, order: BookOrder, _quote: object) -> float:
        return self.sizes.pop(0) if self.sizes else order.remaining

    def place(self, kind: Kind, side: Side = BUY, quantity: float = 100, *, order_id: int = 0, **more: Any) -> BookOrder:
        order_id = order_id or self.next_id
        self.next_id = max(self.next_id, order_id + 1)
        spec = OrderSpec(client_id=1, order_id=order_id, symbol="AAPL", side=side, quantity=quantity, kind=kind, **more)
        self.exchange.place(spec, at=0.0)
        return self.exchange.book.orders[1, order_id]

    def quote(self, bid: float, ask: float | None = None, last: float | None = None, at: float = 1.0) -> None:
        self.exchange.on_quote("AAPL", Quote(bid, ask or bid + 0.02, last or bid + 0.01, at))

    def bracket(self, quantity: float = 100, *, entry: Kind = Kind.MARKET, **more: Any) -> tuple[BookOrder, BookOrder, BookOrder]:
        parent = self.place(entry, quantity=quantity, transmit=False, **more)
        exits = {"quantity": quantity, "side": SELL, "parent_id": parent.spec.order_id, "tif": Tif.GTC}
        target = self.place(Kind.LIMIT, limit_price=110.0, transmit=False, **exits)
        stop = self.place(Kind.STOP, stop_price=90.0, **exits)
        return parent, target, stop

    @property
    def fills(self) -> list[tuple[int, float, float]]:
        return [(event.order.spec.order_id, event.quantity, event.price) for event in self.events if isinstance(event, OrderExecuted)]

    @property
    def refusals(self) -> list[tuple[int, int]]:
        return [(event.order_id, event.code) for event in self.events if isinstance(event, OrderRefused)]

    @property
    def notices(self) -> list[tuple[int, int]]:
        return [(event.order_id, event.code) for event in self.events if isinstance(event, OrderNotice)]

    def statuses(self, order: BookOrder) -> list[Status]:
        return [event.status for event in self.events if isinstance(event, OrderUpdated) and event.order is order]


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_a_market_order_lifts_the_ask_at_the_next_quote(floor: Floor) -> None:
    order = floor.place(Kind.MARKET)
    assert floor.fills == []
    floor.quote(100.00)
    assert floor.fills == [(1, 100, 100.02)]
    assert floor.statuses(order) == [Status.PRE_SUBMITTED, Status.FILLED]


def test_a_limit_order_waits_for_its_price_and_gets_a_better_one(floor: Floor) -> None:
    order = floor.place(Kind.LIMIT, limit_price=99.0)
    floor.quote(100.00)
    assert (order.status, floor.fills) == (Status.SUBMITTED, [])
    floor.quote(98.50)
    assert floor.fills == [(1, 100, 98.52)]


def test_a_stop_waits_for_the_last_trade_and_then_hits_the_bid(floor: Floor) -> None:
    order = floor.place(Kind.STOP, SELL, stop_price=95.0)
    floor.quote(94.90, last=95.01)
    assert (order.status, order.why_held) == (Status.PRE_SUBMITTED, "trigger")
    floor.quote(94.80, last=95.00)
    assert floor.fills == [(1, 100, 94.80)]
    assert floor.statuses(order) == [Status.PRE_SUBMITTED, Status.SUBMITTED, Status.FILLED]


def test_a_triggered_stop_limit_rests_at_its_limit(floor: Floor) -> None:
    order = floor.place(Kind.STOP_LIMIT, SELL, stop_price=95.0, limit_price=94.5)
    floor.quote(94.00, last=94.9)
    assert (order.status, floor.fills) == (Status.SUBMITTED, [])
    floor.quote(94.60)
    assert floor.fills == [(1, 100, 94.60)]


@pytest.mark.parametrize(("terms", "stop"), [({"trail_amount": 2.0}, 108.01), ({"trail_percent": 5.0}, 104.51)])
def test_a_trailing_stop_follows_the_price_up_and_never_down(floor: Floor, terms: dict[str, float], stop: float) -> None:
    order = floor.place(Kind.TRAIL, SELL, **terms)
    floor.quote(100.00)
    floor.quote(110.00)
    assert order.stop_price == pytest.approx(stop, abs=0.01)
    floor.quote(109.00)
    assert order.stop_price == pytest.approx(stop, abs=0.01)
    floor.quote(104.00)
    assert floor.fills == [(1, 100, 104.00)]


def test_a_trail_that_moves_is_reported_so_that_it_can_be_stored(floor: Floor) -> None:
    order = floor.place(Kind.TRAIL, SELL, trail_amount=2.0, stop_price=97.0)
    floor.quote(100.00)
    floor.quote(100.00)
    assert floor.statuses(order) == [Status.PRE_SUBMITTED] * 2


def test_changing_the_quantity_of_a_trail_keeps_the_level_it_has_reached(floor: Floor) -> None:
    order = floor.place(Kind.TRAIL, SELL, trail_amount=2.0, stop_price=97.0)
    floor.quote(110.00)
    floor.place(Kind.TRAIL, SELL, 50, order_id=1, trail_amount=2.0, stop_price=97.0)
    assert (order.quantity, order.stop_price) == (50, 108.01)


def test_a_trailing_limit_rests_at_its_offset_from_the_trigger(floor: Floor) -> None:
    order = floor.place(Kind.TRAIL_LIMIT, SELL, trail_amount=2.0, limit_offset=0.5)
    floor.quote(100.00)
    floor.quote(97.00)
    assert (order.limit_price, floor.fills) == (97.51, [])
    floor.quote(97.60)
    assert floor.fills == [(1, 100, 97.60)]


def test_orders_for_the_close_trade_at_the_auction_only(floor: Floor) -> None:
    floor.place(Kind.MARKET_ON_CLOSE)
    floor.place(Kind.LIMIT_ON_CLOSE, limit_price=101.0)
    far = floor.place(Kind.LIMIT_ON_CLOSE, limit_price=99.0)
    floor.quote(98.00)
    assert floor.fills == []
    floor.exchange.on_close("AAPL", 100.0, 2.0)
    assert floor.fills == [(1, 100, 100.0), (2, 100, 100.0)]
    assert far.status is Status.CANCELLED


def test_an_order_fills_in_the_sizes_the_market_has(floor: Floor) -> None:
    floor.sizes = [30, 30, 40]
    order = floor.place(Kind.MARKET)
    for price in (100.0, 101.0, 102.0):
        floor.quote(price)
    assert [quantity for _, quantity, _ in floor.fills] == [30, 30, 40]
    assert order.average_price == pytest.approx((30 * 100.02 + 30 * 101.02 + 40 * 102.02) / 100)
    assert floor.statuses(order)[1:] == [Status.SUBMITTED, Status.SUBMITTED, Status.FILLED]


def test_an_immediate_order_cancels_what_it_can_not_get(floor: Floor) -> None:
    floor.sizes = [30]
    order = floor.place(Kind.MARKET, tif=Tif.IOC)
    floor.quote(100.0)
    assert (order.filled, order.status) == (30, Status.CANCELLED)


def test_an_all_or_nothing_order_gets_nothing_when_not_all_is_there(floor: Floor) -> None:
    floor.sizes = [99]
    order = floor.place(Kind.MARKET, tif=Tif.FOK)
    floor.quote(100.0)
    assert (order.filled, order.status) == (0, Status.CANCELLED)


def test_day_orders_end_with_the_day_and_gtc_orders_do_not(floor: Floor) -> None:
    day, gtc = floor.place(Kind.LIMIT, limit_price=1.0), floor.place(Kind.LIMIT, limit_price=1.0, tif=Tif.GTC)
    floor.exchange.expire(5.0, day_over=True)
    assert (day.status, gtc.status) == (Status.CANCELLED, Status.SUBMITTED)
    assert day.completed_status == "Expired"


def test_a_good_till_date_order_ends_at_its_time(floor: Floor) -> None:
    order = floor.place(Kind.LIMIT, limit_price=1.0, tif=Tif.GTD, good_till=10.0)
    floor.exchange.expire(9.9)
    assert order.live
    floor.exchange.expire(10.0)
    assert order.status is Status.CANCELLED


def test_outside_its_session_an_order_is_held_with_a_warning(floor: Floor) -> None:
    floor.open = False
    order = floor.place(Kind.LIMIT, limit_price=200.0)
    floor.quote(100.0)
    assert (order.status, floor.notices, floor.fills) == (Status.PRE_SUBMITTED, [(1, 399)], [])
    floor.open = True
    floor.quote(100.0)
    assert order.status is Status.FILLED


def test_an_order_good_after_a_time_does_not_trade_before(floor: Floor) -> None:
    order = floor.place(Kind.MARKET, good_after=5.0)
    floor.quote(100.0, at=4.0)
    assert order.status is Status.PRE_SUBMITTED
    floor.quote(100.0, at=5.0)
    assert order.status is Status.FILLED


# Brackets


def test_a_bracket_is_nowhere_before_its_last_member_is_transmitted(floor: Floor) -> None:
    floor.place(Kind.MARKET, transmit=False)
    floor.quote(100.0)
    assert floor.events == []


def test_a_bracket_waits_for_its_parent_then_arms_both_exits(floor: Floor) -> None:
    parent, target, stop = floor.bracket()
    assert [order.why_held for order in (parent, target, stop)] == ["", "child", "child"]
    floor.quote(100.0)
    assert (parent.status, target.status, stop.status) == (Status.FILLED, Status.SUBMITTED, Status.PRE_SUBMITTED)
    assert stop.why_held == "trigger"


def test_one_exit_of_a_bracket_cancels_the_other(floor: Floor) -> None:
    _, target, stop = floor.bracket()
    floor.quote(100.0)
    floor.quote(89.0)
    assert (stop.status, target.status) == (Status.FILLED, Status.CANCELLED)
    assert (target.spec.order_id, 202) in floor.notices
    floor.quote(111.0)
    assert [order_id for order_id, _, _ in floor.fills] == [1, 3]


def test_cancelling_an_unfilled_parent_cancels_its_children(floor: Floor) -> None:
    _, target, stop = floor.bracket(entry=Kind.LIMIT, limit_price=95.0)
    floor.exchange.cancel(1, 1, at=2.0)
    assert (target.status, stop.status) == (Status.CANCELLED, Status.CANCELLED)


def test_the_exits_of_a_partly_filled_parent_protect_what_has_filled(floor: Floor) -> None:
    floor.sizes = [40]
    parent, target, stop = floor.bracket(entry=Kind.LIMIT, limit_price=101.0)
    floor.quote(100.0)
    assert (parent.filled, stop.why_held) == (40, "trigger")
    floor.exchange.cancel(1, parent.spec.order_id, at=2.0)
    assert (target.quantity, stop.quantity) == (40, 40)
    floor.quote(89.0)
    assert floor.fills[-1] == (stop.spec.order_id, 40, 89.0)


def test_a_stop_that_hits_while_the_parent_still_works_sells_only_what_was_bought(floor: Floor) -> None:
    floor.sizes = [40]
    parent, _, stop = floor.bracket(entry=Kind.LIMIT, limit_price=101.0)
    floor.quote(100.0)
    floor.sizes = [0]
    floor.quote(89.0)
    assert (parent.filled, stop.filled) == (40, 40)


def test_stop_and_target_together_never_exceed_what_a_half_filled_entry_has_bought(floor: Floor) -> None:
    floor.sizes = [50]
    parent, target, stop = floor.bracket(entry=Kind.LIMIT, limit_price=101.0)
    floor.quote(100.0)
    floor.sizes = [0, 100, 100]
    floor.quote(89.0)
    floor.sizes = [100, 100, 100]
    floor.quote(111.0, last=111.0)
    assert parent.filled == 50
    assert stop.filled + target.filled == 50


def test_cancelling_a_half_filled_entry_after_its_stop_leaves_nothing_to_sell(floor: Floor) -> None:
    floor.sizes = [50]
    parent, target, stop = floor.bracket(entry=Kind.LIMIT, limit_price=101.0)
    floor.quote(100.0)
    floor.sizes = [0, 100, 100]
    floor.quote(89.0)
    assert stop.filled == 50
    floor.exchange.cancel(1, parent.spec.order_id, at=2.0)
    assert not target.live
    assert not stop.live


def test_making_a_half_filled_entry_as_small_as_its_fill_leaves_nothing_to_sell_after_its_target(floor: Floor) -> None:
    floor.sizes = [50]
    parent, target, stop = floor.bracket(entry=Kind.LIMIT, limit_price=101.0)
    floor.quote(100.0)
    floor.sizes = [100, 100]
    floor.quote(111.0, last=111.0)
    assert target.filled == 50
    floor.place(Kind.LIMIT, order_id=parent.spec.order_id, quantity=50, limit_price=101.0)
    assert (parent.status, target.status, stop.status) == (Status.FILLED, Status.FILLED, Status.CANCELLED)


def test_a_child_of_an_unknown_or_done_parent_is_refused(floor: Floor) -> None:
    floor.place(Kind.MARKET)
    floor.quote(100.0)
    for parent_id in (1, 999):
        spec = OrderSpec(
            client_id=1, order_id=50, symbol="AAPL", side=SELL, quantity=1, kind=Kind.STOP, stop_price=90.0, parent_id=parent_id
        )
        floor.exchange.place(spec, at=2.0)
    assert floor.refusals == [(50, 135), (50, 135)]


def test_after_the_parent_has_filled_a_child_is_changed_only_with_the_parent_cleared(floor: Floor) -> None:
    _, _, stop = floor.bracket()
    floor.quote(100.0)
    floor.place(Kind.STOP, SELL, order_id=3, stop_price=95.0, parent_id=1, tif=Tif.GTC)
    assert (floor.refusals, stop.stop_price) == ([(3, 135)], 90.0)
    floor.place(Kind.STOP, SELL, order_id=3, stop_price=95.0, tif=Tif.GTC)
    assert stop.stop_price == 95.0
    floor.quote(94.0)
    assert floor.fills[-1] == (3, 100, 94.0)


def test_a_child_changed_with_its_parent_cleared_still_cancels_its_sibling(floor: Floor) -> None:
    _, target, _ = floor.bracket()
    floor.quote(100.0)
    floor.place(Kind.STOP, SELL, order_id=3, stop_price=95.0, tif=Tif.GTC)
    floor.quote(94.0)
    assert target.status is Status.CANCELLED


def test_the_exits_follow_a_change_of_the_entry_quantity(floor: Floor) -> None:
    _, target, stop = floor.bracket(entry=Kind.LIMIT, limit_price=95.0)
    floor.place(Kind.LIMIT, order_id=1, quantity=60, limit_price=95.0)
    assert (target.quantity, stop.quantity) == (60, 60)


def test_a_stop_that_is_beyond_the_market_when_its_entry_fills_triggers_at_once(floor: Floor) -> None:
    parent = floor.place(Kind.LIMIT, limit_price=90.0, transmit=False)
    floor.place(Kind.STOP, SELL, stop_price=95.0, parent_id=parent.spec.order_id)
    floor.exchange.on_bar("AAPL", Bar(91, 92, 88, 89))
    assert floor.fills == [(1, 100, 90.0), (2, 100, 89)]


# Groups


def test_a_type_1_group_is_cancelled_by_the_first_partial_fill(floor: Floor) -> None:
    floor.sizes = [10]
    floor.place(Kind.LIMIT, SELL, limit_price=99.0, oca_group="g", oca_type=1)
    other = floor.place(Kind.STOP, SELL, stop_price=90.0, oca_group="g", oca_type=1)
    floor.quote(100.0)
    assert other.status is Status.CANCELLED


@pytest.mark.parametrize("group_type", [2, 3])
def test_a_reducing_group_shrinks_by_what_was_filled(floor: Floor, group_type: int) -> None:
    floor.sizes = [30]
    floor.place(Kind.LIMIT, SELL, limit_price=99.0, oca_group="g", oca_type=group_type)
    other = floor.place(Kind.STOP, SELL, stop_price=90.0, oca_group="g", oca_type=group_type)
    floor.quote(100.0)
    assert (other.quantity, other.live) == (70, True)
    floor.quote(100.0)
    assert other.status is Status.CANCELLED


def test_the_group_of_an_order_can_not_be_changed(floor: Floor) -> None:
    floor.place(Kind.LIMIT, limit_price=99.0, oca_group="g")
    floor.place(Kind.LIMIT, order_id=1, limit_price=99.0, oca_group="h")
    assert floor.refusals == [(1, 10326)]


# Changing and cancelling


def test_a_change_keeps_the_identity_and_the_fills(floor: Floor) -> None:
    floor.sizes = [30]
    order = floor.place(Kind.LIMIT, limit_price=101.0)
    floor.quote(100.0)
    perm_id = order.perm_id
    floor.place(Kind.LIMIT, order_id=1, quantity=60, limit_price=99.0)
    assert (order.perm_id, order.filled, order.remaining, order.limit_price) == (perm_id, 30, 30, 99.0)


def test_sending_a_live_order_again_unchanged_changes_nothing(floor: Floor) -> None:
    order = floor.place(Kind.LIMIT, limit_price=99.0)
    floor.place(Kind.LIMIT, order_id=1, limit_price=99.0)
    assert len(floor.exchange.book.orders) == 1
    assert order.status is Status.SUBMITTED


def test_a_change_down_to_the_filled_quantity_completes_the_order(floor: Floor) -> None:
    floor.sizes = [30]
    order = floor.place(Kind.LIMIT, limit_price=101.0)
    floor.quote(100.0)
    floor.place(Kind.LIMIT, order_id=1, quantity=30, limit_price=101.0)
    assert order.status is Status.FILLED


@pytest.mark.parametrize(
    ("change", "code"),
    [({"side": SELL}, 105), ({"kind": Kind.MARKET}, 329), ({"quantity": 10}, 201)],
)
def test_what_can_not_be_changed_is_refused_and_the_order_lives_on(floor: Floor, change: dict[str, Any], code: int) -> None:
    floor.sizes = [30]
    order = floor.place(Kind.LIMIT, limit_price=101.0)
    floor.quote(100.0)
    floor.place(**{"kind": Kind.LIMIT, "order_id": 1, "limit_price": 101.0, **change})
    assert (floor.refusals, order.live, order.filled) == ([(1, code)], True, 30)


def test_a_used_or_lower_order_id_is_a_duplicate(floor: Floor) -> None:
    floor.place(Kind.MARKET, order_id=5)
    floor.quote(100.0)
    for order_id in (5, 4):
        floor.exchange.place(OrderSpec(client_id=1, order_id=order_id, symbol="AAPL", side=BUY, quantity=1, kind=Kind.MARKET), at=2.0)
    assert floor.refusals == [(5, 103), (4, 103)]


def test_clients_have_their_own_order_ids(floor: Floor) -> None:
    floor.place(Kind.MARKET, order_id=5)
    floor.exchange.place(OrderSpec(client_id=2, order_id=1, symbol="AAPL", side=BUY, quantity=1, kind=Kind.MARKET), at=0.0)
    assert floor.refusals == []


def test_a_cancel_is_confirmed_by_202(floor: Floor) -> None:
    order = floor.place(Kind.LIMIT, limit_price=1.0)
    floor.exchange.cancel(1, 1, at=1.0)
    assert floor.statuses(order)[-2:] == [Status.PENDING_CANCEL, Status.CANCELLED]
    assert floor.notices == [(1, 202)]


def test_cancelling_what_is_unknown_or_done_is_refused(floor: Floor) -> None:
    floor.place(Kind.MARKET)
    floor.quote(100.0)
    floor.exchange.cancel(1, 1, at=2.0)
    floor.exchange.cancel(1, 77, at=2.0)
    floor.exchange.cancel(2, 1, at=2.0)
    assert floor.refusals == [(1, 10148), (77, 10147), (1, 10147)]


def test_a_global_cancel_leaves_no_order(floor: Floor) -> None:
    floor.bracket(entry=Kind.LIMIT, limit_price=1.0)
    floor.place(Kind.LIMIT, limit_price=1.0)
    floor.exchange.cancel_all(at=1.0)
    assert floor.exchange.live_orders() == []
    assert len(floor.notices) == 4


# Bars


def test_a_bar_fills_a_market_order_at_its_open(floor: Floor) -> None:
    floor.place(Kind.MARKET)
    floor.exchange.on_bar("AAPL", Bar(100, 105, 95, 102))
    assert floor.fills == [(1, 100, 100)]


def test_a_bar_that_touches_both_exits_hits_the_stop(floor: Floor) -> None:
    floor.bracket()
    floor.exchange.on_bar("AAPL", Bar(100, 101, 99, 100))
    floor.exchange.on_bar("AAPL", Bar(100, 112, 88, 100))
    assert floor.fills[1:] == [(3, 100, 90.0)]


def test_a_gap_over_the_stop_fills_at_the_open(floor: Floor) -> None:
    floor.place(Kind.STOP, SELL, stop_price=90.0)
    floor.exchange.on_bar("AAPL", Bar(85, 86, 84, 85))
    assert floor.fills == [(1, 100, 85)]


def test_a_gap_beyond_the_limit_fills_at_the_open(floor: Floor) -> None:
    floor.place(Kind.LIMIT, limit_price=90.0)
    floor.exchange.on_bar("AAPL", Bar(85, 86, 84, 85))
    assert floor.fills == [(1, 100, 85)]


def test_a_stop_may_hit_in_the_bar_of_the_entry_but_a_target_never_does(floor: Floor) -> None:
    floor.bracket()
    floor.exchange.on_bar("AAPL", Bar(100, 120, 89, 118))
    assert floor.fills == [(1, 100, 100), (3, 100, 90.0)]


def test_the_last_bar_of_a_session_holds_the_auction(floor: Floor) -> None:
    floor.place(Kind.MARKET_ON_CLOSE)
    floor.exchange.on_bar("AAPL", Bar(100, 101, 99, 100.5), closing=True)
    assert floor.fills == [(1, 100, 100.5)]
