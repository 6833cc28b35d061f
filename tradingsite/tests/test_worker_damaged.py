"""A real worker behind damaged frames: whatever the gateway seems to say, nothing impossible is stored and no order is caused.

Executions are damaged in their shape only. One that keeps its shape while its id or its shares have become other words is
believed: it counts as one more execution, the books differ, and entries wait until a person has looked.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models

from events.models import EventRecord
from positions.models import BrokerCheck, BrokerHolding, EquityPoint, FillRecord, OrderRecord, PositionRecord
from positions.tests.broker.damager import GENTLE, SHAPE, Damager
from signals.models import WatchListEntry
from tradingsite.replay import verify
from tradingsite.testing.live import LiveGateway
from tradingsite.testing.patience import PATIENCE, eventually
from tradingsite.tests.trading_story import approval, file_wish, last_price, open_position, outcome

pytestmark = pytest.mark.django_db(transaction=True)

# orderStatus, openOrder, account value, portfolio, commission, position, completed order; then execution
MONEY = dict.fromkeys((b"3", b"5", b"6", b"7", b"59", b"61", b"101"), GENTLE) | {b"11": SHAPE}
FRAMES = 300
PIECES = 12  # of the resting entry, filled while the frames are damaged
MOST = 1e12  # dollars or shares: more than any account of people holds
STORED: tuple[type[models.Model], ...] = (OrderRecord, FillRecord, PositionRecord, EquityPoint, BrokerHolding, BrokerCheck, EventRecord)


@pytest.fixture(params=[1, 2])
def damager(request: pytest.FixtureRequest, live_gateway: LiveGateway, live_environment: dict[str, str]) -> Iterator[Damager]:
    """The man in the middle, on a thread of his own; the worker dials him."""
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)
    loop, man = asyncio.new_event_loop(), Damager(live_gateway.port, request.param)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    live_environment["IB_PORT"] = str(asyncio.run_coroutine_threadsafe(man.start(), loop).result(PATIENCE))
    yield man
    asyncio.run_coroutine_threadsafe(man.stop(), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def impossible(value: Any) -> bool:
    """A number that is none, or none that an account holds, anywhere in it."""
    if isinstance(value, dict):
        return any(impossible(part) for part in value.values())
    if isinstance(value, list | tuple):
        return any(impossible(part) for part in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return isinstance(value, str) and (len(value) > 2_000 or "\0" in value)
    return not math.isfinite(value) or abs(value) > MOST


def impossible_rows() -> list[tuple[str, Any]]:
    """Of every money table and the journal, each column and whatever stands in its JSON."""
    found = []
    for model in STORED:
        for row in model._default_manager.values():
            numbers = {name: float(v) if hasattr(v, "is_finite") else v for name, v in row.items() if name not in ("id", "seq", "epoch")}
            found += [(f"{model.__name__}.{name}", value) for name, value in numbers.items() if impossible(value)]
    return found


def test_damaged_frames_store_nothing_impossible_cause_no_order_and_the_journal_rebuilds_the_books(damager, live_worker, truth):
    pid = live_worker.process.pid
    open_position("AAPL", 100)
    price = last_price("MSFT")
    truth.ask(set_price="MSFT", price=price, hold=True)  # nothing but the pieces below fills the entry
    resting = outcome(file_wish(approval("MSFT", price=price, quantity=90, through=-0.02, stop_loss=round(price * 0.95, 2))))
    assert resting.state == "done", resting.reason
    entry = next(order for order in truth.orders() if order["symbol"] == "MSFT" and order["side"] == "BUY")
    orders = sorted(order["perm_id"] for order in truth.orders())
    pieces = 0
    damager.arm_messages(MONEY, share=0.4)

    def enough() -> bool:
        nonlocal pieces
        if pieces < PIECES:
            now = next(order for order in truth.orders() if order["perm_id"] == entry["perm_id"])
            assert now["status"] == "Submitted", now
            truth.ask(fill={"client_id": entry["client_id"], "order_id": entry["order_id"]}, quantity=5, price=entry["limit_price"])
            pieces += 1
        truth.ask(fault="notice", code=1102, text="Connectivity restored, data maintained.")
        return pieces == PIECES and sum(damager.done.values()) >= FRAMES

    eventually(enough, every=0.5, what=f"{FRAMES} damaged frames")
    damager.calm()

    def whole() -> bool:
        truth.ask(fault="notice", code=1102, text="Connectivity restored, data maintained.")
        held = {p.symbol: float(p.quantity) for p in PositionRecord.objects.filter(status__in=("open", "opening", "adjusting"))}
        stored = {(f.exec_id, float(f.quantity), float(f.price)) for f in FillRecord.objects.filter(superseded=False)}
        told = {(e["exec_id"], float(e["quantity"]), float(e["price"])) for e in truth.executions()}
        return held == truth.positions() and stored == told

    eventually(whole, every=1.0, what="our books are the gateway's again")
    live_worker.wait_until_ready()
    assert live_worker.process.running
    assert live_worker.process.pid == pid  # it has not ended once
    assert set(damager.done) == set(GENTLE)
    assert sorted(order["perm_id"] for order in truth.orders()) == orders
    assert impossible_rows() == []
    live_worker.kill()
    replay = verify()
    assert replay.equal, replay.differences
