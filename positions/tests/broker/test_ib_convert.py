"""IB's words and ours: nothing that means "not set" becomes a number, nothing impossible gets through."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.order import OrderSide, OrderType, TimeInForce
from positions.broker import ib_convert
from positions.broker.ib_convert import BadFrame
from positions.broker.ib_library import IbContract, IbOrder
from positions.domain.ports import Contract, OrderTicket

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
AAPL = Contract(symbol="AAPL", con_id=265598)


class Report:
    """Any IB message: attributes as given."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


def ticket(**changes):
    fields = {
        "order_ref": "TD01-E",
        "ib_order_id": 7,
        "contract": AAPL,
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": 100,
        "limit_price": 150.25,
        "account": "DUSIM001",
    }
    return OrderTicket(**(fields | changes))


@pytest.mark.parametrize(
    "unset", [None, "", "nan", math.nan, math.inf, -math.inf, 1.7976931348623157e308, "1.7976931348623157E308", "junk", "5.5e16"]
)
def test_every_way_of_saying_nothing_becomes_none(unset):
    assert ib_convert.number(unset) is None
    assert ib_convert.price(unset) is None


@pytest.mark.parametrize("missing", [-1, -1.0, 0, 0.0, 1e9])
def test_a_price_that_no_stock_has_becomes_none(missing):
    assert ib_convert.price(missing) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1, 1e7, "x", None])
def test_a_quantity_that_no_order_has_is_refused(bad):
    with pytest.raises(BadFrame):
        ib_convert.quantity(bad)


@pytest.mark.parametrize("bad", ["", "<script>", "AAPL; DROP", "a", "A" * 22, "AA\x00PL", "É"])
def test_a_symbol_with_markup_or_control_characters_is_refused(bad):
    with pytest.raises(BadFrame):
        ib_convert.symbol_from_ib(bad)


def test_a_share_class_is_written_with_a_space_to_ib_and_a_dot_to_us():
    assert ib_convert.symbol_to_ib("BRK.B") == "BRK B"
    assert ib_convert.symbol_from_ib("BRK B") == "BRK.B"


def test_a_limit_ticket_says_everything_explicitly():
    order = ib_convert.ticket_to_ib(ticket(parent_ib_order_id=6, oca_group="G", oca_type=2, transmit=False, time_in_force=TimeInForce.GTC))
    assert (order.action, order.totalQuantity, order.orderType, order.lmtPrice) == ("BUY", 100, "LMT", 150.25)
    assert (order.tif, order.orderRef, order.account) == ("GTC", "TD01-E", "DUSIM001")
    assert (order.parentId, order.ocaGroup, order.ocaType, order.transmit) == (6, "G", 2, False)


def test_a_stop_price_goes_into_the_auxiliary_price():
    order = ib_convert.ticket_to_ib(ticket(order_type=OrderType.STOP, limit_price=None, stop_price=140.5, side=OrderSide.SELL))
    assert (order.action, order.orderType, order.auxPrice) == ("SELL", "STP", 140.5)


def test_a_trailing_stop_carries_the_amount_or_the_percentage_and_where_it_starts():
    by_percent = ib_convert.ticket_to_ib(ticket(order_type=OrderType.TRAIL, limit_price=None, trail_percent=3.0, stop_price=140.0))
    assert (by_percent.trailingPercent, by_percent.trailStopPrice) == (3.0, 140.0)
    assert by_percent.auxPrice == IbOrder().auxPrice
    by_amount = ib_convert.ticket_to_ib(ticket(order_type=OrderType.TRAIL, limit_price=None, trail_amount=2.5))
    assert (by_amount.auxPrice, by_amount.trailingPercent) == (2.5, IbOrder().trailingPercent)


