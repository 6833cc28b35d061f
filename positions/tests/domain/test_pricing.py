"""Prices on the venue's grid, references on the wire, and the two ledgers agreeing to the cent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.order import OrderRole, OrderSide
from positions.domain.errors import InvalidPrice
from positions.domain.holding import Fold
from positions.domain.ledger import fold_all
from positions.domain.pricing import CENT, checked_price, decimal, increment_at, snap_limit, snap_stop
from positions.domain.references import LONGEST, new_ulid, order_ref

BUY, SELL = OrderSide.BUY, OrderSide.SELL
BANDS = ((0.0, 0.0001), (1.0, 0.01), (100.0, 0.05))


@pytest.mark.parametrize(
    ("price", "side", "limit", "stop"),
    [(100.07, BUY, 100.05, 100.1), (100.07, SELL, 100.1, 100.05), (0.12345, BUY, 0.1234, 0.1235), (1.009, BUY, 1.0, 1.01)],
)
def test_prices_snap_to_their_band_toward_the_passive_side(price: float, side: OrderSide, limit: float, stop: float) -> None:
    assert (snap_limit(price, side, BANDS), snap_stop(price, side, BANDS)) == (limit, stop)


def test_a_price_never_snaps_to_zero() -> None:
    assert snap_limit(0.004, BUY) == 0.01


@given(st.floats(0.01, 1e5), st.sampled_from(OrderSide))
def test_a_snapped_price_is_on_the_grid_and_stays_there(price: float, side: OrderSide) -> None:
    snapped = snap_limit(price, side, BANDS)
    assert decimal(snapped) % increment_at(price, BANDS) == 0
    assert (snapped <= price) if side is BUY and price >= 0.01 else snapped >= price - 1e-9
    assert snap_limit(snapped, side, BANDS) == snapped


@pytest.mark.parametrize("price", [0, -1, float("nan"), float("inf"), None, "1", True])
def test_what_is_no_price_is_refused(price: float) -> None:
    with pytest.raises(InvalidPrice):
        checked_price(price)


@pytest.mark.parametrize(
    "intent_id", ["01JABCDEFGHJKMNPQRSTVWXYZ0", "6f1c2f0e-0d0f-4a53-9d9c-4f2f4a1e7b21", "anything else", "ünïcode " * 9]
)
def test_a_reference_is_short_plain_and_tells_the_leg(intent_id: str) -> None:
    refs = {order_ref("DEV", intent_id, role) for role in (OrderRole.ENTRY, OrderRole.STOP, OrderRole.TARGET, OrderRole.EXIT)}
    assert len(refs) == 4
    assert all(len(ref) <= LONGEST and re.fullmatch(r"DEV[0-9A-Z]{26}-[ESTX]", ref) for ref in refs)


def test_ulids_sort_by_time() -> None:
    times = [datetime(2026, 3, 2, 15, minute, tzinfo=UTC) for minute in range(30)]
    ulids = [new_ulid(time) for time in times]
    assert ulids == sorted(ulids)
    assert len(set(ulids)) == 30


def test_a_prefix_that_would_not_come_back_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="prefix"):
        order_ref("MUCHTOOLONG", "x", OrderRole.ENTRY)


@given(st.lists(st.tuples(st.integers(-1000, 1000).filter(bool), st.integers(1, 99_999_99)), max_size=60))
def test_the_float_position_and_the_decimal_ledger_agree_to_the_cent(fills: list[tuple[int, int]]) -> None:
    """Each floats' holding that reaches zero hands on to the next, as the tracker does."""
    realized, current = 0.0, Fold()
    for quantity, cents in fills:
        current.take(quantity, cents / 100)
        leftover, current.leftover = current.leftover, 0
        if current.quantity == 0:
            realized, current = realized + current.realized, Fold()
        if leftover:
            current.take(leftover, cents / 100)
    books = fold_all((quantity, cents / 100) for quantity, cents in fills)
    assert current.quantity == books.quantity
    assert abs(Decimal(repr(realized + current.realized)) - books.realized) < CENT / 2
