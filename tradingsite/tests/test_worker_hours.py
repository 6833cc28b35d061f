"""The schedule IB sends says whether the session is open."""

from datetime import UTC, datetime

import pytest

from positions.domain.ports import Contract
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
