"""Many open positions with trailing stops, with real processes: a gap, and a worker that starts while all stops are gone.

MANY_POSITIONS=200 measures the size that the README speaks of.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from events.models import WorkerLease
from positions.models import PositionRecord, ProtectionSettings, RiskLimits
from signals.models import WatchListEntry
from tradingsite.testing.patience import PATIENCE, eventually
from tradingsite.tests.trading_story import GatewayTruth, approval, file_wish

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timed]
MANY = int(os.environ.get("MANY_POSITIONS", "20"))
SYMBOLS = [f"S{number:03d}" for number in range(MANY)]
GONE = ("Filled", "Cancelled", "Inactive")


@pytest.fixture(autouse=True)
def roomy_rules(transactional_db, live_environment):
    wide = dict.fromkeys(("max_open_risk", "max_symbol_risk", "max_day_notional", "daily_loss_limit", "weekly_loss_limit"), 10**7)
    many = {"max_open_positions": 1_000, "max_day_entries": 10_000, "max_source_repeats": 10_000}
    RiskLimits.objects.update_or_create(pk=1, defaults={**wide, **many, "require_margin": False, "quote_max_age_seconds": 600})
    ProtectionSettings.objects.update_or_create(pk=1, defaults={"trailing": "percent", "trailing_value": 2.0})
    live_environment["IB_MARKET_DATA_LINES"] = "300"


@pytest.fixture
def rich_gateway(live_gateway):
    """Its cash is there before a worker looks: money that comes later is a difference, and entries wait for it."""
    GatewayTruth(live_gateway).ask(set_cash=100_000_000)
    return live_gateway


def pin(truth: GatewayTruth, price: float) -> None:
    truth.ask(set_price=SYMBOLS, price=price, hold=True)


def stops(truth: GatewayTruth) -> dict[str, dict[str, Any]]:
    return {o["symbol"]: o for o in truth.orders() if o["kind"] == "STP" and o["status"] not in GONE}


def sent_stops(truth: GatewayTruth, after: int) -> list[tuple[float, str, float]]:
    """(seconds, symbol, trigger) of each stop that arrived at the gateway after a request's number, in the order of arrival."""
    rows = [row for row in truth.ask(query="received")["rows"] if row["sequence"] > after and row["name"] == "PLACE_ORDER"]
    return [(row["at"], row["values"]["symbol"], float(row["values"]["auxPrice"])) for row in rows if row["values"]["orderType"] == "STP"]


def newest(truth: GatewayTruth) -> int:
    return int(truth.ask(query="received")["rows"][-1]["sequence"])


def open_all(truth: GatewayTruth) -> None:
    """Each with another number of shares, at 100.00, its stop resting at the trail's level of 98.00."""
    pin(truth, 100.0)
    WatchListEntry.objects.bulk_create([WatchListEntry(symbol=symbol) for symbol in SYMBOLS], ignore_conflicts=True)
    eventually(lambda: set(WorkerLease.objects.get().health["quotes"]) >= set(SYMBOLS), seconds=2 * PATIENCE, what="a price of each")
    for number, symbol in enumerate(SYMBOLS):
        wish = approval(symbol, quantity=10 + number, price=100.0, take_profit=190.0)
        file_wish(wish)
    eventually(
        lambda: PositionRecord.objects.filter(status="open", stop_state="resting").count() == MANY, seconds=2 * PATIENCE, what="all open"
    )
    eventually(lambda: all(o["stop_price"] == 98.0 for o in stops(truth).values()), seconds=2 * PATIENCE, what="all trail")


def say(capsys: pytest.CaptureFixture[str], what: str, times: list[float], began: float) -> None:
    """How fast it went: a figure for people, not a condition."""
    within = {seconds: sum(at - times[0] <= seconds for at in times) for seconds in (0.5, 1, 2, 4)}
    whole = f"all {len(times)} in {times[-1] - times[0]:.2f} s"
    with capsys.disabled():
        print(f"\n{what}: the first after {times[0] - began:.2f} s, within seconds of it {within}, {whole}")


def test_after_a_gap_every_stop_follows_and_a_start_puts_all_lost_ones_back(rich_gateway, live_worker, truth, capsys):
    open_all(truth)

    before, began = newest(truth), time.time()
    pin(truth, 108.0)
    moved = eventually(
        lambda: (s := sent_stops(truth, before)) and len({name for _, name, _ in s}) == MANY and s, seconds=2 * PATIENCE, what="all moved"
    )
    say(capsys, "gap", [at for at, _, _ in moved], began)
    assert all(trigger == 105.84 for _, _, trigger in moved)

    live_worker.kill()
    for symbol in SYMBOLS:
        truth.ask(fault="lose_order", match={"symbol": symbol, "kind": "STP"})
    assert not stops(truth)
    before = newest(truth)
    started = time.time()
    live_worker.process.start()
    placed = eventually(
        lambda: (s := sent_stops(truth, before)) and len({name for _, name, _ in s}) == MANY and s, seconds=2 * PATIENCE, what="all back"
    )
    say(capsys, "start", [at for at, _, _ in placed], started)
    eventually(lambda: len(stops(truth)) == MANY, seconds=2 * PATIENCE, what="every position has its one stop")
