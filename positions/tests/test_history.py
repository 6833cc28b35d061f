"""A position's history told in sentences."""

from __future__ import annotations

import pytest

from positions.history import history_lines

ENTRY = {"type": "levels", "version": 4, "time": "2026-03-04T17:00:00+00:00", "reason": "break even", "by": "ann"}


def test_the_newest_change_comes_first_with_what_why_and_by_whom() -> None:
    newest, oldest = history_lines({"history": [{**ENTRY, "version": 3}, {**ENTRY, "changed": {"stop_loss": [143.2, 145.0]}}]})
    assert (newest.version, newest.changes, newest.why, newest.by) == (4, ["stop 143.2 → 145"], "break even", "ann")
    assert oldest.version == 3


def test_a_part_that_did_not_move_is_not_told_and_a_missing_one_is_none() -> None:
    [line] = history_lines({"history": [{**ENTRY, "changed": {"entry_price": [150.0, 150.0], "take_profit": [None, 160.0]}}]})
    assert line.changes == ["target none → 160"]


@pytest.mark.parametrize("data", [{}, {"history": None}, {"history": "x"}, {"history": [1, None]}])
def test_a_state_without_a_usable_history_has_no_lines(data: dict[str, object]) -> None:
    assert history_lines(data) == []


def test_an_entry_in_words_of_its_own_is_shown_as_it_is() -> None:
    [line] = history_lines({"history": [{"type": "bust_seen", "changed": "by hand"}]})
    assert (line.kind, line.changes, line.version) == ("bust seen", ["by hand"], None)
