"""The scenario's client on ib_insync or on ib_async, which share their interface."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

from waiting import PATIENCE


class LibraryClient:
    def __init__(self, name: str) -> None:
        self._library = importlib.import_module(name)
        self._ib = self._library.IB()
        self.errors: list[tuple[int, int]] = []
        self._ib.errorEvent += lambda request_id, code, *_rest: self.errors.append((request_id, code))
        self._ticker: Any = None
        self._commissions: set[str] = set()
        self._ib.commissionReportEvent += lambda _trade, _fill, report: self._commissions.add(report.execId)

        self._completed: list[tuple[str, str, float]] = []
        self._ib.wrapper.completedOrder = self._listen_completed(self._ib.wrapper.completedOrder)

    def _listen_completed(self, heard: Callable[..., None]) -> Callable[..., None]:
        """The library keeps the order but drops the words of its completion."""

        def hear(contract: Any, order: Any, state: Any) -> None:
            self._completed.append((order.orderRef, state.completedStatus, order.filledQuantity))
            heard(contract, order, state)

        return hear

    def connect(self, port: int, client_id: int) -> int:
        self._ib.connect("127.0.0.1", port, clientId=client_id, timeout=PATIENCE)
        return int(self._ib.client.serverVersion())

    def contract(self, symbol: str) -> Any:
        found = [contract for contract in self._ib.qualifyContracts(self._library.Stock(symbol, "SMART", "USD")) if contract]
        return found[0] if found else None

    def watch(self, contract: Any) -> None:
        self._ticker = self._ib.reqMktData(contract, "233,236")

    def quote(self) -> tuple[float, float, float]:
        return (self._ticker.bid, self._ticker.ask, self._ticker.last)

    def place(self, contract: Any, order_id: int = 0, **fields: Any) -> int:
        order_id = order_id or self._ib.client.getReqId()
        order = self._library.Order(orderId=order_id, **fields)
        self._send(contract, order)
        return int(order_id)

    def _send(self, contract: Any, order: Any) -> None:
        """A change of a done order is refused by the library itself; the scenario wants the gateway's own answer."""
        known = [trade for trade in self._ib.trades() if trade.order.orderId == order.orderId]
        if known and known[0].isDone():
            self._ib.client.placeOrder(order.orderId, contract, order)
        else:
            self._ib.placeOrder(contract, order)

    def cancel(self, order_id: int) -> None:
        if self._ib.client.serverVersion() >= 169:
            self._ib.client.cancelOrder(order_id, "")
        else:
            self._ib.client.cancelOrder(order_id)

    def status(self, order_id: int) -> str:
        statuses = [trade.orderStatus.status for trade in self._ib.trades() if trade.order.orderId == order_id]
        return statuses[-1] if statuses else ""

    def filled(self, order_id: int) -> float:
        return math.fsum(fill.execution.shares for fill in self._ib.fills() if fill.execution.orderId == order_id)

    def commissions(self) -> int:
        return len(self._commissions)

    def open_orders(self) -> set[int]:
        return {trade.order.orderId for trade in self._ib.reqAllOpenOrders()}

    def executions(self) -> set[str]:
        return {fill.execution.execId for fill in self._ib.reqExecutions()}

    def completed(self) -> list[tuple[str, str, float]]:
        self._completed.clear()
        self._ib.reqCompletedOrders(False)
        return list(self._completed)

    def bars(self, contract: Any) -> list[float]:
        return [bar.close for bar in self._ib.reqHistoricalData(contract, "", "1800 S", "1 min", "TRADES", False, 2)]

    def holding(self, symbol: str) -> float:
        return math.fsum(position.position for position in self._ib.positions() if position.contract.symbol == symbol)

    def pause(self, seconds: float) -> None:
        self._ib.sleep(seconds)

    def disconnect(self) -> None:
        self._ib.disconnect()
