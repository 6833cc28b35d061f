"""Faults of what is told rather than of what happens: fills left out or told again, a past day forgotten, a greeting never given."""

from __future__ import annotations

import asyncio

from positions.tests.gateway.conftest import Local
from positions.tests.gateway.desk_client import desk
from tradingsite.testing.patience import eventually_async

MINE = {"order_ref": "mine"}


async def test_one_fill_in_four_is_never_told_while_everything_else_goes_on(local: Local) -> None:
    client = await desk(local)
    await local.control(fault="partials", match=MINE, sizes=[10.0] * 9)
    await local.control(fault="omit", match=MINE, times=0, every=4)
    client.place(totalQuantity=90.0, lmtPrice=210.0)
    await eventually_async(lambda: len(local.gateway.broker.executions) == 9)
    told = await client.hears(7, "exec")
    really = [row["exec_id"] for row in await local.rows("executions")]
    assert [row[1] for row in told] == [exec_id for number, exec_id in enumerate(really, 1) if number % 4]
    assert len([row for row in client.heard if row[0] == "fee"]) == 7
    assert await client.ib.reqCurrentTimeAsync()
    assert [strike["fault"] for strike in await local.rows("faults")].count("omit") == 2
    assert len(await client.ib.reqExecutionsAsync()) == 9


async def test_all_executions_of_the_day_can_be_told_once_more(local: Local) -> None:
    client = await desk(local)
    trade = client.market()
    await client.status(trade, "Filled")
    assert (await local.control(fault="repeat_executions"))["executions"] == 1
    executions = await client.hears(2, "exec")
    assert executions[0] == executions[1]
    assert [position.position for position in client.ib.positions()] == [100]


async def test_a_forgotten_day_is_on_no_list_and_stays_in_the_position(local: Local) -> None:
    client = await desk(local)
    trade = client.market()
    await client.status(trade, "Filled")
    resting = client.place(lmtPrice=150.0)
    await client.status(resting, "Submitted")
    await local.control(fault="forget_day")
    assert await client.ib.reqExecutionsAsync() == []
    assert await client.ib.reqCompletedOrdersAsync(False) == []
    assert [found.order.lmtPrice for found in await client.ib.reqAllOpenOrdersAsync()] == [150.0]
    assert [position.position for position in await client.ib.reqPositionsAsync()] == [100]
    kinds = [row["kind"] for row in await local.rows("ledger")]
    assert "execution" in kinds  # the ledger forgets nothing
    assert kinds[-1] == "forget_day"


async def test_who_gets_no_greeting_times_out_and_the_sockets_are_counted(local: Local) -> None:
    await local.control(fault="no_greeting", times=1)
    _, writer = await asyncio.open_connection("127.0.0.1", local.port)
    writer.write(b"API\0\0\0\0\x09v100..176")
    await eventually_async(lambda: len(local.gateway.faults.strikes) == 1)
    assert (await local.control(query="sockets"))["rows"] == {"open": 1, "most": 1}
    writer.close()
    await eventually_async(lambda: local.gateway.sockets == 0)
    await desk(local)
    assert (await local.control(query="sockets"))["rows"] == {"open": 1, "most": 1}
