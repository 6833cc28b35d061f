"""Commands: an existing one is a valid one, and a stored one reads back the same or not at all."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.commands import (
    _COMMANDS,
    ApproveSignal,
    BadCommand,
    CancelOrder,
    ChangeStop,
    ClosePosition,
    Command,
    HaltTrading,
    RejectSignal,
    parse_command,
)

GOOD: dict[str, Any] = {
    "signal_id": "s1",
    "version": 3,
    "symbol": "AAPL",
    "direction": 1,
    "action": "open_long",
    "quantity": 100,
    "limit_price": 150.2,
    "stop_loss": 148.0,
    "take_profit": 154.0,
    "reference_price": 150.0,
    "decided_by": "ann",
}


@pytest.mark.parametrize(
    "command",
    [
        ApproveSignal(**GOOD),
        RejectSignal(signal_id="s", reason="too late", decided_by="ann"),
        ClosePosition(position_id="p"),
        ChangeStop(position_id="p", price=1.5),
        CancelOrder(order_id="o"),
        HaltTrading(),
    ],
    ids=lambda command: command.name,
)
def test_a_command_reads_back_from_its_row(command: Command) -> None:
    assert parse_command(command.name, json.loads(json.dumps(command.to_payload()))) == command


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", math.nan),
        ("quantity", math.inf),
        ("quantity", -1),
        ("quantity", 0),
        ("quantity", 1e12),
        ("quantity", "100"),
        ("quantity", True),
        ("limit_price", None),
        ("limit_price", -0.01),
        ("stop_loss", math.nan),
        ("version", 1.5),
        ("version", -1),
        ("version", True),
        ("symbol", "<b>AAPL</b>"),
        ("symbol", ""),
        ("symbol", "A" * 22),
        ("symbol", "aapl"),
        ("symbol", 5),
        ("direction", 0),
        ("direction", True),
        ("action", "sell_everything"),
        ("signal_id", ""),
        ("signal_id", "x" * 37),
        ("signal_id", "a\x00b"),
        ("decided_by", "  "),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_field(field: str, value: Any) -> None:
    with pytest.raises(BadCommand, match=field.replace("_", " ")) as refused:
        ApproveSignal(**GOOD | {field: value})
    assert refused.value.field == field


def test_unknown_names_unknown_fields_and_missing_fields_are_refused() -> None:
    with pytest.raises(BadCommand, match="no command is called"):
        parse_command("BuyEverything", {})
    with pytest.raises(BadCommand, match="has no field 'colour'"):
        parse_command("CancelOrder", {"order_id": "o", "colour": "red"})
    with pytest.raises(BadCommand, match="order id is missing"):
        parse_command("CancelOrder", {})
    with pytest.raises(BadCommand, match="not an object"):
        parse_command("CancelOrder", ["o"])  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["close_long", "close_short"])
def test_an_absent_stop_and_target_are_allowed_because_a_close_has_none(action: str) -> None:
    assert ApproveSignal(**GOOD | {"action": action, "stop_loss": None, "take_profit": None}).stop_loss is None


@given(
    name=st.sampled_from(sorted(_COMMANDS)) | st.text(max_size=10),
    payload=st.dictionaries(
        st.sampled_from([*GOOD, "position_id", "order_id", "price", "reason"]) | st.text(max_size=6),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.lists(st.integers(), max_size=2),
    ),
)
def test_garbage_is_either_a_valid_command_or_bad_command_never_anything_else(name: str, payload: dict[str, Any]) -> None:
    try:
        command = parse_command(name, payload)
    except BadCommand:
        return
    assert parse_command(command.name, command.to_payload()) == command
