"""Orders as the unmodified libraries write and read them: placeOrder in, openOrder back, nothing lost."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import ib_insync
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_insync.decoder import Decoder
from ibapi.client import EClient
from ibapi.contract import Contract as OfficialContract
from ibapi.order import Order as OfficialOrder
from ibapi.order_condition import Create, OrderCondition
from ibapi.tag_value import TagValue as OfficialTagValue

from positions.gateway import wire
from positions.gateway.order_codec import PlacedOrder, open_order_fields, parse_place_order, wire_number
from positions.gateway.wire import WireError

CONTRACT_OUT: list[object] = [265598, "AAPL", "STK", "", 0, "?", "", "SMART", "USD", "AAPL", "NMS"]
PRICES = st.decimals(min_value=1, max_value=9999, places=2).map(float)


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """ib_insync's throttle asks for the current event loop."""
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    yield
    asyncio.set_event_loop(None)
    made.close()


class Wire:
    """Catches what a library would send."""

    def __init__(self) -> None:
        self.sent = b""

    def sendMsg(self, data: bytes) -> None:
        self.sent = data

    def isConnected(self) -> bool:
        return True


def written_by_ib_insync(order: ib_insync.Order, version: int, contract: ib_insync.Contract | None = None) -> list[str]:
    client = ib_insync.Client(wrapper=None)
    client.conn = Wire()
    client._serverVersion = version
    client.connState = ib_insync.Client.CONNECTED
    client.placeOrder(order.orderId, contract or ib_insync.Stock("AAPL", "SMART", "USD"), order)
    return wire.decode_payload(client.conn.sent[4:])


def written_by_ibapi(order: OfficialOrder, order_id: int) -> list[str]:
    client = EClient(wrapper=None)
    client.conn = Wire()
    client.serverVersion_ = 157
    client.connState = EClient.CONNECTED
    contract = OfficialContract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "AAPL", "STK", "SMART", "USD"
    client.placeOrder(order_id, contract, order)
    (length,) = struct.unpack(">I", client.conn.sent[:4])
    assert length == len(client.conn.sent) - 4
    return wire.decode_payload(client.conn.sent[4:])


def read_by_ib_insync(placed: PlacedOrder, version: int) -> ib_insync.Order:
    heard: list[ib_insync.Order] = []

    class Listener:
        def openOrder(self, order_id: int, contract: Any, order: ib_insync.Order, state: Any) -> None:
            heard.append(order)

    fields = open_order_fields(version, placed.order_id, CONTRACT_OUT, placed.fields)
    Decoder(Listener(), version).handlers[5](wire.decode_payload(wire.encode_frame(fields)[4:]))
    return heard[0]


@pytest.mark.parametrize(("version", "count"), [(157, 110), (176, 115)])
def test_ib_insync_writes_the_golden_number_of_fields(version: int, count: int) -> None:
    fields = written_by_ib_insync(ib_insync.LimitOrder("BUY", 100, 10.5, orderId=3), version)
    assert len(fields) == count
    placed = parse_place_order(fields, version)
    assert placed.number("lmtPrice") == 10.5
    assert placed.contract["symbol"] == "AAPL"


def test_ibapi_writes_the_golden_number_of_fields_and_its_unset_doubles_mean_unset() -> None:
    order = OfficialOrder()
    order.action, order.totalQuantity, order.orderType, order.lmtPrice = "SELL", 5, "LMT", 99.25
    fields = written_by_ibapi(order, 12)
    assert len(fields) == 110
    placed = parse_place_order(fields, 157)
    assert placed.order_id == 12
    assert placed.number("lmtPrice") == 99.25
    assert [placed.number(name) for name in ("auxPrice", "trailStopPrice", "trailingPercent", "lmtPriceOffset", "cashQty")] == [None] * 5


def test_ibapi_orders_with_every_variable_group_parse_to_the_end() -> None:
    order = OfficialOrder()
    order.action, order.totalQuantity, order.orderType = "BUY", 5, "PEG BENCH"
    order.hedgeType, order.hedgeParam, order.algoStrategy = "P", "1", "Adaptive"
    order.algoParams = [OfficialTagValue("adaptivePriority", "Urgent")]
    order.scalePriceIncrement, order.deltaNeutralOrderType = 0.5, "LMT"
    order.conditions = [Create(kind) for kind in (OrderCondition.Price, OrderCondition.Time, OrderCondition.Volume)]
    for condition in order.conditions:
        vars(condition).update({name: 1 for name, value in vars(condition).items() if value is None})
    placed = parse_place_order(written_by_ibapi(order, 1), 157)
    assert placed.fields["@algo"] == "adaptivePriority\0Urgent"
    assert placed.fields["@conditions"].split("\0")[0] == "3"
    assert placed.fields["usePriceMgmtAlgo"] == ""


