"""chaos/person.py for a whole desk: also puts a pending signal there, for somebody else to approve on a page."""

from __future__ import annotations

from typing import Any

from tradingsite.chaos import person


def signal(symbol: str, price: float, direction: int = 1) -> dict[str, Any]:
    """A signal as a prediction would have made it; refused by the database when `symbol` has a pending one."""
    return {"signal": person._signal(symbol, price, direction)}


if __name__ == "__main__":
    person.VERBS["signal"] = signal
    person.main()
