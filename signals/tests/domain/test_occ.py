"""Option symbols in OCC's compact form."""

from datetime import date

import pytest

from signals.domain.occ import decode


def test_a_symbol_says_root_expiry_right_and_strike():
    contract = decode("SLV230519C00023000")
    assert contract is not None
    assert (contract.root, contract.expiry, contract.right, contract.strike) == ("SLV", date(2023, 5, 19), "call", 23.0)
    half = decode("BRK.B 261218P00412500")
    assert half is not None
    assert (half.root, half.right, half.strike) == ("BRK.B", "put", 412.5)


@pytest.mark.parametrize(
    "text", ["", "SLV", "SLV231319C00023000", "SLV230519X00023000", "slv230519C00023000", "<b>230519C00023000", None, 5]
)
def test_what_is_no_option_symbol_is_none(text):
    assert decode(text) is None
