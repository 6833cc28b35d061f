"""Putting cancellations beside their trades costs one step each, however many there are and however alike they look."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from time import process_time

import pytest

from positions.statements.cancels import settle
from positions.statements.statement import StatementTrade

DAY, AT = date(2026, 3, 2), datetime(2026, 3, 2, 15, 30, tzinfo=UTC)


def pair(number: int, *, named: bool) -> list[StatementTrade]:
    def row(shares: int, cancels: bool) -> StatementTrade:
        return StatementTrade(
            exec_id="" if cancels else f"a{number}.01", symbol="AAPL", day=DAY, at=AT, quantity=Decimal(shares), price=Decimal(150),
            commission=Decimal(1), realized=Decimal(0), is_cancel=cancels, lines=(2 * number + cancels,),
            trade_id="" if cancels or not named else str(number), original_trade_id=str(number) if cancels and named else "",
        )  # fmt: skip

    return [row(100, False), row(-100, True)]


def seconds(pairs: int, named: bool) -> float:
    rows = [row for number in range(pairs) for row in pair(number, named=named)]
    rows.sort(key=lambda row: row.is_cancel)
    began = process_time()
    settled = settle(rows, DAY)
    took = process_time() - began
    assert (len(settled.trades), len(settled.cancelled), len(settled.cancels)) == (0, pairs, 0)
    return took


@pytest.mark.parametrize("named", [True, False])
def test_eight_times_the_cancellations_take_about_eight_times_as_long(named: bool) -> None:
    assert seconds(16_000, named) < 24 * max(seconds(2_000, named), 0.002)  # every trade looked at for each would be 64 times
