"""The table of controls names only what exists, and no check of the gate is missing from it."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from positions.domain.controls import CONTROLS, Control, When
from positions.domain.risk import ENTRY_CHECKS, EXIT_CHECKS

ROOT = Path(__file__).resolve().parents[2]


def attribute(path: str) -> object:
    module, _, names = path.partition(":")
    found: object = import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_every_control_is_implemented_and_tested_or_reasoned_away(control: Control) -> None:
    if control.not_applicable:
        assert not control.by
        return
    assert control.by
    assert control.tests
    for path in control.by:
        assert callable(attribute(path)), path
    for test in control.tests:
        file, _, name = test.partition("::")
        functions = {
            node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in functions if name else any(f.startswith("test_") for f in functions), test


def test_every_check_of_the_gate_stands_in_the_table() -> None:
    named = {path.rpartition(":")[2] for control in CONTROLS for path in control.by}
    assert {check.__name__ for check in (*ENTRY_CHECKS, *EXIT_CHECKS)} <= named


def test_all_three_moments_are_covered() -> None:
    assert {control.when for control in CONTROLS} == set(When)


# The desk's checklist, line by line: a few words of the line → words of the names of the rows that stand for it.
CHECKLIST = {
    "authorised approver, fresh session, right role": ("right role", "Password again"),
    "trading state in the web and at the socket": ("Trading state, in the web", "Trading state, between the commit"),
    "instrument known, pinned, not restricted": ("Instrument known", "Restricted list"),
    "session, near the close, halts": ("Session open", "near the close"),
    "quantity and value of an order": ("Largest quantity", "Largest value", "asset class"),
    "open risk per name, source, book; most positions": ("Open risk of one symbol", "Open risk of the book", "Most positions"),
    "capital threshold by what-if": ("Capital threshold",),
    "collar, sides": ("Price collar", "on their sides"),
    "quote freshness and data type": ("Quote fresh",),
    "reduce-only never increases": ("Reduce-only",),
    "duplicates": ("same intent once", "Same shape"),
    "repeat executions": ("Repeats per symbol",),
    "message rates": ("Message rate", "Working orders"),
    "signal validity": ("Signature", "known shape", "Confidence floor", "Price drift", "Approval still valid"),
    "protections after losses": ("Losing streaks",),
    "daily and weekly loss lock": ("Daily and weekly loss",),
    "a stop, worst loss in money and R": ("carries a stop", "Worst loss"),
    "account pinned, mode matches": ("Account pinned",),
    "intent committed before send": ("Intent committed",),
    "in-flight timer": ("In-flight timer", "never a resend"),
    "link state gate": ("degraded link",),
    "self-cross": ("No crossing",),
    "stop coverage": ("Stops cover",),
    "trailing only ratchets": ("only ratchets",),
    "cancel-on-disconnect policy": ("While the link is away",),
    "market-data sanity": ("sane price", "jump of the price"),
    "kill switch": ("A halt takes", "Flatten cancels", "without Redis"),
    "alarm with acknowledgement": ("needs an acknowledgement",),
    "heartbeat and single owner": ("One worker only",),
    "executions at once, execution id unique": ("at once and once",),
    "reconcile": ("Reconcile at start",),
    "statement match": ("Statement of the broker",),
    "post-trade exposure": ("Exposure beyond",),
    "commissions and corrections": ("Commissions and corrections",),
    "overnight diff": ("overnight",),
    "error-trade procedure": ("Error trades",),
    "weekly review": ("Weekly review",),
    "change control": ("Limit edits", "journal rebuilds"),
    "records": ("Records sealed", "A copy of the database each hour"),
}


@pytest.mark.parametrize("line", CHECKLIST)
def test_every_line_of_the_checklist_has_its_rows(line: str) -> None:
    names = [control.name for control in CONTROLS]
    for words in CHECKLIST[line]:
        assert sum(words in name for name in names) == 1, words
