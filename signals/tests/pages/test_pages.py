"""What the signals pages show: cards with fresh numbers, the history, the chain, and nothing that runs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import CommandRecord
from positions.models import FillRecord, MinuteBar, OrderRecord, PositionRecord, RiskLimits
from signals.models import SignalRecord, SignalSettings

pytestmark = pytest.mark.django_db

Maker = Callable[..., Any]
HOSTILE = "<script>alert(1)</script>"


def pending_row(client: Client) -> dict[str, Any]:
    [row] = [row for row in client.get("/live/signals").json()["rows"] if row["state"] == "pending"]
    return row


def test_a_card_shows_size_entry_stop_target_risk_and_drift(make_signal: Maker, signed_in: Maker, desk: Any) -> None:
    make_signal()
    desk.quote("AAPL", 150.3)
    row = pending_row(signed_in())
    assert row["entry"] == pytest.approx(150.53, abs=0.01)  # the ask and 0.15 % through it
    assert row["expected"] == pytest.approx(150.31 * 1.0001)  # the ask and the slippage
    assert row["stop"] == pytest.approx(row["expected"] - 1.0, abs=0.02)  # two ATR of 0.50
    assert row["target"] == pytest.approx(row["expected"] + 2.0, abs=0.03)  # twice the risk
    assert row["risk_dollars"] == pytest.approx(500, abs=2)
    assert row["worst_risk"] == pytest.approx(row["quantity"] * (row["entry"] - row["stop"]))
    assert "expected to fill at 150.33: the ask and 0.01% slippage" in row["sizing"]
    assert row["reward_risk"] == pytest.approx(2, abs=0.05)
    assert row["drift_pct"] == pytest.approx(0.002)
    assert row["refusals"] == []
    page = signed_in().get("/signals/")
    assert page.status_code == 200
    assert b"Approve" in page.content
    assert f'value="{row["quantity"]:g}"'.encode() in page.content


def test_a_short_is_the_mirror_image(make_signal: Maker, signed_in: Maker) -> None:
    make_signal(direction=-1)
    row = pending_row(signed_in())
    assert row["target"] < row["entry"] < 150 < row["stop"]
    assert row["refusals"] == []


def test_a_stop_or_target_that_would_be_no_price_is_refused_in_words(make_signal: Maker, signed_in: Maker, desk: Any) -> None:
    make_signal(price=5.0)
    desk.quote("AAPL", 5.0)
    MinuteBar.objects.update(open=5.0, high=8.0, low=2.0, close=5.0)  # an ATR of dollars
    row = pending_row(signed_in())
    assert (row["stop"], row["quantity"]) == (None, None)
    assert "no_size" in [refusal["code"] for refusal in row["refusals"]]
    assert "12.00 away from 5.01 makes no sense" in row["sizing"]


@pytest.mark.parametrize(
    ("sizing", "expected"),
    [
        ({"sizing": "shares", "shares": 70}, 70),
        ({"sizing": "dollars", "dollars": 15_000}, 99),
        ({"sizing": "equity", "equity_pct": 3.0}, 19),
    ],
)
def test_the_size_follows_the_settings(make_signal: Maker, signed_in: Maker, sizing: dict[str, Any], expected: int) -> None:
    make_signal()
    SignalSettings.objects.update(**sizing)
    assert pending_row(signed_in())["quantity"] == expected


def test_the_size_is_capped_by_the_limits_and_says_so(make_signal: Maker, signed_in: Maker) -> None:
    make_signal()
    RiskLimits.objects.update(max_order_quantity=10)
    row = pending_row(signed_in())
    assert row["quantity"] == 10
    assert "capped" in row["sizing"]


def test_without_a_fresh_price_the_card_says_so_and_approve_is_disabled(make_signal: Maker, signed_in: Maker, desk: Any) -> None:
    make_signal()
    desk.quote("AAPL", age=60)
    assert "No fresh price" in pending_row(signed_in())["refusals"][0]["message"]
    assert b"data-approve data-needs-live disabled" in signed_in().get("/signals/").content


def test_without_bars_the_stop_is_at_the_minimum_distance_with_a_warning(make_signal: Maker, signed_in: Maker) -> None:
    make_signal()
    MinuteBar.objects.all().delete()
    row = pending_row(signed_in())
    assert row["expected"] - row["stop"] == pytest.approx(0.004 * row["expected"], abs=0.02)
    assert any("minimum distance" in warning for warning in row["warnings"])


def test_a_position_already_held_is_named(make_signal: Maker, signed_in: Maker) -> None:
    make_signal()
    now = utc_now()
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id="p",
        symbol="AAPL",
        status="open",
        quantity=25,
        entry_price=140,
        current_price=150,
        created_at=now,
        updated_at=now,
    )
    row = pending_row(signed_in())
    assert row["held"] == 25
    assert any("Already long 25 shares" in warning for warning in row["warnings"])


def test_viewers_see_the_numbers_and_no_buttons(make_signal: Maker, signed_in: Maker) -> None:
    make_signal()
    page = signed_in("eve", role="viewer").get("/signals/").content
    assert b"AAPL" in page
    assert b"data-approve" not in page
    assert b"/approve" not in page


def test_strangers_are_sent_to_the_login(make_signal: Maker) -> None:
    make_signal()
    for address in ("/signals/", "/signals/s1/", "/live/signals"):
        assert Client().get(address)["Location"].startswith("/login/")


def test_hostile_text_is_only_text(make_signal: Maker, signed_in: Maker) -> None:
    signal = make_signal(model=HOSTILE, reason=HOSTILE)
    signal.prediction.warnings, signal.prediction.model_path = [HOSTILE], HOSTILE
    signal.prediction.feature_values = {HOSTILE: HOSTILE}
    signal.prediction.save()
    SignalRecord.objects.update(symbol="<b>&'\"")
    for address in ("/signals/", "/signals/s1/"):
        page = signed_in().get(address)
        assert page.status_code == 200
        assert b"<script>alert" not in page.content
        assert b"<b>&" not in page.content


def test_the_history_filters_and_pages(make_signal: Maker, signed_in: Maker) -> None:
    client, now = signed_in(), utc_now()
    for n in range(35):
        make_signal(f"old-{n}", symbol="MSFT" if n % 5 else "TSLA", state="expired", created_at=now - timedelta(days=n))
    first = client.get("/signals/")
    assert b"35 rows" in first.content
    assert client.get(f"/signals/?before={first.context['page'].older}").content.count(b"data-signal=") == 15
    assert client.get("/signals/?before=nonsense").status_code == 200
    assert client.get("/signals/?symbol=tsla").content.count(b"data-signal=") == 7
    assert client.get("/signals/?state=approved").content.count(b"data-signal=") == 0
    day = (now - timedelta(days=3)).astimezone().date().isoformat()
    assert 1 <= client.get(f"/signals/?first={day}").content.count(b"data-signal=") <= 5


@pytest.mark.parametrize("query", ["state=nonsense", "first=yesterday", "symbol=%3Cscript%3E", "first=2026-05-01&last=2026-04-01"])
def test_a_bad_filter_shows_nothing_and_says_why(make_signal: Maker, signed_in: Maker, query: str) -> None:
    make_signal(state="expired")
    page = signed_in().get(f"/signals/?{query}")
    assert page.status_code == 400
    assert b"field-error padded" in page.content
    assert page.content.count(b"data-signal=") == 0


def test_a_signals_page_shows_its_whole_chain(make_signal: Maker, signed_in: Maker) -> None:
    now = utc_now()
    make_signal(
        state="approved",
        decided_by="ann",
        decided_at=now,
        decision={"quantity": 100, "limit_price": 150.2, "stop_loss": 149.2, "take_profit": 152.2, "edited": ["stop"]},
    )
    CommandRecord.objects.create(
        key="k", name="ApproveSignal", payload={}, state="done", reason="sent as X-E", signal_id="s1", created_at=now
    )
    OrderRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        order_id="o1",
        order_ref="X-E",
        signal_id="s1",
        role="entry",
        symbol="AAPL",
        side="buy",
        order_type="limit",
        time_in_force="day",
        quantity=100,
        state="filled",
        created_at=now,
        updated_at=now,
    )
    FillRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        exec_id="0001.01",
        exec_base="0001",
        order_id="o1",
        signal_id="s1",
        symbol="AAPL",
        side="buy",
        quantity=100,
        price=150.1,
        fill_time=now,
        received_at=now,
    )
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id="p1",
        signal_id="s1",
        symbol="AAPL",
        status="closed",
        opened_quantity=100,
        entry_price=150.1,
        exit_price=152,
        realized_pnl=188.5,
        created_at=now,
        updated_at=now,
    )
    page = signed_in().get("/signals/s1/").content.decode()
    for word in ("BUY at 91.0", "ann", "stop", "sent as X-E", "Entry", "0001.01", "188.50", "closed"):
        assert word in page
    assert "data-approve" not in page


def test_a_signal_without_a_prediction_still_has_a_page(make_signal: Maker, signed_in: Maker) -> None:
    make_signal(prediction=None)
    assert signed_in().get("/signals/s1/").status_code == 200


def test_a_desk_that_was_never_set_up_shows_its_pages(db: None, signed_in: Maker) -> None:
    assert signed_in().get("/signals/").status_code == 200
    assert signed_in().get("/live/signals").json()["rows"] == []
