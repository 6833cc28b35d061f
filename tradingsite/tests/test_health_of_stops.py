"""What the overview says of the pace of stops and of live prices: numbers of the worker, in words."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from events.models import WorkerLease
from positions.broker.pacer import Pacer, Priority
from tradingsite import health
from tradingsite.tests.page_data import fit_to_trade, person

pytestmark = pytest.mark.django_db
PACE = {"seconds": 2.0, "stops": Pacer().within(2, Priority.ORDER), "moves": Pacer().within(2, Priority.MOVE)}
ENOUGH = {"used": 3, "limit": 100, "setting": 100, "positions_without": 0, "signals_without": 0, "watched_without": 0}


def checks(*, protection: dict[str, Any] | None = None, lines: dict[str, Any] | None = None) -> dict[str, health.Check]:
    lease = fit_to_trade()
    said = {"protection": {"held": 3, "soon": PACE} | (protection or {}), "worker": {"lines": ENOUGH | (lines or {})}}
    WorkerLease.objects.filter(pk=lease.pk).update(health=lease.health | said)
    return {check.name: check for check in health.of_the_worker()}


def test_how_many_stops_the_pace_of_ib_allows_is_said_and_more_positions_than_that_are_a_notice() -> None:
    few = checks()["protection"]
    assert few.state == "ok"
    assert few.detail.endswith("IB's pace allows 84 stops placed or 72 moved in 2 s")
    many = checks(protection={"held": 200})["protection"]
    assert many.state == "degraded"
    assert many.detail.endswith("more held than IB's pace allows: 84 stops placed or 72 moved in 2 s")


@pytest.mark.parametrize(
    ("lines", "state", "words"),
    [
        ({}, "ok", "3 of 100 lines used"),
        ({"used": 100, "watched_without": 108}, "degraded", "100 of 100 lines used; no live price for 108 symbols of the watch list"),
        (
            {"used": 2, "limit": 2, "signals_without": 1},
            "degraded",
            "fewer than the 100 of the setting; no live price for 1 pending signal",
        ),
        ({"used": 100, "positions_without": 100}, "down", "no live price for 100 positions"),
    ],
    ids=["enough", "a long watch list", "fewer served", "positions without"],
)
def test_who_has_no_live_price_is_said_and_a_position_without_one_is_worst(lines: dict[str, Any], state: str, words: str) -> None:
    found = checks(lines=lines)["lines"]
    assert found.state == state
    assert words in found.detail


def test_the_overview_shows_both(client: Client) -> None:
    checks(lines={"used": 100, "watched_without": 108})
    client.force_login(person("viewer"), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/").content.decode()
    assert "100 of 100 lines used; no live price for 108 symbols of the watch list" in page
    assert "84 stops placed or 72 moved in 2 s" in page
