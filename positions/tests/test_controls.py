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
