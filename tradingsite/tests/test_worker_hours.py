"""The schedule IB sends says whether the session is open."""

from datetime import UTC, datetime, timedelta

import pytest

from positions.domain.ports import Contract
from tradingsite.worker.composition import entries_may_trade
from tradingsite.worker.hours import session_open

HOURS = "20261123:0930-20261123:1600;20261126:CLOSED;20261127:0930-20261127:1300"


def contract(hours=HOURS, zone="US/Eastern"):
    return Contract(symbol="AAPL", con_id=1, liquid_hours=hours, time_zone=zone)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (datetime(2026, 11, 23, 14, 29, tzinfo=UTC), False),
        (datetime(2026, 11, 23, 14, 30, tzinfo=UTC), True),
        (datetime(2026, 11, 23, 20, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 23, 21, 0, tzinfo=UTC), False),
        (datetime(2026, 11, 26, 16, 0, tzinfo=UTC), False),  # Thanksgiving
        (datetime(2026, 11, 27, 17, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 27, 18, 0, tzinfo=UTC), False),  # the half day after it
        (datetime(2026, 11, 24, 15, 0, tzinfo=UTC), None),  # a day the schedule does not cover
    ],
)
def test_the_session_is_what_the_schedule_says(at, is_open):
    assert session_open(contract(), at) is is_open


@pytest.mark.parametrize("broken", [contract(hours="rubbish"), contract(zone="Moon/Base"), contract(hours="")])
def test_a_schedule_that_cannot_be_read_means_unknown_not_closed(broken):
    assert session_open(broken, datetime(2026, 11, 23, 15, 0, tzinfo=UTC)) is None


class OneContract:
    """A broker that knows one contract, or none."""

    def __init__(self, known: Contract | None) -> None:
        self.any_contract = lambda: known


@pytest.mark.parametrize("known", [None, contract(), contract(hours="rubbish")])
def test_an_entry_after_a_half_day_is_judged_by_the_calendar_when_the_schedule_says_nothing_of_today(settings, known):
    settings.TRADING_MODE = "paper"
    eve = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)  # 13:00 in New York, a half day no schedule above covers
    assert entries_may_trade(OneContract(known), eve) is False
    assert entries_may_trade(OneContract(known), eve - timedelta(minutes=1)) is True


def test_the_brokers_schedule_goes_before_the_calendar(settings):
    settings.TRADING_MODE = "paper"
    mourning = contract(hours="20261124:CLOSED")  # a closing no calendar knows yet
    assert entries_may_trade(OneContract(mourning), datetime(2026, 11, 24, 16, 0, tzinfo=UTC)) is False


def test_the_simulated_market_takes_entries_at_any_hour(settings):
    settings.TRADING_MODE = "simulated"
    assert entries_may_trade(OneContract(None), datetime(2026, 11, 29, 3, 0, tzinfo=UTC)) is True
