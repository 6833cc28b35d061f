"""One spelling of a share, from whatever door it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.symbols import canonical_symbol, is_symbol


@pytest.mark.parametrize(
    ("spellings", "one"),
    [
        (("AAPL", "aapl", " AAPL "), "AAPL"),
        (("BRK.B", "BRK B", "BRK-B", "BRK/B", "brk b", "BRK  B"), "BRK.B"),
        (("BF B", "BF-B", "BF/B", "BF.B"), "BF.B"),
        (("BAC PRL", "BAC-L", "BAC-PL", "BAC.PRL", "BAC/PRL", "BAC PR L", "BAC.PR.L", "BAC^L", "BAC-PRL"), "BAC.PRL"),
    ],
)
def test_every_spelling_of_a_share_is_one_symbol(spellings: tuple[str, ...], one: str) -> None:
    assert {canonical_symbol(text) for text in spellings} == {one}
    assert is_symbol(one)


@given(st.text(max_size=25))
def test_the_one_spelling_is_its_own(text: str) -> None:
    once = canonical_symbol(text)
    if is_symbol(once):
        assert canonical_symbol(once) == once
