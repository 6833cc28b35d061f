"""No refusal of the gate speaks in raw seconds, in names of the program or in ids, whatever is wrong and however old."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from events.order import OrderState
from positions.domain.intent import Denied
from positions.tests.domain import test_risk as gate

ODD = {
    "an old price": ({}, {"quote": replace(gate.QUOTE, time=gate.NOW - timedelta(seconds=190_220))}, {}),
    "a price from the future": ({}, {"quote": replace(gate.QUOTE, time=gate.NOW + timedelta(days=3))}, {}),
    "a clock set back": ({}, {"clock_skew": -90_000.0}, {}),
    "an order in doubt": ({}, {"orders": [gate.working("AAPL", 1, state=OrderState.IN_DOUBT)]}, {}),
    "the same signal": ({}, {"orders": [gate.working("AAPL", 1, signal_id="s1")]}, {}),
    "the same shape": ({}, {"orders": [gate.recent(100)]}, {"duplicate_window_seconds": 7200.0}),
    "half a cent": ({"quantity": 2.0}, {}, {"max_order_notional": 100.005}),
    "an old answer about margin": ({"margin": gate.margin(asked_at=gate.NOW - timedelta(days=2))}, {}, {"require_margin": True}),
}


def refusals() -> list[Any]:
    marks = [mark for mark in gate.test_each_refusal_has_its_code_and_says_what_to_do.pytestmark if mark.name == "parametrize"]
    table = [row for mark in marks for row in mark.args[1]]
    named = [pytest.param(*row[1:], id=f"{row[0]}-{number}") for number, row in enumerate(table)]
    return [*named, *(pytest.param(*row, id=name) for name, row in ODD.items())]


def complaint(denied: Denied) -> str:
    """What a person should not have to read in it; "" when all is well."""
    said = f"{denied.message} {denied.what_to_do}"
    for seconds in re.findall(r"(\d[\d.,]*) (?:s|seconds)\b", said):
        if float(seconds.replace(",", "")) > 120:
            return f"raw seconds: {seconds}"
    for what, pattern in {
        "a name of the program": r"\b[a-z]+_[a-z_]+\b",
        "an id": r"\b[0-9a-f]{8}-[0-9a-f]{4}-",
        "a raw float": r"\d\.\d{5,}|\d[eE][+-]?\d",
        "UTC": r"\bUTC\b",
    }.items():
        if found := re.search(pattern, said):
            return f"{what}: {found.group(0)}"
    return ""


@pytest.mark.parametrize(("intent", "moment", "limits"), refusals())
def test_every_refusal_reads_as_a_person_would_say_it(intent: dict[str, Any], moment: dict[str, Any], limits: dict[str, Any]) -> None:
    denied = gate.check(intent, moment, limits)
    assert denied is not None
    assert complaint(denied) == ""


@pytest.mark.parametrize(
    "said", ["it is 190220 s old", "stop_loss is missing", "order 7b1c9d2e-1111-4222", "0.30000000000004", "1e+06", "at 14:00 UTC"]
)
def test_the_walk_itself_would_notice(said: str) -> None:
    assert complaint(Denied(code="x", message=said)) != ""
