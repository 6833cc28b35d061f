"""Hundreds of signals wait and hundreds of positions are open: the pages stay small, and their cost does not grow with the number."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import WorkerLease
from events.order import OrderRole, OrderSide, OrderState, OrderType
from positions.domain.order import Order
from positions.domain.position import Position
from positions.models import MinuteBar, OrderRecord, PositionRecord, RiskLimits
from signals import pending
from signals.facts import gather
from signals.models import PredictionRecord, SignalRecord
from signals.proposal import pending_tickets
from signals.tests.pages.proposals import pending_proposals

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("patient_desk")]

Maker = Callable[..., Any]


def fill_the_desk(*, signals: int, positions: int) -> None:
    """Pending signals of as many symbols, each with a quote and bars, and open positions with a resting stop and target each."""
    now = utc_now()
    predictions = PredictionRecord.objects.bulk_create(
        PredictionRecord(
            source="flow", ticker=f"S{n}", timestamp=n, word="BUY", numeric=1, confidence=0.9, received_at=now, data_time=now,
            prediction_time=now, verdict="signal", stock_price=150.0, signal_id=f"sig-{n}",
        )
        for n in range(signals)
    )  # fmt: skip
    SignalRecord.objects.bulk_create(
        SignalRecord(
            signal_id=f"sig-{n}", prediction=predictions[n], symbol=f"S{n}", direction=1, action="open_long", confidence=0.9, price=150.0,
            data_time=now, created_at=now, expires_at=now + timedelta(seconds=600 + n), model="models/many",
        )
        for n in range(signals)
    )  # fmt: skip
    minute = now.replace(second=0, microsecond=0)
    MinuteBar.objects.bulk_create(
        MinuteBar(symbol=f"S{n}", at=minute - timedelta(minutes=m), open=150.0, high=150.25, low=149.75, close=150.0, volume=10)
        for n in range(signals)
        for m in range(60)
    )
    quote = {"last": 150.0, "bid": 149.99, "ask": 150.01, "at": now.isoformat()}
    lease = WorkerLease.objects.get()
    lease.health |= {"quotes": {f"S{n}": quote for n in range(signals)}}
    lease.save()
    RiskLimits.objects.update(max_open_positions=1000, max_open_risk=10_000_000)
    for n in range(positions):
        open_position(f"P{n}", now)


def open_position(symbol: str, now: Any) -> None:
    """With the whole states in its rows, as the worker writes them."""
    held = Position(symbol, f"p-{symbol}")
    held.plan(100.0, stop_loss=49.0)
    held.apply_fill(100.0, 50.0)
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id=held.position_id, symbol=symbol, status="open", quantity=100, entry_price=50, current_price=51, stop_loss=49,
        created_at=now, updated_at=now, data=held.to_dict(),
    )  # fmt: skip
    for role, price in ((OrderRole.STOP, 49.0), (OrderRole.TARGET, 55.0)):
        name = f"{role}-{symbol}"
        order = Order(
            order_id=name, order_ref=name, symbol=symbol, side=OrderSide.SELL, order_type=OrderType.LIMIT, quantity=100.0, role=role,
            limit_price=price,
        )  # fmt: skip
        order.state = OrderState.WORKING
        OrderRecord.objects.create(
            account=SIMULATED_ACCOUNT,
            order_id=name, order_ref=name, position_id=held.position_id, symbol=symbol, side="sell", quantity=100, limit_price=price,
            role=role, order_type="limit", state="working", time_in_force="gtc", created_at=now, updated_at=now, data=order.to_dict(),
        )  # fmt: skip


def queries_of(act: Callable[[], Any]) -> int:
    """Of a request whose like has been answered before, but not of these rows."""
    pending.forget()  # facts of the desk before, less than a second old, would still do for the first one
    assert act().status_code == 200
    pending.forget()
    with CaptureQueriesContext(connection) as seen:
        assert act().status_code == 200
    return len(seen)


ADDRESSES = [
    "/signals/",
    "/live/signals",
    "/signals/cards?room=20&skip=0&ids=sig-0,sig-1",
    "/signals/sig-0/",
    "/signals/sig-0/judge?quantity=5",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_number_of_queries_does_not_grow_with_the_number_of_signals(address: str, desk: Any, signed_in: Maker) -> None:
    client = signed_in()
    fill_the_desk(signals=3, positions=2)
    few = queries_of(lambda: client.get(address))
    SignalRecord.objects.all().delete()
    PredictionRecord.objects.all().delete()
    MinuteBar.objects.all().delete()
    PositionRecord.objects.all().delete()
    OrderRecord.objects.all().delete()
    fill_the_desk(signals=60, positions=20)
    assert queries_of(lambda: client.get(address)) == few


@pytest.mark.parametrize("address", ["/live/signals", "/signals/", "/positions/", "/orders/"])
def test_nothing_of_the_desks_health_is_read_twice_for_one_answer(address: str, desk: Any, signed_in: Maker) -> None:
    fill_the_desk(signals=30, positions=5)
    client = signed_in()
    pending.forget()
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    asked = [query["sql"] for query in seen]
    for table in ("positions_alarmrecord", "signals_joblease"):
        assert sum(f'FROM "{table}"' in sql for sql in asked) <= 1, table
    quotes = [sql for sql in asked if 'FROM "events_workerlease"' in sql and '"health"' in sql]
    assert len(quotes) <= 2, "for the frame of health, and for the prices of the cards"


def test_five_hundred_signals_are_a_window_of_twenty_with_a_way_to_the_rest(desk: Any, signed_in: Maker) -> None:
    fill_the_desk(signals=500, positions=200)
    client = signed_in()
    page = client.get("/signals/").content
    assert len(gzip.compress(page, 6)) <= 150_000
    assert len(page) <= 400_000
    assert page.count(b'class="panel signal-card') == 20 + 1  # and the blank one
    assert b"20 of 500 are shown, and 480 more" in page
    assert b'href="?skip=20"' in page
    last = client.get("/signals/?skip=480").content
    assert b'data-id="sig-499"' in last
    assert b'href="?skip=460"' in last
    snapshot = client.get("/live/signals")
    rows = [row for row in snapshot.json()["rows"] if row["state"] == "pending"]
    assert [row["id"] for row in rows] == [f"sig-{n}" for n in range(500)]
    assert sum("refusals" in row for row in rows) == 20
    assert len(gzip.compress(snapshot.content, 6)) <= 50_000


def test_the_cards_of_all_pages_are_worked_out_once_for_each_change(desk: Any, signed_in: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_the_desk(signals=30, positions=5)
    asked: list[str] = []
    real = pending.propose
    monkeypatch.setattr(pending, "LONGEST_SHARED", 600.0)
    monkeypatch.setattr(pending, "propose", lambda signal, facts: asked.append(signal.signal_id) or real(signal, facts))
    pending.forget()
    clients = [signed_in(f"trader-{n}") for n in range(5)]
    for client in clients:
        client.get("/signals/")
        client.get("/live/signals")
        client.get("/signals/cards?room=20&skip=0&ids=")
    assert sorted(asked) == sorted(f"sig-{n}" for n in range(20))
    WorkerLease.objects.update(heartbeat_at=utc_now() + timedelta(minutes=5))
    for client in clients:
        client.get("/live/signals")
    assert len(asked) == 40


def test_a_change_is_seen_at_once_although_the_rows_are_shared(desk: Any, signed_in: Maker) -> None:
    fill_the_desk(signals=2, positions=0)
    client = signed_in()

    def codes() -> list[str]:
        return [refusal["code"] for row in client.get("/signals/cards?room=20&skip=0&ids=").json()["rows"] for refusal in row["refusals"]]

    assert codes() == []
    RiskLimits.objects.update(max_symbol_risk=1)
    assert set(codes()) == {"symbol_risk"}
    RiskLimits.objects.update(max_symbol_risk=10_000)
    assert codes() == []
    SignalRecord.objects.filter(pk="sig-0").update(state="rejected", version=2)
    answer = client.get("/signals/cards?room=20&skip=0&ids=sig-0,sig-1").json()
    assert [row["id"] for row in answer["rows"]] == ["sig-1"]
    assert [(row["id"], row["state"]) for row in answer["over"]] == [("sig-0", "rejected")]
    assert answer["total"] == 1


def test_a_page_that_shows_later_ones_takes_no_new_ones_in(desk: Any, signed_in: Maker) -> None:
    fill_the_desk(signals=50, positions=0)
    answer = signed_in().get("/signals/cards?room=20&skip=20&ids=sig-20,sig-21").json()
    assert [row["id"] for row in answer["rows"]] == ["sig-20", "sig-21"]
    first = signed_in().get("/signals/cards?room=3&skip=0&ids=sig-20").json()
    assert {row["id"] for row in first["rows"]} == {"sig-20", "sig-0", "sig-1"}


def test_the_worker_works_out_the_tickets_of_those_that_expire_first_only_and_the_very_same(desk: Any) -> None:
    fill_the_desk(signals=80, positions=3)
    proposals = pending_proposals()
    for _ in range(2):  # the second time from bars it remembers
        tickets = pending_tickets(60)
        assert [p.signal.signal_id for p in tickets] == [f"sig-{n}" for n in range(60)]
        assert [p.ticket for p in tickets] == [p.ticket for p in proposals[:60]]
    newer = utc_now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    MinuteBar.objects.create(symbol="S0", at=newer, open=150, high=160, low=140, close=150)
    wider, same = pending_tickets(2)
    assert wider.ticket == pending_proposals()[0].ticket != tickets[0].ticket
    assert same.ticket == tickets[1].ticket


def test_a_changed_order_or_position_is_judged_as_it_is_now(desk: Any) -> None:
    """What was restored for the judgement before is not restored again unless its row changed."""
    fill_the_desk(signals=1, positions=1)
    view = gather({"S0"}).gate
    again = gather({"S0"}).gate
    assert view
    assert again
    assert [id(order) for order in view.context.orders] == [id(order) for order in again.context.orders]
    record = OrderRecord.objects.get(order_id="stop-P0")
    OrderRecord.objects.filter(pk=record.pk).update(version=record.version + 1, data=record.data | {"state": "in_doubt"}, state="in_doubt")
    PositionRecord.objects.all().delete()
    changed = gather({"S0"}).gate
    assert changed
    assert {order.order_id: order.state for order in changed.context.orders}["stop-P0"] == "in_doubt"
    assert changed.context.positions == []
