"""An ib_insync client of a local gateway that keeps all it hears: what the fault tests look at."""

from __future__ import annotations

from typing import Any

import ib_insync

from positions.tests.gateway.conftest import Local
from tradingsite.testing.patience import PATIENCE, eventually_async

AAPL = ib_insync.Stock("AAPL", "SMART", "USD")


class DeskClient:
    """`heard` is every order message in its order: ("status", word, filled), ("exec", exec id, shares), ("fee", exec id)."""

    def __init__(self, local: Local, client_id: int = 1) -> None:
        self.local = local
        self.client_id = client_id
        self.ib = ib_insync.IB()
        self.errors: list[tuple[int, int]] = []
        self.heard: list[tuple[Any, ...]] = []
        self.closed = False
        self.ib.errorEvent += lambda request_id, code, *_rest: self.errors.append((request_id, code))
        self.ib.disconnectedEvent += self._on_closed
        self._spy("orderStatus", lambda _id, status, filled, *_rest: ("status", status, filled))
        self._spy("execDetails", lambda _request, _contract, execution: ("exec", execution.execId, execution.shares))
        self._spy("commissionReport", lambda report: ("fee", report.execId))

    async def connect(self) -> DeskClient:
        await self.ib.connectAsync("127.0.0.1", self.local.port, clientId=self.client_id, timeout=PATIENCE)
        self.local.clients.append(self)
        return self

    def disconnect(self) -> None:
        self.ib.disconnect()

    def place(self, **fields: Any) -> ib_insync.Trade:
        fields = {"action": "BUY", "totalQuantity": 100, "orderType": "LMT", "lmtPrice": 150.0, "orderRef": "mine", **fields}
        return self.ib.placeOrder(AAPL, ib_insync.Order(**fields))

    def market(self, **fields: Any) -> ib_insync.Trade:
        return self.place(**{"orderType": "MKT", "lmtPrice": 0.0, **fields})

    async def status(self, trade: ib_insync.Trade, word: str) -> None:
        await eventually_async(lambda: trade.orderStatus.status == word, what=f"{word}, not {trade.orderStatus.status}")

    async def error(self, code: int, request_id: int | None = None) -> None:
        await eventually_async(
            lambda: any(found == code and request_id in (None, number) for number, found in self.errors),
            what=f"error {code}, not {self.errors}",
        )

    async def hears(self, count: int, kind: str) -> list[tuple[Any, ...]]:
        """The first `count` messages of a kind, once they have come."""
        return await eventually_async(lambda: (found := [row for row in self.heard if row[0] == kind])[count - 1 :] and found)

    def _on_closed(self) -> None:
        self.closed = True

    def _spy(self, name: str, describe: Any) -> None:
        handler = getattr(self.ib.wrapper, name)

        def hear(*arguments: Any) -> None:
            self.heard.append(describe(*arguments))
            handler(*arguments)

        setattr(self.ib.wrapper, name, hear)


async def desk(local: Local, client_id: int = 1) -> DeskClient:
    return await DeskClient(local, client_id).connect()
