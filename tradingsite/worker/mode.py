"""Does the account that answered match the mode that was set? The sentence that says why not, or None."""

from __future__ import annotations

from events.accounts import is_paper, is_simulated, masked


def mode_refusal(*, mode: str, account: str, confirmed: str) -> str | None:
    """Live trading needs two switches, TRADING_MODE=live and LIVE_TRADING_CONFIRMED=<the account>, and a real account."""
    simulated, paper = is_simulated(account), is_paper(account)
    if mode == "simulated":
        if not simulated:
            return f"TRADING_MODE is simulated, but account {masked(account)} is not a simulated one: nothing will be sent."
        return None
    if mode == "paper":
        if simulated:
            return "TRADING_MODE is paper, but the gateway is the simulated one: set TRADING_MODE=simulated or connect to IB."
        if not paper:
            return f"TRADING_MODE is paper, but account {masked(account)} is not a paper account (DU…): nothing will be sent."
        return None
    if mode == "live":
        if simulated or paper:
            return f"TRADING_MODE is live, but account {masked(account)} is not a live account: nothing will be sent."
        if confirmed != account:
            return "TRADING_MODE is live, but LIVE_TRADING_CONFIRMED does not name this account: nothing will be sent."
        return None
    return f"TRADING_MODE {mode!r} is not simulated, paper or live."
