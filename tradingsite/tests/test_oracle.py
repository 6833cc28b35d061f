"""The judge of the chaos runs finds what it is there to find. Its two databases are made by hand here: it knows no product code."""

import ast
import json
import sqlite3
from pathlib import Path

import pytest

from tradingsite.chaos import oracle
from tradingsite.chaos.oracle import examine

NOW = "2026-11-20 15:00:00"
DESK = """
CREATE TABLE positions_orderrecord (order_ref, intent_id, position_id, role, state, signal_id);
CREATE TABLE positions_fillrecord (exec_id, exec_base, quantity, price, commission, superseded);
CREATE TABLE positions_positionrecord (position_id, symbol, quantity, status);
CREATE TABLE events_commandrecord (id, name, state, expires_at);
INSERT INTO events_commandrecord VALUES (1, 'ApproveSignal', 'done', '2026-11-20 15:00:30');
INSERT INTO positions_orderrecord VALUES ('TD1-E', 'command-1', 'p', 'entry', 'filled', 's');
INSERT INTO positions_orderrecord VALUES ('TD1-S', 'command-1', 'p', 'stop', 'working', 's');
INSERT INTO positions_fillrecord VALUES ('x.01', 'x', 10, 100.0, 1.0, 0);
INSERT INTO positions_positionrecord VALUES ('p', 'AAPL', 10, 'open');
"""
GATEWAY = """
CREATE TABLE ledger (seq INTEGER PRIMARY KEY, at REAL, kind TEXT, data TEXT);
CREATE TABLE orders (live INTEGER, data TEXT);
"""
AT = 1_795_186_810.0  # ten seconds later


class Books:
    """A desk and a gateway that agree: one bracket, filled, its stop resting."""

    def __init__(self, folder: Path) -> None:
        self.ledger_path = folder / "gateway.sqlite3"
        self.desk_path = folder / "desk.sqlite3"
        self.desk(DESK)
        self.gateway(GATEWAY)
        self.place(1, "TD1-E", "BUY", "LMT")
        self.place(2, "TD1-S", "SELL", "STP")
        self.execution("x.01")
        self.rest(2, "STP", 10, ref="TD1-S")

    def desk(self, sql: str) -> None:
        with sqlite3.connect(self.desk_path) as link:
            link.executescript(sql)
        link.close()

    def gateway(self, sql: str, *values: object) -> None:
        with sqlite3.connect(self.ledger_path) as link:
            link.execute(sql, values) if values else link.executescript(sql)
        link.close()

    def tell(self, what: str, at: float = AT, /, **data: object) -> None:
        self.gateway("INSERT INTO ledger (at, kind, data) VALUES (?, ?, ?)", at, what, json.dumps(data))

    def place(self, number: int, ref: str, side: str, kind: str, *, at: float = AT) -> None:
        self.tell("place", at, client_id=17, order_id=number, order_ref=ref, side=side, kind=kind, quantity=10, symbol="AAPL")

    def execution(
        self, exec_id: str, *, price: float = 100.0, bust: int = 0, ref: str = "TD1-E", side: str = "BUY", quantity: float = 10,
        number: int = 1, at: float = AT,
    ) -> None:  # fmt: skip
        words = {"exec_id": exec_id, "order_ref": ref, "symbol": "AAPL", "side": side, "quantity": quantity, "price": price}
        self.tell("execution", at, **words, client_id=17, order_id=number, commission=1.0, liquidation=bust)

    def rest(self, number: int, kind: str, quantity: float, *, parent: int = 0, ref: str = "", filled: float = 0) -> None:
        spec = {"client_id": 17, "order_id": number, "symbol": "AAPL", "side": "SELL", "kind": kind, "parent_id": parent}
        spec["order_ref"] = ref
        self.gateway("INSERT INTO orders VALUES (1, ?)", json.dumps({"spec": spec, "quantity": quantity, "filled": filled}))

    def violated(self, *, settled: bool = True) -> set[str]:
        return {v.invariant for v in examine(self.ledger_path, f"sqlite:///{self.desk_path}", settled=settled)}


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path)


def test_books_that_agree_violate_nothing(books):
    assert books.violated() == set()


