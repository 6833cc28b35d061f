"""The judge of a whole desk cannot be content with a page that lies: each lie is told to it here, by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tradingsite.chaos import desk_judge
from tradingsite.chaos.desk_breaking import Outage
from tradingsite.chaos.desk_browser import Mark, Notes, Shown
from tradingsite.chaos.desk_sizes import Size
from tradingsite.tests.test_oracle import Books

BEGAN, LOADED = 1000.0, 7.0
ROW = Shown(position="p", symbol="AAPL", quantity=10.0, stop=97.0)
SIZE = Size(memory=100.0, threads=10, files=30, sockets=20)


@pytest.fixture
def books(tmp_path: Any) -> Books:
    """Ten AAPL held and shown, their stop resting at 97."""
    made = Books(tmp_path)
    made.desk("ALTER TABLE positions_positionrecord ADD COLUMN stop_loss; UPDATE positions_positionrecord SET stop_loss = 97.0;")
    made.desk("ALTER TABLE events_commandrecord ADD COLUMN signal_id; UPDATE events_commandrecord SET signal_id = 's';")
    made.gateway("UPDATE orders SET data = json_set(data, '$.spec.stop_price', 97.0)")
    return made


def told(books: Books, *rows: Shown) -> list[str]:
    database = f"sqlite:///{books.desk_path}"
    return [violation.invariant for violation in desk_judge.shown(list(rows), books.ledger_path, database)]


def test_a_page_that_shows_what_is_held_violates_nothing(books: Books) -> None:
    assert told(books, ROW) == []


@pytest.mark.parametrize(
    "rows",
    [
        (replace(ROW, quantity=11.0),),
        (replace(ROW, quantity=-10.0),),
        (replace(ROW, quantity=None),),
        (replace(ROW, symbol="MSFT"),),
        (replace(ROW, stop=96.0),),
        (replace(ROW, stop=None),),
        (ROW, replace(ROW, position="q")),
        (),
    ],
)
def test_every_lie_of_a_row_is_named(books: Books, rows: tuple[Shown, ...]) -> None:
    assert set(told(books, *rows)) == {"I9"}


def test_a_page_and_a_database_that_agree_are_still_held_against_the_gateway(books: Books) -> None:
    books.desk("UPDATE positions_positionrecord SET quantity = 20, stop_loss = 90.0")
    assert set(told(books, replace(ROW, quantity=20.0, stop=90.0))) == {"I9"}


def looks(*, stale_from: float = 4.9, enabled: int = 0, connected: bool = True, banner: bool = True, until: float = 20.0) -> list[Mark]:
    """Ten a second from the begin of the outage on."""
    moments = [tenth / 10 for tenth in range(int(until * 10))]
    return [_look(at, at >= stale_from, enabled, connected, banner) for at in moments]


def _look(at: float, stale: bool, enabled: int, connected: bool, banner: bool) -> Mark:
    pressable = enabled if stale else 2
    return Mark(at=BEGAN + at, stale=stale, buttons=2, enabled=pressable, connected=connected, banner=stale and banner)


def noted(marks: list[Mark], *outages: Outage, back: tuple[str, ...] = (), loaded: float = LOADED) -> list[str]:
    notes = Notes(marks=marks, back=list(back), frames=1, loaded_at=loaded)
    return [violation.invariant for violation in desk_judge.noted("signals", notes, list(outages), LOADED)]


def away(child: str = "ibworker", seconds: float = 12.0) -> Outage:
    return Outage(child=child, began=BEGAN, ended=BEGAN + seconds)


def test_a_page_that_says_in_time_that_it_is_stale_violates_nothing() -> None:
    assert noted(looks(), away()) == []


@pytest.mark.parametrize(
    "lie",
    [
        lambda: noted(looks(stale_from=7.0), away()),
        lambda: noted(looks(stale_from=99.0), away("web")),
        lambda: noted(looks(enabled=1), away()),
        lambda: noted(looks(banner=False), away()),
        lambda: noted(looks(enabled=1, stale_from=1.0)),  # stale for whatever reason, and approve can be pressed
    ],
)
def test_numbers_that_look_alive_when_they_are_not_are_a_violation(lie: Callable[[], list[str]]) -> None:
    assert set(lie()) == {"I6"}


def test_an_outage_shorter_than_the_limit_or_of_another_child_proves_no_late_mark() -> None:
    assert noted(looks(stale_from=99.0), away(seconds=5.0)) == []
    assert noted(looks(stale_from=99.0), away("celery")) == []


def test_a_socket_that_does_not_come_back_with_the_web_is_a_violation_unless_the_web_went_away_again() -> None:
    gone, again = away("web", 3.0), Outage(child="web", began=BEGAN + 5, ended=BEGAN + 19)
    assert "I9" in noted(looks(connected=False), gone)
    assert noted(looks(connected=True), gone) == []
    assert "I9" not in noted(looks(connected=False), gone, again)


def test_a_number_that_went_back_and_a_page_that_was_loaded_anew_are_violations() -> None:
    assert noted(looks(), back=("positions: 1/4 after 1/5",)) == ["I9"]
    assert noted(looks(), loaded=LOADED + 1) == ["I9"]


def test_two_approvals_of_one_signal_are_found_in_the_rows_and_in_what_two_tabs_were_told(books: Books) -> None:
    database = f"sqlite:///{books.desk_path}"
    assert list(desk_judge.wishes(database, [])) == []
    assert [violation.invariant for violation in desk_judge.wishes(database, ["/signals/s/approve"])] == ["I1"]
    books.desk("INSERT INTO events_commandrecord (id, name, state, signal_id) VALUES (2, 'ApproveSignal', 'pending', 's')")
    assert [violation.invariant for violation in desk_judge.wishes(database, [])] == ["I1"]


@pytest.mark.parametrize("nothing", ["refused", "expired"])
def test_a_signal_is_decided_again_only_after_an_approval_that_sent_nothing(books: Books, nothing: str) -> None:
    database = f"sqlite:///{books.desk_path}"
    books.desk(f"UPDATE events_commandrecord SET state = '{nothing}'")
    books.desk("INSERT INTO events_commandrecord (id, name, state, signal_id) VALUES (2, 'ApproveSignal', 'claimed', 's')")
    assert list(desk_judge.wishes(database, [])) == []
    books.desk("INSERT INTO events_commandrecord (id, name, state, signal_id) VALUES (3, 'ApproveSignal', 'done', 's')")
    assert [violation.invariant for violation in desk_judge.wishes(database, [])] == ["I1"]


@pytest.mark.parametrize(
    "after",
    [replace(SIZE, memory=191.0), replace(SIZE, threads=17), replace(SIZE, files=47), replace(SIZE, sockets=33), None],
)
def test_a_process_outside_its_band_is_a_violation(after: Size | None) -> None:
    found = list(desk_judge.grown({"web": SIZE}, {"web": after} if after else {}))
    assert [violation.invariant for violation in found] == ["I12"]
    assert list(desk_judge.grown({"web": SIZE}, {"web": SIZE})) == []


def test_connections_that_were_never_given_back_are_a_violation() -> None:
    assert [violation.invariant for violation in desk_judge.connections_grown(12, 21)] == ["I12"]
    assert list(desk_judge.connections_grown(12, 20)) == []


def test_every_invariant_has_its_line_in_the_account() -> None:
    assert list(desk_judge.INVARIANTS) == [f"I{number}" for number in range(1, 13)]


def test_a_database_that_is_not_there_is_no_clean_bill(tmp_path: Any) -> None:
    with pytest.raises(sqlite3.OperationalError):
        list(desk_judge.wishes(f"sqlite:///{tmp_path / 'none.sqlite3'}", []))
