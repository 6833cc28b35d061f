"""Events become rows in the journal's transaction, only forwards, the same dict in event, row and frame."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.order import FillEvent, OrderRole, OrderSide, OrderState, OrderStatusEvent, OrderType
from events.position import PositionUpdateEvent
from events.system import EquityEvent
from positions import store
from positions.domain.order import Order
from positions.domain.ports import Bar
from positions.domain.stock import StockPosition
from positions.models import EquityPoint, FillRecord, MinuteBar, OrderRecord, PositionRecord, shown

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def order(version=3, **changes):
    made = Order(
        order_id="o1", order_ref="TD01-E", symbol="AAPL", side=OrderSide.BUY, order_type=OrderType.LIMIT, quantity=100,
        role=OrderRole.ENTRY, limit_price=150.25, signal_id="s1", position_id="p1", account="DUSIM001", now=lambda: NOW,
    )  # fmt: skip
    for name, value in changes.items():
        setattr(made, name, value)
    made.version = version
    return made


def state_of(made):
    return OrderStatusEvent(order_id=made.order_id, symbol=made.symbol, version=made.version, order_data=made.to_dict())


def position(version=5):
    made = StockPosition("AAPL", "p1", signal_id="s1", account="DUSIM001", now=lambda: NOW)
    asyncio.run(made.open(100, 150.0, "o1"))
    made.set_levels(stop_loss=145.0, take_profit=160.0)
    made.version = version
    return made


def change_of(made):
    return PositionUpdateEvent(position_id=made.position_id, symbol="AAPL", version=made.version, position_data=made.to_dict())


def fill(exec_id="0001.01.01", **changes):
    fields = {
        "order_id": "o1", "position_id": "p1", "symbol": "AAPL", "fill_id": exec_id, "fill_price": 150.0, "fill_quantity": 100,
        "fill_time": NOW, "side": OrderSide.BUY, "account": "DUSIM001",
    }  # fmt: skip
    return FillEvent(**(fields | changes))


def project(*events, epoch=1):
    store.project([(event, number) for number, event in enumerate(events, 1)], epoch)


def test_the_row_the_event_and_the_frame_are_the_same_dict():
    made, held = order(), position()
    project(state_of(made), change_of(held))
    assert OrderRecord.objects.get().as_row() == shown(made.to_dict())
    assert PositionRecord.objects.get().as_row() == shown(held.to_dict())
    record = PositionRecord.objects.get()
    assert (record.entry_price, record.stop_loss, record.status) == (Decimal("150"), Decimal("145"), "open")


def test_an_older_state_never_overwrites_a_newer_one():
    project(state_of(order(version=7, state=OrderState.FILLED)))
    project(state_of(order(version=6, state=OrderState.WORKING)))
    project(state_of(order(version=7, state=OrderState.WORKING)))
    assert (OrderRecord.objects.get().version, OrderRecord.objects.get().state) == (7, "filled")


def test_within_one_batch_the_newest_state_is_the_one_written():
    project(state_of(order(version=1, state=OrderState.SENDING)), state_of(order(version=2, state=OrderState.WORKING)))
    assert OrderRecord.objects.get().state == "working"


def test_a_worker_of_an_older_epoch_changes_nothing():
    project(state_of(order(version=1, state=OrderState.WORKING)), epoch=5)
    project(state_of(order(version=9, state=OrderState.CANCELED)), epoch=4)
    assert OrderRecord.objects.get().state == "working"


def test_a_fill_told_twice_is_stored_once_and_its_commission_joins_later():
    project(fill())
    project(fill(commission=1.25))
    project(fill())
    record = FillRecord.objects.get()
    assert record.commission == Decimal("1.25")
    assert (record.exec_base, record.revision) == ("0001.01", 1)


@pytest.mark.parametrize("first", [1, 2])
def test_a_correction_supersedes_whatever_order_they_come_in(first):
    corrected = fill("0001.01.02", fill_price=149.0, revision=2, corrects="0001.01.01")
    for event in (fill(), corrected) if first == 1 else (corrected, fill()):
        project(event)
    current = FillRecord.objects.filter(superseded=False)
    assert [record.exec_id for record in current] == ["0001.01.02"]


def test_a_busted_fill_no_longer_counts():
    project(fill())
    project(fill("0001.01.02", revision=2, corrects="0001.01.01", metadata={"busted": True}))
    assert not FillRecord.objects.filter(superseded=False).exists()


def test_an_equity_event_is_a_point():
    event = EquityEvent(account="DUSIM001", timestamp=NOW, equity=250_000.125, cash=1.0, unrealized_pnl=-2.5, open_risk=3.0)
    project(event)
    project(event)
    point = EquityPoint.objects.get()
    assert (point.equity, point.unrealized_pnl, point.as_row()["at"]) == (Decimal("250000.125"), Decimal("-2.5"), NOW.isoformat())


def test_what_is_stored_restores_to_the_same_objects():
    made, held = order(state=OrderState.WORKING), position()
    project(state_of(made), change_of(held))
    assert [Order.from_dict(row).to_dict() for row in store.load_orders("DUSIM001")] == [made.to_dict()]
    assert [StockPosition.from_dict(row).to_dict() for row in store.load_positions("DUSIM001")] == [held.to_dict()]


def test_long_finished_orders_are_not_restored():
    project(state_of(order(state=OrderState.CANCELED, updated_at=NOW - timedelta(days=30))))
    assert store.load_orders("DUSIM001") == []


def test_the_next_order_id_is_above_every_one_ever_used_with_this_client_id():
    project(state_of(order(ib_order_id=41, client_id=17)))
    assert store.highest_ib_order_id(17) == 41
    assert store.highest_ib_order_id(18) == 0


def test_a_minute_is_stored_once_and_the_later_word_wins():
    bar = Bar(symbol="AAPL", at=NOW, open=1.0, high=2.0, low=1.0, close=2.0, volume=10)
    store.save_bars([bar])
    store.save_bars([Bar(symbol="AAPL", at=NOW, open=1.0, high=3.0, low=1.0, close=2.0, volume=20)])
    assert list(MinuteBar.objects.values_list("high", "volume")) == [(3.0, 20)]


def test_a_days_bars_are_one_commit_and_not_one_for_each_minute():
    bars = [Bar(symbol="AAPL", at=NOW + timedelta(minutes=n), open=1.0, high=2.0, low=1.0, close=1.5, volume=10) for n in range(50)]
    with CaptureQueriesContext(connection) as queries:
        store.save_bars(bars)
    assert MinuteBar.objects.count() == 50
    assert [query["sql"] for query in queries if query["sql"] == "COMMIT"] == ["COMMIT"]


def test_a_newer_mark_is_written_and_an_older_one_is_not():
    project(change_of(position(version=5)))
    newer = position(version=6).to_dict() | {"last": 151.5, "unrealized_pnl": 150.0}
    store.save_marks([newer], 1)
    store.save_marks([position(version=5).to_dict()], 1)
    record = PositionRecord.objects.get()
    assert (record.current_price, record.unrealized_pnl, record.as_row()["last"]) == (Decimal("151.5"), Decimal("150"), 151.5)


@hypothesis_settings(max_examples=25)
@given(st.floats(min_value=0.0001, max_value=9_999_999, allow_nan=False, allow_infinity=False))
def test_a_price_is_stored_as_the_decimal_a_person_reads(price):
    assert store.exact(price) == Decimal(str(price))


def test_a_result_that_is_booked_over_changes_the_row_of_its_fill_and_a_stale_worker_changes_none():
    sale = fill("0001.02.01", side=OrderSide.SELL, fill_price=144.0, realized_pnl=-600.0)
    store.project([(sale, 1)], epoch=2)
    told = OrderStatusEvent(order_id="o1", symbol="AAPL", metadata={"realized": {"exec_id": "0001.02.01", "realized_pnl": 0.0}})
    store.project([(told, 2)], epoch=1)
    assert FillRecord.objects.get(exec_id="0001.02.01").realized_pnl == Decimal("-600")
    store.project([(told, 2)], epoch=2)
    store.project([(told, 2)], epoch=2)
    row = FillRecord.objects.get(exec_id="0001.02.01")
    assert (row.realized_pnl, row.price, row.superseded) == (Decimal(0), Decimal("144"), False)
    assert FillRecord.objects.count() == 1
