"""A statement's executions beside ours: matches, what is missing on either side, differences to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from positions.gateway.statement import _first_in_first_out
from positions.statements.matching import OurFill, compare, with_realized
from positions.statements.statement import Statement, StatementTrade

DAY, AT = date(2026, 3, 2), datetime(2026, 3, 2, 15, 30, tzinfo=UTC)


def fill(
    exec_id: str = "a.01", shares: int = 100, price: str = "150", fee: str | None = "1", minutes: int = 0, order: str = "o1"
) -> OurFill:
    return OurFill(
        exec_id=exec_id, order_id=order, symbol="AAPL", at=AT + timedelta(minutes=minutes), day=DAY, quantity=Decimal(shares),
        price=Decimal(price), commission=None if fee is None else Decimal(fee),
    )  # fmt: skip


def said(ours: OurFill, **changed: object) -> StatementTrade:
    same = StatementTrade(
        exec_id=ours.exec_id, symbol=ours.symbol, day=ours.day, at=ours.at, quantity=ours.quantity, price=ours.price,
        commission=ours.commission or Decimal(0), realized=ours.realized,
    )  # fmt: skip
    return replace(same, **changed)  # type: ignore[arg-type]


def statement(*trades: StatementTrade, source: str = "flex") -> Statement:
    return Statement(source=source, account="U1", first=DAY, last=DAY, trades=trades)


def test_equal_sides_match_and_their_totals_are_equal() -> None:
    fills = with_realized([fill("a.01"), fill("b.01", -100, "151", minutes=5, order="o2")])
    found = compare(statement(*(said(f) for f in fills)), DAY, fills)
    assert found.ok
    assert [total["difference"] for total in found.totals] == [0, 0, 0]
    assert fills[1].realized == Decimal(98)  # 100 gained, both commissions paid


def test_each_kind_of_disagreement_has_its_word() -> None:
    fills = with_realized([fill("a.01"), fill("b.01", minutes=1), fill("c.01", minutes=2)])
    trades = [said(fills[0], commission=Decimal("1.01")), said(fills[1]), said(fills[2], exec_id="d.01")]
    found = compare(statement(*trades), DAY, fills)
    assert {row["key"]: row["state"] for row in found.rows} == {
        "a.01": "differs", "b.01": "match", "c.01": "missing_there", "d.01": "missing_here",
    }  # fmt: skip
    assert "commission" in next(row for row in found.rows if row["key"] == "a.01")["cause"]


def test_a_difference_below_the_cent_is_none_and_a_correction_is_the_same_execution() -> None:
    fills = with_realized([fill("a.01")])
    assert compare(statement(said(fills[0], commission=Decimal("1.0004"), exec_id="a.02")), DAY, fills).ok


def test_a_fee_we_were_never_told_is_a_difference() -> None:
    fills = with_realized([fill(fee=None)])
    assert compare(statement(said(fills[0], commission=Decimal(1))), DAY, fills).rows[0]["state"] == "differs"


def test_without_ids_the_fills_of_an_order_are_one_line() -> None:
    fills = with_realized([fill("a.01", 60), fill("b.01", 40, "150.10", minutes=0)])
    total = StatementTrade(
        exec_id="",
        symbol="AAPL",
        day=DAY,
        at=AT,
        quantity=Decimal(100),
        price=Decimal("150.04"),
        commission=Decimal(2),
        realized=Decimal(0),
    )
    found = compare(statement(total, source="activity"), DAY, fills)
    assert [row["state"] for row in found.rows] == ["match"]


@given(st.lists(st.tuples(st.integers(-300, 300).filter(bool), st.integers(1, 500)), min_size=1, max_size=12))
def test_two_independent_reckonings_of_realized_results_agree(trades: list[tuple[int, int]]) -> None:
    fills = with_realized([fill(f"{n}.01", shares, str(price), minutes=n) for n, (shares, price) in enumerate(trades)])
    lots: list[list[float]] = []
    for ours, (shares, price) in zip(fills, trades, strict=True):
        assert ours.realized is not None
        assert abs(float(ours.realized) - _first_in_first_out(lots, shares, price, 1.0)) < 1e-6
