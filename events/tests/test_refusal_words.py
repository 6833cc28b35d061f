"""Every refusal's code has a title for people."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from events.refusal_words import TITLES, refusal_title

FLOORS = ("events", "positions", "signals", "tradingsite")
NOT_OURS = ("tests", "testing", "chaos", "bench", "gateway", "demo", "management", "desk")
REFUSERS = {"denied", "_denied", "refused", "_refusal"}


def sources() -> Iterator[Path]:
    for floor in FLOORS:
        for file in (settings.BASE_DIR / floor).rglob("*.py"):
            if not set(file.relative_to(settings.BASE_DIR).parts) & set(NOT_OURS):
                yield file


def codes_of(file: Path) -> Iterator[str]:
    """Of `Denied(code="…")`, `denied("…", …)`, `Outcome.refused("…", …)` and `code=` of anything else."""
    for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        found = [word.value for word in call.keywords if word.arg == "code"]
        found += call.args[:1] if name in REFUSERS else []
        for value in found:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.value


CODES = sorted({code for file in sources() for code in codes_of(file)})


def test_the_codes_of_the_product_are_found() -> None:
    assert {"no_what_if", "price_collar", "max_notional", "ratchet", "worker_down", "halted"} <= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_title(code: str) -> None:
    assert code.isdigit() or code in TITLES, f"{code!r} has no title"
    assert "_" not in refusal_title(code)


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("201", "IB error 201"),
        ("locked_daily_loss", "locked: daily loss limit"),
        ("margin_moved_price", "margin to be asked again"),
        ("", ""),
        (None, ""),
        ("of_tomorrow", "of tomorrow"),
    ],
)
def test_what_is_put_together_has_one_too(code: object, title: str) -> None:
    assert refusal_title(code) == title
