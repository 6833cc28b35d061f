"""One trading day in small, run unchanged by every client library against a real gateway process.

Run as `python scenario.py LIBRARY PORT CONTROL_PORT CLIENT_ID`; prints the protocol version and each finished step as
JSON lines. It is a program of its own, because the three libraries can not share an interpreter.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Protocol

from control import Control
from waiting import PATIENCE, until


class Client(Protocol):
    """What the scenario needs of a library. Orders are given and kept by their order id."""

    errors: list[tuple[int, int]]  # (id, code), oldest first

    def connect(self, port: int, client_id: int) -> int: ...
    def contract(self, symbol: str) -> Any: ...
    def watch(self, contract: Any) -> None: ...
    def quote(self) -> tuple[float, float, float]: ...
    def place(self, contract: Any, order_id: int = 0, **fields: Any) -> int: ...
    def cancel(self, order_id: int) -> None: ...
    def status(self, order_id: int) -> str: ...
    def filled(self, order_id: int) -> float: ...
    def commissions(self) -> int: ...
    def open_orders(self) -> set[int]: ...
    def executions(self) -> set[str]: ...
    def completed(self) -> list[tuple[str, str, float]]: ...
    def bars(self, contract: Any) -> list[float]: ...
    def holding(self, symbol: str) -> float: ...
    def pause(self, seconds: float) -> None: ...
    def disconnect(self) -> None: ...


class Scenario:
    def __init__(self, client: Client, control: Control) -> None:
        self.client = client
        self.control = control
        self.stock: Any = None

    def run(self, port: int, client_id: int) -> None:
        version = self.client.connect(port, client_id)
        print(json.dumps({"version": version}))
        for step in (
            self.qualify,
            self.ticks,
            self.market_order,
            self.limit_order_and_modify,
            self.cancel_order,
            self.bracket_stop_cancels_target,
            self.partial_fills,
            self.refusals,
            self.lists,
            self.history,
        ):
            step()
            print(json.dumps({"step": step.__name__}), flush=True)
        self.client.disconnect()

    def until(self, check: Callable[[], Any], what: str) -> None:
        until(check, self.client.pause, lambda: f"{what}; errors {self.client.errors}")

    def expect(self, order_id: int, status: str) -> None:
        self.until(lambda: self.client.status(order_id) == status, f"{order_id} {status}, is {self.client.status(order_id)}")

    def expect_error(self, request_id: int, code: int) -> None:
        self.until(lambda: (request_id, code) in self.client.errors, f"error {code} on {request_id}")

    def qualify(self) -> None:
        self.stock = self.client.contract("AAPL")
        assert self.stock is not None
        assert self.client.contract("ZZUNKNOWN") is None
        assert 200 in [code for _, code in self.client.errors]

    def ticks(self) -> None:
        self.control(set_price="AAPL", price=200.0, hold=True)
        self.client.watch(self.stock)
        self.until(lambda: self.client.quote() == (199.99, 200.01, 200.0), "the pinned quote")

    def market_order(self) -> None:
        order = self.client.place(self.stock, action="BUY", totalQuantity=100, orderType="MKT", orderRef="market")
        self.expect(order, "Filled")
        self.until(lambda: self.client.filled(order) == 100, "100 executed")
        self.until(lambda: self.client.commissions() == 1, "the commission report")
        self.until(lambda: self.client.holding("AAPL") == 100, "the position")

    def limit_order_and_modify(self) -> None:
        fields = {"action": "BUY", "totalQuantity": 50, "orderType": "LMT", "orderRef": "limit"}
        order = self.client.place(self.stock, **fields, lmtPrice=150.0)
        self.expect(order, "Submitted")
        first = self.book(order)
        self.client.place(self.stock, order, **fields, lmtPrice=151.5)
        self.until(lambda: self.book(order)["limit_price"] == 151.5, "the changed price in the book")
        assert self.book(order)["perm_id"] == first["perm_id"]
        self.client.place(self.stock, order, **fields, lmtPrice=201.0)
        self.expect(order, "Filled")

    def cancel_order(self) -> None:
        order = self.client.place(self.stock, action="SELL", totalQuantity=10, orderType="LMT", lmtPrice=300.0, orderRef="cancelled")
        self.expect(order, "Submitted")
        assert order in self.client.open_orders()
        self.client.cancel(order)
        self.expect(order, "Cancelled")
        self.expect_error(order, 202)

    def bracket_stop_cancels_target(self) -> None:
        parent = self.client.place(self.stock, action="BUY", totalQuantity=30, orderType="MKT", transmit=False, orderRef="entry")
        exits = {"action": "SELL", "totalQuantity": 30, "tif": "GTC", "parentId": parent}
        target = self.client.place(self.stock, **exits, orderType="LMT", lmtPrice=220.0, transmit=False, orderRef="target")
        self.client.pause(0.2)
        assert self.control(query="book")["rows"] == []
        stop = self.client.place(self.stock, **exits, orderType="STP", auxPrice=190.0, orderRef="stop")
        self.expect(parent, "Filled")
        self.expect(target, "Submitted")
        self.expect(stop, "PreSubmitted")
        self.control(set_price="AAPL", price=189.5, hold=True)
        self.expect(stop, "Filled")
        self.expect(target, "Cancelled")
        assert self.client.filled(target) == 0
        self.control(set_price="AAPL", price=200.0, hold=True)

    def partial_fills(self) -> None:
        self.control(fault="partials", match={"order_ref": "parts"}, sizes=[30, 30, 40], delay=0.1)
        order = self.client.place(self.stock, action="SELL", totalQuantity=100, orderType="MKT", orderRef="parts")
        self.expect(order, "Filled")
        self.until(lambda: self.client.filled(order) == 100, "all parts")
        rows = [row["quantity"] for row in self.control(query="executions")["rows"] if row["order_ref"] == "parts"]
        assert rows == [30, 30, 40], rows

    def refusals(self) -> None:
        used = self.client.place(self.stock, action="BUY", totalQuantity=1, orderType="LMT", lmtPrice=100.0)
        self.expect(used, "Submitted")
        self.client.cancel(used)
        self.expect(used, "Cancelled")
        self.client.place(self.stock, used, action="BUY", totalQuantity=1, orderType="LMT", lmtPrice=100.0)
        self.expect_error(used, 103)
        off_tick = self.client.place(self.stock, action="BUY", totalQuantity=1, orderType="LMT", lmtPrice=100.005)
        self.expect_error(off_tick, 110)
        too_big = self.client.place(self.stock, action="BUY", totalQuantity=100_000, orderType="MKT")
        self.expect_error(too_big, 201)
        self.client.cancel(999_999)
        self.expect_error(999_999, 10147)

    def lists(self) -> None:
        truth = {row["exec_id"] for row in self.control(query="executions")["rows"]}
        assert self.client.executions() == truth, (self.client.executions(), truth)
        completed = {reference: (words, filled) for reference, words, filled in self.client.completed()}
        assert completed["market"] == ("Filled Size: 100", 100)
        assert completed["cancelled"][0] == "Cancelled by Trader"
        assert completed["stop"] == ("Filled Size: 30", 30)

    def history(self) -> None:
        bars = self.client.bars(self.stock)
        assert 25 <= len(bars) <= 31, len(bars)

    def book(self, order_id: int) -> dict[str, Any]:
        rows: list[dict[str, Any]] = self.control(query="orders")["rows"]
        return next(row for row in rows if row["order_id"] == order_id)


def main() -> None:
    library, port, control_port, client_id = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if library == "ibapi":
        from official import OfficialClient

        client: Client = OfficialClient()
    else:
        from asynchronous import LibraryClient

        client = LibraryClient(library)
    Scenario(client, Control(control_port, PATIENCE)).run(port, client_id)


if __name__ == "__main__":
    main()
