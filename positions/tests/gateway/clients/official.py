"""The scenario's client on IB's own ibapi 9.81.1, which reads in a thread of its own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper
from waiting import until

BID, ASK, LAST = 1, 2, 4


class OfficialClient(EWrapper, EClient):  # type: ignore[misc]
    def __init__(self) -> None:
        EWrapper.__init__(self)
        EClient.__init__(self, self)
        self.errors: list[tuple[int, int]] = []
        self._next_id = 0
        self._requests = 9000
        self._prices: dict[int, float] = {}
        self._statuses: dict[int, str] = {}
        self._shares: dict[int, dict[str, float]] = {}  # order id → exec id → shares
        self._paid: set[str] = set()
        self._found: dict[int, list[Any]] = {}  # request id → what came
        self._ended: set[object] = set()
        self._open: set[int] = set()
        self._completed: list[tuple[str, str, float]] = []
        self._positions: dict[str, float] = {}

    # Scenario

    def connect(self, port: int, client_id: int) -> int:
        EClient.connect(self, "127.0.0.1", port, client_id)
        threading.Thread(target=self.run, daemon=True).start()
        self._wait(lambda: self._next_id, "nextValidId")
        self.reqPositions()
        self._wait(lambda: "positions" in self._ended, "positions")
        return int(self.serverVersion())

    def contract(self, symbol: str) -> Any:
        request = self._request()
        wanted = Contract()
        wanted.symbol, wanted.secType, wanted.exchange, wanted.currency = symbol, "STK", "SMART", "USD"
        self.reqContractDetails(request, wanted)
        self._wait(lambda: request in self._ended or request in {number for number, _ in self.errors}, "details")
        return self._found[request][0].contract if self._found.get(request) else None

    def watch(self, contract: Any) -> None:
        self.reqMktData(self._request(), contract, "233,236", False, False, [])

    def quote(self) -> tuple[float, float, float]:
        return (self._prices.get(BID, math.nan), self._prices.get(ASK, math.nan), self._prices.get(LAST, math.nan))

    def place(self, contract: Any, order_id: int = 0, **fields: Any) -> int:
        if not order_id:
            order_id, self._next_id = self._next_id, self._next_id + 1
        order = Order()
        order.eTradeOnly = order.firmQuoteOnly = False  # gateways have refused these defaults of this version since 2022
        for name, value in fields.items():
            setattr(order, name, value)
        self.placeOrder(order_id, contract, order)
        return order_id

    def cancel(self, order_id: int) -> None:
        self.cancelOrder(order_id)

    def status(self, order_id: int) -> str:
        return self._statuses.get(order_id, "")

    def filled(self, order_id: int) -> float:
        return math.fsum(self._shares.get(order_id, {}).values())

    def commissions(self) -> int:
        return len(self._paid)

    def open_orders(self) -> set[int]:
        self._open.clear()
        self._ask("open", self.reqAllOpenOrders)
        return set(self._open)

    def executions(self) -> set[str]:
        request = self._request()
        self.reqExecutions(request, ExecutionFilter())
        self._wait(lambda: request in self._ended, "executions")
        return set(self._found.get(request, []))

    def completed(self) -> list[tuple[str, str, float]]:
        self._completed.clear()
        self._ask("completed", lambda: self.reqCompletedOrders(False))
        return list(self._completed)

    def bars(self, contract: Any) -> list[float]:
        request = self._request()
        self.reqHistoricalData(request, contract, "", "1800 S", "1 min", "TRADES", False, 2, False, [])
        self._wait(lambda: request in self._ended, "bars")
        return self._found[request]

    def holding(self, symbol: str) -> float:
        return self._positions.get(symbol, 0.0)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def _request(self) -> int:
        self._requests += 1
        return self._requests

    def _ask(self, end: str, ask: Callable[[], None]) -> None:
        self._ended.discard(end)
        ask()
        self._wait(lambda: end in self._ended, end)

    def _wait(self, check: Callable[[], Any], what: str) -> None:
        until(check, time.sleep, lambda: f"{what}; errors {self.errors}")

    # What ibapi calls, in its thread

    def nextValidId(self, orderId: int) -> None:
        self._next_id = max(self._next_id, orderId)

    def error(self, reqId: int, errorCode: int, errorString: str) -> None:
        self.errors.append((reqId, errorCode))

    def contractDetails(self, reqId: int, contractDetails: Any) -> None:
        self._found.setdefault(reqId, []).append(contractDetails)

    def contractDetailsEnd(self, reqId: int) -> None:
        self._ended.add(reqId)

    def tickPrice(self, reqId: int, tickType: int, price: float, attrib: Any) -> None:
        self._prices[tickType] = price

    def orderStatus(self, orderId: int, status: str, *rest: Any) -> None:
        self._statuses[orderId] = status

    def openOrder(self, orderId: int, contract: Any, order: Any, orderState: Any) -> None:
        self._open.add(orderId)

    def openOrderEnd(self) -> None:
        self._ended.add("open")

    def execDetails(self, reqId: int, contract: Any, execution: Any) -> None:
        self._shares.setdefault(execution.orderId, {})[execution.execId] = execution.shares
        self._found.setdefault(reqId, []).append(execution.execId)

    def execDetailsEnd(self, reqId: int) -> None:
        self._ended.add(reqId)

    def commissionReport(self, commissionReport: Any) -> None:
        self._paid.add(commissionReport.execId)

    def completedOrder(self, contract: Any, order: Any, orderState: Any) -> None:
        self._completed.append((order.orderRef, orderState.completedStatus, order.filledQuantity))

    def completedOrdersEnd(self) -> None:
        self._ended.add("completed")

    def historicalData(self, reqId: int, bar: Any) -> None:
        self._found.setdefault(reqId, []).append(bar.close)

    def historicalDataEnd(self, reqId: int, start: str, end: str) -> None:
        self._ended.add(reqId)

    def position(self, account: str, contract: Any, position: float, avgCost: float) -> None:
        self._positions[contract.symbol] = position

    def positionEnd(self) -> None:
        self._ended.add("positions")
