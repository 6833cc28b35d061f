"""When polling considers the market open."""

from datetime import UTC, datetime

import pytest

from signals.session import market_open


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (datetime(2026, 6, 4, 13, 29, 59, tzinfo=UTC), False),
        (datetime(2026, 6, 4, 13, 30, tzinfo=UTC), True),
        (datetime(2026, 6, 4, 20, 0, tzinfo=UTC), False),
        (datetime(2026, 6, 6, 15, 0, tzinfo=UTC), False),  # a Saturday
        (datetime(2026, 11, 26, 16, 0, tzinfo=UTC), False),  # Thanksgiving
        (datetime(2026, 11, 27, 17, 59, tzinfo=UTC), True),  # a half day
        (datetime(2026, 11, 27, 18, 1, tzinfo=UTC), False),
    ],
)
def test_the_real_market_keeps_its_hours(settings, at, is_open):
    settings.TRADING_MODE = "paper"
    assert market_open(at) is is_open


def test_the_simulated_market_never_closes(settings):
    settings.TRADING_MODE = "simulated"
    assert market_open(datetime(2026, 6, 6, 3, 0, tzinfo=UTC))
