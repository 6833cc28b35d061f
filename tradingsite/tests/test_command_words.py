"""The note that tells a command's outcome names symbol, side, size and price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from events.accounts import SIMULATED_ACCOUNT
from events.commands import (
    AdoptHolding,
    ApproveSignal,
    CancelOrder,
    ChangeStop,
    ClosePosition,
    Command,
    HaltTrading,
    RejectSignal,
)
from events.inbox import file_command
from events.models import CommandRecord
from positions.models import OrderRecord
from tradingsite.command_words import words_of
from tradingsite.tests.page_data import held_position, pending_signal, person, working_order

pytestmark = pytest.mark.django_db


def filed(command: Command) -> CommandRecord:
    return file_command(command, account=SIMULATED_ACCOUNT, user=person("trader"), key=f"test:{command.name}")[0]


def approval(**changes: Any) -> ApproveSignal:
    said = {"signal_id": "s1", "version": 1, "symbol": "AAPL", "direction": 1, "action": "open_long", "quantity": 100.0}
    said |= {"limit_price": 231.4, "stop_loss": 225.0, "take_profit": None, "reference_price": 231.0, "decided_by": "ann"}
    return ApproveSignal(**(said | changes))


def test_an_approval_names_its_own_ticket() -> None:
    assert words_of(filed(approval())) == "buy 100 AAPL at 231.40"


def test_a_rejection_names_the_signal() -> None:
    pending_signal("META")
    assert words_of(filed(RejectSignal(signal_id="sig-META", reason="no", decided_by="ann"))) == "buy META at 500.00"


def test_a_close_names_what_is_held_and_then_the_exit_it_led_to() -> None:
    held_position()
    close = filed(ClosePosition(position_id="pos-NVDA"))
    assert words_of(close) == "NVDA, long 100"
    order = working_order("exit")
    OrderRecord.objects.filter(pk=order.pk).update(position_id="pos-NVDA", side="SELL", quantity=100, average_price=Decimal("151.25"))
    assert words_of(close) == "sell 100 NVDA at 151.25"


def test_a_moved_stop_names_the_position_and_the_new_price() -> None:
    held_position()
    assert words_of(filed(ChangeStop(position_id="pos-NVDA", price=145.5))) == "NVDA, long 100, to 145.50"


def test_a_cancel_names_the_order() -> None:
    order = working_order()
    OrderRecord.objects.filter(pk=order.pk).update(limit_price=Decimal("150"))
    assert words_of(filed(CancelOrder(order_id=order.order_id))) == "buy 10 NVDA at 150.00"


def test_a_holding_is_named_by_its_symbol_and_a_switch_needs_no_name() -> None:
    adopt = AdoptHolding(symbol="TSLA", quantity=20.0, stop_loss=180.0, reason="ours")
    assert words_of(filed(adopt)) == "TSLA, 20 shares"
    assert words_of(filed(HaltTrading(reason="x"))) == ""


def test_what_is_no_longer_known_has_no_words() -> None:
    for command in (
        CancelOrder(order_id="gone"),
        ChangeStop(position_id="gone", price=1.0),
        RejectSignal(signal_id="gone", reason="no", decided_by="a"),
    ):
        assert words_of(filed(command)) == ""
