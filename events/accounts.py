"""Names of brokerage accounts: which are simulated, and how pages write them. Pure."""

from __future__ import annotations

SIMULATED_PREFIX = "DUSIM"
SIMULATED_ACCOUNT = "DUSIM001"  # the only one the simulated gateway serves
PAPER_PREFIX = "DU"


def is_simulated(account: str) -> bool:
    return account.startswith(SIMULATED_PREFIX)


def is_paper(account: str) -> bool:
    """A paper trading account of the broker's own."""
    return account.startswith(PAPER_PREFIX) and not is_simulated(account)


def masked(account: str) -> str:
    """An account number as pages show it: U1234567 → U***567. A simulated account is no secret."""
    if is_simulated(account) or len(account) < 6:
        return account
    prefix = account[: len(account) - len(account.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))]
    return f"{prefix}***{account[-3:]}"
