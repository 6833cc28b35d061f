"""A position's history told in sentences."""

from __future__ import annotations

from positions.history import history_lines

ENTRY = {"type": "levels", "version": 4, "time": "2026-03-04T17:00:00+00:00", "reason": "break even", "by": "ann"}


def test_a_change_is_told_with_what_why_and_by_whom() -> None:
    newest, oldest = history_lines([{**ENTRY, "changed": {"stop_loss": [143.2, 145.0]}}, {**ENTRY, "version": 3}])
    assert (newest.version, newest.changes, newest.why, newest.by) == (4, ["stop 143.2 → 145"], "break even", "ann")
    assert oldest.version == 3


def test_a_part_that_did_not_move_is_not_told_and_a_missing_one_is_none() -> None:
    [line] = history_lines([{**ENTRY, "changed": {"entry_price": [150.0, 150.0], "take_profit": [None, 160.0]}}])
    assert line.changes == ["target none → 160"]


def test_an_entry_in_words_of_its_own_is_shown_as_it_is() -> None:
    [line] = history_lines([{"type": "bust_seen", "changed": "by hand"}])
    assert (line.kind, line.changes, line.version) == ("bust seen", ["by hand"], None)
