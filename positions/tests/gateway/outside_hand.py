"""Another person's program at the same account: an ib_insync client of its own, on a thread of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import ib_insync

from tradingsite.testing.patience import PATIENCE, eventually_async


def trade_elsewhere(port: int, symbol: str, quantity: int, *, limit: float | None = None, ref: str = "by hand", client_id: int = 99) -> int:
    """Buy (or sell, for a negative quantity); waits until a market order has filled or a limit order works. Returns the permId."""

    async def trade() -> int:
        ib = ib_insync.IB()
        await ib.connectAsync("127.0.0.1", port, clientId=client_id, timeout=PATIENCE)
        try:
            order = ib_insync.Order(
                action="BUY" if quantity > 0 else "SELL",
                totalQuantity=abs(quantity),
                orderType="MKT" if limit is None else "LMT",
                lmtPrice=limit or 0.0,
                orderRef=ref,
                tif="GTC",
            )
            made = ib.placeOrder(ib_insync.Stock(symbol, "SMART", "USD"), order)
            wanted = "Filled" if limit is None else "Submitted"
            await eventually_async(lambda: made.orderStatus.status == wanted, what=f"the order is {wanted}")
            return int(made.order.permId)
        finally:
            ib.disconnect()

    with ThreadPoolExecutor(max_workers=1) as elsewhere:
        return elsewhere.submit(asyncio.run, trade()).result()
