"""The tape speaks plain sentences, and only of what changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.market import PriceEvent
from events.order import CancelEvent, FillEvent, NewOrderEvent, OrderState, OrderStatusEvent, OrderType, PendingRequest, RejectEvent
from events.position import PositionCloseEvent, PositionOpenEvent, PositionUpdateEvent
from events.rows import tape_row
from events.system import CommandEvent, ConnectionEvent, EquityEvent, ReconcileEvent, SourceHealthEvent
from events.tape import _LINES, _SENTENCES, order_state_words, tape_text

STOP = {"symbol": "SPY", "quantity": 50, "order_type": OrderType.STOP, "stop_price": 192.0}
HELD = {**STOP, "status": OrderState.HELD, "previous_status": OrderState.HELD}


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (ReconcileEvent(ok=True, opened=6), "Agrees with the broker"),
        (ReconcileEvent(ok=True, filled=2, external=1), "Agrees with the broker, 2 executions learned, 1 not ours"),
        (
            ReconcileEvent(ok=False, reason="positions differ", differences=[{"symbol": "SPY", "ours": 10, "theirs": 12}]),
            "Differs from the broker: positions differ; SPY 10 here, 12 there",
        ),
        (EquityEvent(equity=249977.0, day_pnl=-22.0), "Equity 249,977.00, day −22.00"),
        (EquityEvent(equity=1.0, day_pnl=3.5), "Equity 1.00, day +3.50"),
        (EquityEvent(equity=None, day_pnl=0.0), "Equity –, day 0.00"),
        (
            PositionUpdateEvent(quantity=-50, status="open", position_data={"stop_state": "resting", "stop_loss": 191.56}),
            "Short 50, stop resting at 191.56",
        ),
        (
            PositionUpdateEvent(quantity=5, status="closing", reason="by hand", position_data={"stop_state": "missing"}),
            "Closing: Long 5, without the stop it should have (by hand)",
        ),
        (PositionOpenEvent(quantity=10, entry_price=2.5, stop_loss=2.0, take_profit=4.0), "Long 10 at 2.50, stop 2.00, target 4.00"),
        (
            PositionCloseEvent(quantity_closed=10, exit_price=3.0, realized_pnl=-1234.5, reason="stop"),
            "Closed 10 at 3.00, realized −1,234.50: stop",
        ),
        (OrderStatusEvent(**HELD, reason="stop moved", order_data={"why_held": "trigger"}), "Buy 50 stop at 192.00: resting, stop moved"),
        (OrderStatusEvent(**HELD, order_data={"why_held": "child"}), "Buy 50 stop at 192.00: waiting for entry"),
        (
            OrderStatusEvent(**HELD, pending=PendingRequest.REPLACE, order_data={"why_held": "trigger"}),
            "Buy 50 stop at 192.00: change sent, resting",
        ),
        (NewOrderEvent(symbol="SPY", quantity=-187, order_type=OrderType.LIMIT, limit_price=533.05), "Sell 187 limit at 533.05"),
        (FillEvent(side="buy", fill_quantity=3, fill_price=0.1234, remaining_quantity=7), "Bought 3 at 0.1234, 7 to go"),
        (CancelEvent(**STOP), "Buy 50 stop at 192.00: cancelled"),
        (
            RejectEvent(status=OrderState.REJECTED, error_code="201", error_message="No margin."),
            "Rejected by the broker: No margin. (IB error 201)",
        ),
        (CommandEvent(name="ChangeStop", state="refused", reason="wrong side"), "Stop change refused: wrong side"),
        (SourceHealthEvent(ticker="SPY", state="ok"), "Polling ok"),
        (ConnectionEvent(state="connected", detail="U1234567", account="U1234567"), "Broker link connected"),
        (ConnectionEvent(state="upstream_lost", detail="error 1100"), "Broker link upstream lost: error 1100"),
    ],
)
def test_an_event_is_told_in_one_sentence(event, sentence: str) -> None:
    assert tape_text(event.to_dict()) == sentence


def test_what_changed_nothing_is_quiet_and_what_differs_is_not() -> None:
    quiet = [ReconcileEvent(ok=True, opened=6), EquityEvent(equity=1.0)]
    news = [ReconcileEvent(ok=True, filled=1), ReconcileEvent(ok=False), ConnectionEvent(state="connected"), FillEvent()]
    assert all(tape_row(event.to_dict(), 1)["quiet"] for event in quiet)
    assert not any(tape_row(event.to_dict(), 1)["quiet"] for event in news)


def test_a_stop_held_back_until_its_price_is_a_stop_at_rest() -> None:
    assert order_state_words("held", "trigger", "stop") == "resting"
    assert order_state_words("held", "child", "stop") == "waiting for entry"
    assert order_state_words("held", "", "stop") == "resting"
    assert order_state_words("held", "", "target") == "held by the broker"
    assert order_state_words("pending_new") == "pending new"


def test_an_event_that_is_not_for_the_tape_says_nothing() -> None:
    assert tape_text(PriceEvent(symbol="SPY", price=1.0).to_dict()) == ""


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3),
)
FIELDS = [
    "quantity",
    "side",
    "status",
    "order_data",
    "position_data",
    "differences",
    "related_orders",
    "reason",
    "fill_price",
    "stop_loss",
    "confidence",
    "ok",
]


@given(kind=st.sampled_from([*_LINES, *_SENTENCES, "NoSuchEvent"]), data=st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_no_stored_row_however_odd_breaks_the_tape(kind: str, data) -> None:
    assert len(tape_text({**data, "event_type": kind})) <= 300
