"""The first history of a new desk: made by the real parts, and right to the cent."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import Sum

from events.accounts import SIMULATED_ACCOUNT
from events.models import EventRecord
from positions.gateway.account import STARTING_CASH
from positions.gateway.brokerage import Brokerage
from positions.gateway.hours import Hours
from positions.gateway.market import Market
from positions.models import EquityPoint, FillRecord, OrderRecord, PositionRecord
from positions.store import load_orders, load_positions
from signals.demo.history import STRATEGY, History
from signals.demo.history_rows import NotEmpty, make_history, past_sessions
from signals.models import PredictionRecord, SignalRecord, WatchListEntry

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)  # a Wednesday; daylight saving began on the 8th
SEED = 7

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(tmp_path: Path) -> History:
    return make_history(seed=SEED, state_dir=tmp_path / "gateway", days=21, client_id=17, now=NOW, say=lambda text: None)


@pytest.fixture
def gateway(history: History, tmp_path: Path) -> Iterator[Brokerage]:
    """The simulated gateway as it starts on the book that the history left."""
    brokerage = Brokerage(Market(SEED), Hours(), tmp_path / "gateway", NOW.timestamp())
    yield brokerage
    brokerage.store.close()


def cents(amount: object) -> Decimal:
    return Decimal(str(amount)).quantize(Decimal("0.01"))


def test_the_gateways_cash_is_the_starting_cash_plus_what_the_positions_realized(history: History, gateway: Brokerage) -> None:
    realized = PositionRecord.objects.aggregate(total=Sum("realized_pnl"))["total"]
    assert history.positions == PositionRecord.objects.count() > 10
    assert cents(gateway.account.cash) == cents(STARTING_CASH) + cents(realized)
    assert cents(gateway.account.cash) == cents(EquityPoint.objects.latest("at").equity)
    assert cents(gateway.account.realized) == cents(realized)


def test_fills_orders_and_positions_tell_the_same_result(history: History) -> None:
    totals = FillRecord.objects.aggregate(gross=Sum("realized_pnl"), fees=Sum("commission"))
    assert cents(totals["gross"] - totals["fees"]) == cents(PositionRecord.objects.aggregate(total=Sum("realized_pnl"))["total"])
    assert not FillRecord.objects.filter(commission=None).exists()
    for position in PositionRecord.objects.all():
        fills = FillRecord.objects.filter(position_id=position.position_id).aggregate(gross=Sum("realized_pnl"), fees=Sum("commission"))
        assert cents(fills["gross"] - fills["fees"]) == cents(position.realized_pnl), position


def test_it_ends_flat_with_nothing_working(history: History, gateway: Brokerage) -> None:
    assert set(PositionRecord.objects.values_list("status", flat=True)) == {"closed"}
    assert load_positions(SIMULATED_ACCOUNT) == []
    assert not OrderRecord.objects.exclude(state__in=("filled", "canceled", "rejected", "expired", "denied")).exists()
    assert gateway.open_orders() == []
    assert all(holding.quantity == 0 for holding in gateway.account.holdings.values())
    assert gateway.executions == []  # of today: the history ended before today began
    assert all(row["state"] in ("filled", "canceled") for row in load_orders(SIMULATED_ACCOUNT))


def test_every_trade_hangs_on_its_whole_chain(history: History) -> None:
    approved = SignalRecord.objects.filter(state="approved")
    assert {p.signal_id for p in PositionRecord.objects.all()} == set(approved.values_list("signal_id", flat=True))
    for signal in approved:
        assert signal.prediction is not None
        assert signal.prediction.source == STRATEGY
        assert signal.decided_by == "demo"
        assert OrderRecord.objects.filter(signal_id=signal.signal_id, role="entry").count() == 1
        assert EventRecord.objects.filter(signal_id=signal.signal_id, event_type="FillEvent").count() >= 2
    assert set(PositionRecord.objects.values_list("strategy", flat=True)) == {STRATEGY}


def test_nobody_sold_short_what_may_not_be_sold_short(history: History) -> None:
    never_short = WatchListEntry.objects.filter(allow_short=False).values("symbol")
    assert not PositionRecord.objects.filter(symbol__in=never_short, direction=-1).exists()
    assert SignalRecord.objects.filter(state="filtered", reason="short not allowed").exists()


def test_times_are_of_the_past_and_inside_sessions(history: History) -> None:
    sessions = past_sessions(NOW, 21)
    assert len(sessions) == 15  # three weeks less weekends, and less today
    for at in FillRecord.objects.values_list("fill_time", flat=True):
        assert any(session.opens <= at.timestamp() <= session.closes for session in sessions), at
    assert EventRecord.objects.latest("timestamp").timestamp < NOW
    first, last = EventRecord.objects.earliest("seq").seq, EventRecord.objects.latest("seq").seq
    assert last - first + 1 == EventRecord.objects.count()


def test_old_points_of_equity_are_fewer_than_new_ones(history: History) -> None:
    kinds = list(EquityPoint.objects.order_by("at").values_list("resolution", flat=True))
    assert kinds == sorted(kinds, key=["day", "hour", "minute"].index)
    assert set(kinds) == {"day", "hour", "minute"}


def test_the_same_seed_makes_the_same_history(history: History, tmp_path: Path) -> None:
    first = list(PositionRecord.objects.order_by("created_at", "symbol").values_list("symbol", "quantity", "entry_price", "realized_pnl"))
    for model in (PositionRecord, FillRecord, OrderRecord, EquityPoint, SignalRecord, PredictionRecord):
        model.objects.all().delete()
    make_history(seed=SEED, state_dir=tmp_path / "again", days=21, client_id=17, now=NOW, say=lambda text: None)
    again = list(PositionRecord.objects.order_by("created_at", "symbol").values_list("symbol", "quantity", "entry_price", "realized_pnl"))
    assert again == first


def test_nothing_is_made_where_there_is_something(history: History, tmp_path: Path) -> None:
    with pytest.raises(NotEmpty):
        make_history(seed=SEED, state_dir=tmp_path / "other", days=21, client_id=17, now=NOW, say=lambda text: None)
    assert not (tmp_path / "other").exists()


def test_a_gateway_with_a_book_of_its_own_is_left_alone(tmp_path: Path) -> None:
    book = tmp_path / "gateway.sqlite3"
    book.write_text("somebody's")
    with pytest.raises(CommandError, match="has a book already"):
        call_command("demo_history", state_dir=str(tmp_path), verbosity=0)
    assert book.read_text() == "somebody's"


def test_a_history_cut_short_before_its_commit_is_made_again(tmp_path: Path) -> None:
    state_dir = tmp_path / "gateway"
    state_dir.mkdir()
    (state_dir / "gateway.sqlite3").write_text("half")
    (state_dir / "demo_history.unfinished").touch()
    made = make_history(seed=SEED, state_dir=state_dir, days=7, client_id=17, now=NOW, say=lambda text: None)
    assert made.positions == PositionRecord.objects.count() > 0
    assert not (state_dir / "demo_history.unfinished").exists()
