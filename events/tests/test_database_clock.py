"""Our clock against the database's: all hosts of a desk agree by it."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection

from events.clock import clock_trouble, utc_now
from events.database_clock import database_skew
from tradingsite.testing.starvation import Stopwatch

pytestmark = pytest.mark.django_db


def test_on_one_computer_the_two_agree():
    watch = Stopwatch()
    assert abs(database_skew()) < 0.5 + watch.starved


@pytest.mark.parametrize("away", [-90.0, 90.0])
def test_a_clock_that_is_wrong_by_a_minute_and_a_half_is_found_where_the_database_has_its_own(away):
    with time_machine.travel(utc_now() + timedelta(seconds=away)):
        found = database_skew()
    assert found == (pytest.approx(away, abs=1.0) if connection.vendor == "postgresql" else 0.0)


def test_what_is_wrong_with_a_clock_in_words():
    assert clock_trouble(2.0) == clock_trouble(-2.0) == ""
    assert clock_trouble(3.2, "database's") == "this computer's clock is 3 s ahead of the database's"
    assert clock_trouble(-3600.0) == "this computer's clock is 1 hour behind the broker's"