@given(
    version=st.sampled_from([157, 176]),
    kind=st.sampled_from(["MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MOC", "LOC"]),
    limit=PRICES,
    aux=PRICES,
    percent=st.none() | st.decimals(min_value=1, max_value=20, places=1).map(float),
    reference=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=32),
    parent=st.integers(0, 10**9),
    group=st.sampled_from(["", "desk-42"]),
    group_type=st.integers(0, 3),
    tif=st.sampled_from(["DAY", "GTC", "GTD"]),
    outside=st.booleans(),
    algo=st.booleans(),
)
def test_what_a_client_orders_is_what_it_reads_back(
    version: int,
    kind: str,
    limit: float,
    aux: float,
    percent: float | None,
    reference: str,
    parent: int,
    group: str,
    group_type: int,
    tif: str,
    outside: bool,
    algo: bool,
) -> None:
    order = ib_insync.Order(
        orderId=77,
        action="SELL",
        totalQuantity=30,
        orderType=kind,
        lmtPrice=limit,
        auxPrice=aux,
        orderRef=reference,
        parentId=parent,
        ocaGroup=group,
        ocaType=group_type,
        tif=tif,
        goodTillDate="20270101 12:00:00" if tif == "GTD" else "",
        outsideRth=outside,
        trailStopPrice=limit,
    )
    if percent is not None:
        order.trailingPercent = percent
    if algo:
        order.algoStrategy = "Adaptive"
        order.algoParams = [ib_insync.TagValue("adaptivePriority", "Normal")]
    back = read_by_ib_insync(parse_place_order(written_by_ib_insync(order, version), version), version)
    names = ["orderId", "action", "totalQuantity", "orderType", "lmtPrice", "auxPrice", "orderRef", "parentId", "ocaGroup", "ocaType"]
    names += ["tif", "goodTillDate", "outsideRth", "trailStopPrice", "trailingPercent", "algoStrategy", "algoParams"]
    assert {name: getattr(back, name) for name in names} == {name: getattr(order, name) for name in names}


def test_conditions_survive_the_way_there_and_back() -> None:
    order = ib_insync.LimitOrder("BUY", 1, 5.0, orderId=4)
    order.conditions = [ib_insync.PriceCondition(conId=265598, exch="SMART", price=7.5), ib_insync.TimeCondition(time="20270101 10:00:00")]
    order.conditionsCancelOrder = True
    back = read_by_ib_insync(parse_place_order(written_by_ib_insync(order, 176), 176), 176)
    assert [type(condition) for condition in back.conditions] == [ib_insync.PriceCondition, ib_insync.TimeCondition]
    assert back.conditions[0].price == 7.5
    assert back.conditionsCancelOrder


def test_a_combination_order_parses_to_the_end() -> None:
    leg = ib_insync.ComboLeg(conId=1, ratio=1, action="BUY", exchange="SMART")
    bag = ib_insync.Contract(secType="BAG", symbol="X", exchange="SMART", currency="USD", comboLegs=[leg, leg])
    assert parse_place_order(written_by_ib_insync(ib_insync.MarketOrder("BUY", 1, orderId=1), 176, bag), 176).order_id == 1


@pytest.mark.parametrize("version", [157, 176])
def test_one_field_more_or_less_is_refused(version: int) -> None:
    fields = written_by_ib_insync(ib_insync.MarketOrder("BUY", 1, orderId=1), version)
    for wrong in ([*fields, ""], fields[:-1]):
        with pytest.raises(WireError):
            parse_place_order(wrong, version)


@pytest.mark.parametrize("text", ["nan", "-inf", "1,5", "<b>"])
def test_a_price_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        wire_number(text, "lmtPrice")


@pytest.mark.parametrize("text", ["", "1.7976931348623157E308", "1.7976931348623157e+308", "inf", "2147483647"])
def test_every_spelling_of_unset_means_unset(text: str) -> None:
    assert wire_number(text, "lmtPrice") is None
