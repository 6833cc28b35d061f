"""How numbers and times are written: aligned, signed, dated, and never a zero for an unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from events.clock import utc_now
from events.templatetags import desk

WRITTEN = datetime(2026, 1, 15, 19, 3, 22, 45_000, tzinfo=UTC)
NUMBER_FILTERS = [desk.money, desk.quantity, desk.price, desk.signed, desk.signed_pct, desk.pct, desk.multiple]


@pytest.mark.parametrize("write", NUMBER_FILTERS)
@pytest.mark.parametrize("unknown", [None, "", float("nan"), float("inf"), "abc", True, Decimal("NaN")])
def test_what_is_unknown_is_a_dash_and_never_a_zero(write, unknown: object) -> None:
    assert desk.UNKNOWN in write(unknown)
    assert "0" not in write(unknown)


@pytest.mark.parametrize(
    ("value", "text"), [(1234567.891, "1,234,567.89"), (0, "0.00"), (-0.001, "0.00"), (Decimal("-5"), "−5.00"), ("12.5", "12.50")]
)
def test_money_has_two_decimals_separators_and_a_true_minus(value: object, text: str) -> None:
    assert desk.money(value) == text


@pytest.mark.parametrize(
    ("value", "way", "text"), [(88.331, "up", "▲</span>+88.33<"), (-3, "down", "▼</span>−3.00<"), (0.004, "flat", "</span>0.00<")]
)
def test_profit_carries_triangle_sign_and_colour_and_rounds_to_a_plain_zero(value: float, way: str, text: str) -> None:
    written = desk.signed(value)
    assert f"pnl {way}" in written
    assert text in written


@pytest.mark.parametrize(("value", "text"), [(141.2, "141.20"), (0.1234, "0.1234"), (0.5, "0.50"), (5210.0, "5,210.00")])
def test_prices_show_four_decimals_only_below_a_dollar(value: float, text: str) -> None:
    assert desk.price(value) == text


@pytest.mark.parametrize(("value", "text"), [(100.0, "100"), (Decimal("80.0000"), "80"), (-30, "−30"), (0.5, "0.5"), (1_200, "1,200")])
def test_share_counts_have_no_needless_decimals(value: object, text: str) -> None:
    assert desk.quantity(value) == text


@given(st.floats() | st.integers() | st.text(max_size=12) | st.none() | st.decimals())
def test_no_value_breaks_a_page(value: object) -> None:
    for write in (*NUMBER_FILTERS, desk.age, desk.et, desk.words, desk.split_words, desk.tone):
        write(value)


def test_times_are_exchange_times_with_their_zone_and_the_exact_moment_in_the_tooltip() -> None:
    written = desk.et(WRITTEN)
    assert 'Jan 15, 14:03:22<span class="zone"> EST</span>' in written
    assert 'title="2026-01-15 14:03:22.045 EST"' in written
    assert "EDT" in desk.et(WRITTEN + timedelta(days=180))
    assert desk.et(WRITTEN.isoformat()) == written


def test_a_time_without_a_zone_is_not_guessed() -> None:
    assert desk.et(WRITTEN.replace(tzinfo=None)) == desk.UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0\u202fs"), (59.9, "59\u202fs"), (60, "1\u202fmin"), (7200, "2\u202fh"), (200_000, "2\u202fd")]
)
def test_ages_use_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert desk.age_text(seconds) == text


def test_an_age_beyond_its_limit_is_marked_old() -> None:
    assert "old" not in desk.age(utc_now() - timedelta(seconds=5), 10)
    assert "age num old" in desk.age(utc_now() - timedelta(seconds=15), 10)


@pytest.mark.parametrize(
    ("state", "tone"),
    [("filled", "good"), ("WORKING", "info"), ("in_doubt", "warn"), ("missing", "alarm"), ("<b>", "quiet"), (None, "quiet")],
)
def test_a_state_has_a_tone_and_the_badge_always_its_word(state: str | None, tone: str) -> None:
    assert desk.tone(state) == tone
    badge = Template('{% include "partials/_badge.html" with state=state %}').render(Context({"state": state}))
    assert f'data-tone="{tone}"' in badge
    assert "<b>" not in badge
    assert (desk.words(state) or "unknown").replace("<b>", "&lt;b&gt;") in badge


def test_every_form_gets_an_idempotency_key_of_its_own() -> None:
    assert desk.command_key() != desk.command_key()
