"""The adapter's tests: the simulated gateway in the same loop, brokers that connect to it, and a listener that keeps everything."""

import asyncio
import json
import uuid

import pytest

from events.order import OrderSide, OrderType, TimeInForce
from positions.broker.ib import IbBroker, IbSettings
from positions.domain.ports import OrderTicket
from positions.gateway.gateway import Gateway
from positions.gateway.server import Server
from tradingsite.testing.patience import PATIENCE


class Heard:
    """A listener that writes everything down."""

    def __init__(self):
        self.links, self.orders, self.executions, self.commissions, self.errors, self.ticks = [], [], [], [], [], []
        self.account = {}

    def on_link(self, state, detail, hint):
        self.links.append((state, hint))

    def on_order(self, report):
        self.orders.append(report)

    def on_execution(self, report):
        self.executions.append(report)

    def on_commission(self, report):
        self.commissions.append(report)

    def on_error(self, report):
        self.errors.append(report)

    def on_tick(self, tick):
        self.ticks.append(tick)

    def on_account(self, key, value):
        self.account[key] = value

    def statuses(self, ref):
        return [r.status for r in self.orders if r.order_ref == ref]


class Desk:
    """A gateway and the brokers connected to it."""

    def __init__(self, server):
        self.server = server
        self.faults = []
        self.brokers = []

    def broker(self, heard, *, client_id=17, before_send=lambda tickets: None, **settings):
        patient = {"connect_timeout": PATIENCE, "request_timeout": PATIENCE, "heartbeat_seconds": 0.3} | settings
        made = IbBroker(
            IbSettings(port=self.server.port, client_id=client_id, **patient),
            heard,
            on_fault=lambda what, e: self.faults.append((what, e)),
            before_send=before_send,
        )
        self.brokers.append(made)
        return made

    async def control(self, **command):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.control_port)
        writer.write(json.dumps(command).encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        assert answer["ok"], answer
        return answer


@pytest.fixture
async def desk(tmp_path):
    server = Server(Gateway(seed=7, state_dir=tmp_path / "gateway", speed=1.0, calendar=""))
    await server.start()
    made = Desk(server)
    yield made
    for broker in made.brokers:
        await broker.disconnect()
    await server.close()


@pytest.fixture
def heard():
    return Heard()


async def bracket(broker, *, limit=None, symbol="AAPL"):
    """A transmitted family of entry, target and stop; returns the three tickets."""
    contract = await broker.qualify(symbol)
    price = (await broker.history(symbol, 60))[-1].close
    ids = broker.reserve_ids(3)
    name = uuid.uuid4().hex[:12]

    def ticket(role, number, side, kind, **more):
        return OrderTicket(
            order_ref=f"{name}-{role}", ib_order_id=ids[number], contract=contract, side=side, order_type=kind, quantity=100,
            account=broker.account, **more,
        )  # fmt: skip

    child = {"parent_ib_order_id": ids[0], "time_in_force": TimeInForce.GTC, "oca_group": name}
    entry = ticket("E", 0, OrderSide.BUY, OrderType.LIMIT, limit_price=limit or round(price * 1.01, 2), transmit=False)
    target = ticket("T", 1, OrderSide.SELL, OrderType.LIMIT, limit_price=round(price * 1.1, 2), transmit=False, **child)
    stop = ticket("S", 2, OrderSide.SELL, OrderType.STOP, stop_price=round(price * 0.9, 2), **child)
    await broker.send([entry, target, stop])
    return entry, target, stop
