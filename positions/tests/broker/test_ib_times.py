"""Moments in every form of IB's, read alone and over a real socket from the simulated gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.clock import utc_now
from positions.broker.ib_times import UnknownTime, moment
from positions.gateway.times import FORMS, NAMES_ITS_ZONE, read, written
from positions.tests.broker.conftest import Desk, Heard, bracket
from tradingsite.testing.patience import eventually_async

KNOWN = sorted(set(FORMS) - {"unknown"})
SUMMER, WINTER = datetime(2026, 7, 1, 18, 46, 20, tzinfo=UTC), datetime(2026, 11, 27, 19, 46, 20, tzinfo=UTC)


@pytest.mark.parametrize("form", KNOWN)
def test_each_form_reads_as_the_moment_it_was_written_for(form: str) -> None:
    for at in (SUMMER, WINTER):
        assert moment(FORMS[form](at.timestamp()), zone="UTC") == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("20261127 14:46:20 US/Eastern", WINTER),
        ("20261127  14:46:20 America/New_York", WINTER),
        ("20261127 20:46:20 MET", WINTER),
        ("20260701 20:46:20 MET", SUMMER),
        ("20261127-19:46:20", WINTER),
        ("20261127-14:46:20 US/Eastern", WINTER),
        ("20261127 19:46:20 Universal", WINTER),
        ("2026-11-27 19:46:20.0 GMT", WINTER),
        ("1795808780", WINTER),
        (" 20261127 14:46:20 ", WINTER),  # in the gateway's zone, which this test says is New York
    ],
)
def test_a_zone_that_is_named_counts_and_else_the_gateways(text: str, at: datetime) -> None:
    assert moment(text, zone="America/New_York") == at


@pytest.mark.parametrize(
    "text",
    [
        *("", "20261127", "20261327 14:46:20", "20261127 25:46:20", "now", "20261127T", "-1", "1e9", "17958"),
        *(f"20261127 14:46:20 {zone}" for zone in ("EDT", "Mars/Olympus", "../../etc/passwd", "America", "+05")),
    ],
)
def test_what_cannot_be_read_is_never_guessed(text: str) -> None:
    with pytest.raises(UnknownTime):
        moment(text, zone="UTC")


def test_a_gateway_of_today_names_its_zone_and_an_old_one_does_not() -> None:
    assert written(WINTER.timestamp(), NAMES_ITS_ZONE) == "20261127 14:46:20 US/Eastern"
    assert written(WINTER.timestamp(), 157) == "20261127  19:46:20"


def test_the_gateway_heeds_the_zone_that_a_client_names() -> None:
    assert {read(text) for text in ("20261127 14:46:20 US/Eastern", "20261127-19:46:20", "20261127 20:46:20 MET")} == {WINTER.timestamp()}
    with pytest.raises(ValueError, match="Invalid time"):
        read("20261127 14:46:20 Mars/Olympus")


@pytest.mark.parametrize("form", ["", *KNOWN])
async def test_executions_and_bars_have_their_right_time_in_whatever_form_it_comes(desk: Desk, heard: Heard, form: str) -> None:
    await desk.control(time_form=form)
    broker = desk.broker(heard)
    await broker.connect()
    began = utc_now().replace(microsecond=0)
    await filled(broker, heard)
    assert began <= heard.executions[0].time <= utc_now()
    [listed, *_] = (await broker.snapshot()).executions
    assert listed.time == heard.executions[0].time
    bars = await broker.history("AAPL", 30)
    assert timedelta(0) <= utc_now() - bars[-1].at <= timedelta(minutes=4)
    assert len(bars) >= 25
    assert desk.faults == []


async def test_an_unknown_zone_is_one_alarm_and_the_execution_counts(desk: Desk, heard: Heard) -> None:
    broker = desk.broker(heard)
    await broker.connect()
    entry, *_ = await bracket(broker, limit=1.0)
    await desk.control(time_form="unknown")
    began = utc_now().replace(microsecond=0)
    await desk.control(fill={"client_id": 17, "order_id": entry.ib_order_id}, price=1.0)
    await eventually_async(lambda: heard.executions, what="an execution")
    assert heard.executions[0].quantity == 100
    assert began <= heard.executions[0].time <= utc_now()
    assert (await broker.snapshot()).complete
    assert await broker.history("AAPL", 30) == []
    [(what, error)] = desk.faults
    assert (what, "Mars/Olympus" in str(error)) == ("time of an execution", True)


async def test_a_commission_that_ib_has_not_reckoned_is_unknown_and_no_credit(desk: Desk, heard: Heard) -> None:
    await desk.control(fault="disorder", mode="commission_placeholder", match={"symbol": "AAPL"}, times=1)
    broker = desk.broker(heard)
    await broker.connect()
    await filled(broker, heard)
    picture = await broker.snapshot()
    assert heard.commissions == []
    assert [fee.commission > 0 for fee in picture.commissions] == [True]
    assert (picture.complete, broker.refused_frames()) == (True, 0)


async def filled(broker: Any, heard: Heard) -> None:
    """A family whose entry was bought at the market."""
    await bracket(broker)
    await eventually_async(lambda: heard.executions, what="an execution")