def test_a_good_till_date_is_sent_in_utc_whatever_zone_it_came_in():
    eastern = datetime(2026, 11, 20, 10, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert ib_convert.ticket_to_ib(ticket(time_in_force=TimeInForce.GTD, good_till=eastern)).goodTillDate == "20261120-15:30:00"


@pytest.mark.parametrize(
    "bad",
    [
        {"order_ref": ""},
        {"order_ref": "x" * 41},
        {"order_ref": "é"},
        {"ib_order_id": 0},
        {"quantity": 0},
        {"quantity": math.nan},
        {"limit_price": -1},
        {"limit_price": math.inf},
        {"stop_price": math.nan},
        {"trail_percent": 0},
    ],
)
def test_a_ticket_that_is_not_plain_finite_numbers_never_leaves(bad):
    with pytest.raises(ValueError):
        ib_convert.ticket_to_ib(ticket(**bad))


def test_a_completed_order_without_a_total_is_known_by_what_it_filled():
    order = IbOrder(orderRef="TD01-E", permId=99, action="BUY", orderType="LMT", totalQuantity=0, filledQuantity=100, lmtPrice=0.0)
    state = Report(status="Filled", completedStatus="Filled Size: 100")
    report = ib_convert.completed_order(IbContract(symbol="AAPL"), order, state, received_at=NOW)
    assert (report.filled, report.quantity, report.limit_price, report.completed_status) == (100, None, None, "Filled Size: 100")


def execution(**changes):
    fields = {
        "execId": "0001.01.01",
        "orderRef": "TD01-E",
        "orderId": 7,
        "clientId": 17,
        "permId": 99,
        "acctNumber": "DUSIM001",
        "side": "BOT",
        "shares": 100.0,
        "price": 150.0,
        "cumQty": 100.0,
        "avgPrice": 150.0,
        "time": NOW,
        "liquidation": 0,
    }
    return Report(**(fields | changes))


@pytest.mark.parametrize("bad", [{"price": math.nan}, {"price": -1}, {"shares": math.nan}, {"shares": -5}, {"side": "???"}, {"execId": ""}])
def test_an_execution_that_cannot_be_true_is_refused(bad):
    with pytest.raises(BadFrame):
        ib_convert.execution(IbContract(symbol="AAPL"), execution(**bad), received_at=NOW, from_query=False)


def test_an_execution_from_the_future_happened_when_we_heard_it():
    late = execution(time=NOW + timedelta(hours=5))
    report = ib_convert.execution(IbContract(symbol="AAPL"), late, received_at=NOW, from_query=False)
    assert report.time == NOW


def test_a_sold_execution_is_a_sell():
    report = ib_convert.execution(IbContract(symbol="AAPL"), execution(side="SLD"), received_at=NOW, from_query=True)
    assert (report.side, report.from_query) == (OrderSide.SELL, True)


def test_only_completed_sane_minutes_become_bars():
    def row(at, **changes):
        return Report(**({"date": at, "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 100.0} | changes))

    old = NOW - timedelta(minutes=5)
    rows = [
        row(old),
        row(NOW - timedelta(seconds=30)),  # still being built
        row(old, high=math.nan),
        row(old, high=9.5),  # below its own close
        row(old, close=-1),
        row(old.replace(tzinfo=None)),  # no zone: nobody knows when that was
    ]
    assert [bar.at for bar in ib_convert.bars("AAPL", rows, before=NOW)] == [old]


def test_a_tick_of_missing_prices_has_none_of_them():
    ticker = Report(last=math.nan, bid=-1, ask=0, volume=-1, halted=math.nan, marketDataType=1)
    tick = ib_convert.tick("AAPL", ticker, received_at=NOW)
    assert (tick.last, tick.bid, tick.ask, tick.volume, tick.halted) == (None, None, None, None, False)


def test_the_market_rule_of_smart_is_found_by_position():
    assert ib_convert.market_rule_id(Report(validExchanges="NYSE,SMART,ARCA", marketRuleIds="1,26,3")) == 26
    assert ib_convert.market_rule_id(Report(validExchanges="", marketRuleIds="")) is None


@given(st.one_of(st.floats(), st.text(max_size=20), st.integers(), st.none(), st.booleans()))
def test_whatever_comes_a_price_is_a_sane_number_or_none(value):
    result = ib_convert.price(value)
    assert result is None or (math.isfinite(result) and 0 < result < ib_convert.MAX_PRICE)