@pytest.mark.parametrize(
    ("invariant", "tamper"),
    [
        ("I1", lambda b: b.place(9, "TD1-E", "BUY", "LMT")),
        ("I1", lambda b: b.desk("UPDATE events_commandrecord SET state = 'claimed'")),
        ("I1", lambda b: b.desk("UPDATE positions_orderrecord SET state = 'in_doubt' WHERE role = 'stop'")),
        ("I2", lambda b: b.place(9, "TD9-E", "BUY", "LMT")),
        ("I2", lambda b: b.desk("UPDATE positions_orderrecord SET state = 'canceled' WHERE role = 'stop'")),
        ("I2", lambda b: b.desk("UPDATE positions_orderrecord SET state = 'working' WHERE role = 'entry'")),
        ("I3", lambda b: b.desk("DELETE FROM positions_fillrecord")),
        ("I3", lambda b: b.desk("INSERT INTO positions_fillrecord VALUES ('x.01b', 'x', 10, 100.0, 1.0, 0)")),
        ("I3", lambda b: b.desk("UPDATE positions_fillrecord SET commission = NULL")),
        ("I3", lambda b: b.desk("INSERT INTO positions_fillrecord VALUES ('y.01', 'y', 10, 100.0, 1.0, 0)")),
        ("I3", lambda b: b.execution("x.02", price=101.0)),
        ("I4", lambda b: b.desk("UPDATE positions_positionrecord SET quantity = 20")),
        ("I4", lambda b: b.execution("x.02", bust=1)),
        ("I5", lambda b: b.gateway("UPDATE orders SET live = 0")),
        ("I5", lambda b: b.rest(3, "STP", 10)),
        ("I5", lambda b: b.execution("z.01", ref="TD1-X", side="SELL", quantity=20)),
        ("I8", lambda b: b.desk("UPDATE events_commandrecord SET expires_at = '2026-11-20 15:00:05'")),
    ],
)
def test_every_disagreement_is_named(books, invariant, tamper):
    tamper(books)
    assert invariant in books.violated()


@pytest.mark.parametrize(("intent", "signal"), [("command-1", "t"), ("command-2", "s")])
def test_two_entries_of_one_wish_or_signal_are_found_even_under_two_references(books, intent, signal):
    books.desk(f"INSERT INTO positions_orderrecord VALUES ('TD2-E', '{intent}', 'q', 'entry', 'filled', '{signal}')")
    books.place(9, "TD2-E", "BUY", "LMT")
    assert "I1" in books.violated()


def test_a_stop_that_waits_for_its_entry_covers_nothing_yet(books):
    books.rest(7, "LMT", 10)
    books.rest(8, "STP", 10, parent=7)
    assert books.violated() == set()


@pytest.mark.parametrize(("stop", "found"), [(10, set()), (3, set()), (2, {"I5"})])
def test_a_stop_of_a_parent_that_works_covers_what_it_has_filled(books, stop, found):
    books.execution("y.01", ref="TD2-E", quantity=4, number=7)
    books.rest(7, "LMT", 10, filled=4)
    books.rest(8, "STP", stop, parent=7)
    books.rest(9, "LMT", 10, parent=7, filled=1)
    books.execution("z.01", ref="TD2-T", side="SELL", quantity=1, number=9)
    assert books.violated() & {"I5"} == found


def test_a_modify_is_the_same_order(books):
    books.place(1, "TD1-E", "BUY", "LMT")
    assert books.violated() == set()


def test_an_exit_of_all_that_is_held_and_a_new_entry_the_other_way_are_allowed(books):
    books.execution("z.01", ref="TD1-X", side="SELL")
    books.execution("y.01", ref="TD2-E", side="SELL")
    assert "I5" not in books.violated(settled=False)


def test_an_exit_of_too_much_is_found_at_every_moment_whatever_follows(books):
    books.execution("z.01", ref="TD1-X", side="SELL", quantity=20)
    books.execution("y.01", ref="TD2-E", side="BUY")
    assert books.violated(settled=False) == {"I5"}


@pytest.mark.parametrize(
    ("gone", "back", "found"),
    [(AT + 0.5, None, set()), (AT + 0.5, AT + 5.0, set()), (AT + 0.5, AT + 4.0, {"I5"})],
    ids=["it is away", "it has just come back", "it is long back"],
)
def test_a_resting_exit_may_fill_while_its_client_cannot_take_it_back(books, gone, back, found):
    books.tell("connected", AT, client_id=17)
    books.execution("x.02", bust=1)
    books.tell("gone", gone, client_id=17)
    if back:
        books.tell("connected", back, client_id=17)
    books.execution("z.01", ref="TD1-S", side="SELL", number=2, at=AT + 5.5)
    assert books.violated(settled=False) & {"I5"} == found


@pytest.mark.parametrize(
    ("number", "at", "found"),
    [(2, AT + 0.5, set()), (2, AT + 1.5, {"I5"}), (9, AT + 0.5, {"I5"})],
    ids=["it rested already", "time enough to cancel it", "it was sent after the bust"],
)
def test_a_resting_exit_may_fill_before_anybody_has_heard_of_a_bust(books, number, at, found):
    books.execution("x.02", bust=1)
    books.place(9, "TD1-X", "SELL", "MKT", at=AT + 0.2)
    books.execution("z.01", ref="TD1-S", side="SELL", number=number, at=at)
    assert books.violated(settled=False) & {"I5"} == found


def test_in_the_middle_of_a_crash_only_what_always_holds_is_asked(books):
    books.desk("UPDATE events_commandrecord SET state = 'claimed'; DELETE FROM positions_fillrecord;")
    assert books.violated(settled=False) == set()


def test_the_judge_shares_no_code_with_the_product():
    tree = ast.parse(Path(oracle.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not {name for name in imported if name.split(".")[0] in ("events", "positions", "signals", "tradingsite", "django")}
