"""The option flow behind a signal, as its page shows it: recent prints in plain words, the divergence series, and how old both are.

Read from what is stored. Looking asks for fresh rows (`flow_watch`), so what nobody looks at is not fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.clock import utc_now
from signals import flow_watch
from signals.domain.occ import decode
from signals.models import FlowPoint

PRINTS = 40
POINTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowPanel:
    """`state` is ready, loading (asked for, nothing stored yet) or empty; `note` says what a person should know about its age."""

    ticker: str
    state: str
    note: str
    asked_at: datetime | None
    fetched_at: datetime | None
    prints: list[dict[str, Any]]
    points: list[list[Any]]  # [epoch seconds, stock price, d_diff_short, d_diff_long], oldest first
    newest: datetime | None

    def as_json(self) -> dict[str, Any]:
        return {
            "ticker": self.ticker,
            "state": self.state,
            "note": self.note,
            "fetched_at": self.fetched_at.isoformat() if self.fetched_at else None,
            "newest": self.newest.isoformat() if self.newest else None,
            "prints": [row | {"at": row["at"].isoformat(), "expiry": _iso(row["expiry"])} for row in self.prints],
            "points": self.points,
        }


def flow_of(ticker: str) -> FlowPanel:
    """What is stored of a ticker's option flow; asks for newer rows without waiting for them."""
    flow_watch.ask(ticker)
    watch, now = flow_watch.look(ticker), utc_now()
    prints = [print_row(point) for point in _newest(ticker, "trade", PRINTS)]
    divergence = list(_newest(ticker, "divergence", POINTS))[::-1]
    found = bool(prints or divergence)
    moments = [row["at"] for row in prints[:1]] + [point.at for point in divergence[-1:]]
    return FlowPanel(
        ticker=ticker,
        state="ready" if found else "loading" if watch.waiting and not watch.late(now) else "empty",
        note=_note(watch, now, found=found),
        asked_at=watch.asked,
        fetched_at=watch.fetched,
        prints=prints,
        points=[_series_row(point) for point in divergence],
        newest=max(moments, default=None),
    )


def _newest(ticker: str, kind: str, most: int) -> Any:
    return FlowPoint.objects.filter(ticker=ticker, kind=kind).order_by("-at", "-key")[:most]


def _note(watch: flow_watch.Watch, now: datetime, *, found: bool) -> str:
    if not watch.late(now):
        return "" if found or watch.waiting else "The options-flow service has no rows of this ticker."
    shown = "; what is shown is what was stored before" if found else ""
    return f"The options-flow service has not answered yet{shown}."


def print_row(point: FlowPoint) -> dict[str, Any]:
    """One option print: the contract decoded, the money, and where in the market it traded."""
    data = point.data
    contract = decode(data.get("option_symbol"))
    return {
        "id": point.key,
        "at": point.at,
        "symbol": data.get("option_symbol") or "",
        "expiry": contract.expiry if contract else None,
        "strike": contract.strike if contract else None,
        "right": contract.right if contract else "",
        "size": data.get("size"),
        "price": data.get("price"),
        "value": data.get("trade_value"),
        "where": where_traded(data.get("price"), data.get("bid"), data.get("ask")),
    }


def where_traded(price: float | None, bid: float | None, ask: float | None) -> str:
    """Who was in a hurry: a print at the ask was bought, one at the bid was sold; "" when the market was locked or is unknown."""
    if price is None or bid is None or ask is None or ask <= bid:
        return ""
    share = (price - bid) / (ask - bid)
    steps = ((-1e-9, "below bid"), (1e-9, "at bid"), (0.4, "near bid"), (0.6, "middle"), (1 - 1e-9, "near ask"), (1 + 1e-9, "at ask"))
    return next((word for most, word in steps if share < most), "above ask")


def _series_row(point: FlowPoint) -> list[Any]:
    data = point.data
    return [int(point.at.timestamp()), data.get("stock_price"), data.get("d_diff_short"), data.get("d_diff_long")]


def _iso(day: Any) -> str | None:
    return day.isoformat() if day else None
