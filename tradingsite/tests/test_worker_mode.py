"""Which account a mode may trade, and what a worker does with one it may not."""

import pytest

from tradingsite.worker.mode import mode_refusal


@pytest.mark.parametrize(
    ("mode", "account", "confirmed"),
    [("simulated", "DUSIM001", ""), ("paper", "DU1234567", ""), ("live", "U1234567", "U1234567")],
)
def test_the_matching_account_is_accepted(mode, account, confirmed):
    assert mode_refusal(mode=mode, account=account, confirmed=confirmed) is None


@pytest.mark.parametrize(
    ("mode", "account", "confirmed"),
    [
        ("simulated", "DU1234567", ""),
        ("simulated", "U1234567", "U1234567"),
        ("paper", "DUSIM001", ""),
        ("paper", "U1234567", "U1234567"),
        ("live", "DUSIM001", "DUSIM001"),
        ("live", "DU1234567", "DU1234567"),
        ("live", "U1234567", ""),
        ("live", "U1234567", "U7654321"),
        ("", "DUSIM001", ""),
        ("LIVE", "U1234567", "U1234567"),
    ],
)
def test_any_other_account_is_refused_in_one_sentence(mode, account, confirmed):
    refusal = mode_refusal(mode=mode, account=account, confirmed=confirmed)
    assert refusal is not None
    assert refusal.endswith(".")


def test_a_refusal_does_not_show_the_whole_account_number():
    refusal = mode_refusal(mode="paper", account="U1234567", confirmed="")
    assert refusal is not None
    assert "U1234567" not in refusal
