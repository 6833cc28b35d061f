"""What a holding turned into overnight: guesses a person reads."""

from __future__ import annotations

import pytest

from positions.domain.overnight import ChangeKind, Holding, changes, of_positions


def holding(quantity: float, cost: float) -> Holding:
    return Holding(quantity=quantity, cost=cost)


@pytest.mark.parametrize(
    ("theirs", "kind"),
    [
        (holding(200, 50.0), ChangeKind.SPLIT),
        (holding(150, 66.67), ChangeKind.SPLIT),
        (holding(10, 1000.0), ChangeKind.SPLIT),
        (holding(200, 95.0), ChangeKind.ASSIGNMENT),
        (holding(130, 100.0), ChangeKind.UNEXPLAINED),
        (holding(-100, 100.0), ChangeKind.ASSIGNMENT),
    ],
)
def test_a_changed_holding_is_named_by_what_it_looks_like(theirs: Holding, kind: ChangeKind) -> None:
    found = changes({"AAPL": holding(100, 100.0)}, {"AAPL": theirs}, {})
    assert [change.kind for change in found] == [kind]
    assert "our book holds 100 at 100" in found[0].detail


def test_the_same_shares_under_another_name_are_a_new_symbol() -> None:
    found = changes({"FB": holding(100, 200.0)}, {"META": holding(100, 200.0)}, {})
    assert found[0].kind is ChangeKind.SYMBOL
    assert "META" in found[0].detail


def test_what_agrees_or_is_known_to_be_elsewhere_is_no_change() -> None:
    assert changes({"AAPL": holding(100, 100.0)}, {"AAPL": holding(100, 100.0), "X": holding(5, 1.0)}, {}) == []
    assert changes({"AAPL": holding(100, 100.0)}, {"AAPL": holding(130, 100.0)}, {"AAPL": 30.0}) == []


def test_rows_of_one_symbol_are_one_holding() -> None:
    assert of_positions([("A", 100, 10.0), ("A", 100, 20.0)]) == {"A": holding(200, 15.0)}
