"""The API's eight calls as objects on the client, with their parameters spelled and typed.

Dates are US Eastern days; times are HH:MM and belong to the date beside them. Every call returns the unwrapped `data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Protocol

from events.symbols import canonical_symbol, is_symbol
from signals.domain.flow_errors import FlowBadRequest
from signals.domain.limiter import CallClass

Day = date | str | None


class Getter(Protocol):
    """The client, as an endpoint sees it."""

    async def get(self, path: str, parameters: Mapping[str, Any], kind: CallClass, *, slow: bool = False) -> dict[str, Any]: ...


class _Endpoint:
    def __init__(self, client: Getter) -> None:
        self._client = client


def _ticker(ticker: str) -> str:
    symbol = canonical_symbol(ticker)
    if not is_symbol(symbol):
        raise FlowBadRequest(400, f"{ticker[:40]!r} is not a ticker")
    return symbol


class StatusEndpoint(_Endpoint):
    async def get_status_async(self) -> dict[str, Any]:
        """Health of the provider: system, market, tickers, threads, ml_system."""
        return await self._client.get("status", {}, CallClass.STANDARD)


class TickersEndpoint(_Endpoint):
    async def get_tickers_async(self) -> dict[str, Any]:
        """{tickers, count}: what the provider has data for."""
        return await self._client.get("tickers", {}, CallClass.STANDARD)


class PredictionEndpoint(_Endpoint):
    async def get_latest_prediction_async(self, ticker: str, use_default_only: bool = False) -> dict[str, Any]:
        """{ticker, prediction, model_info}. "Latest" promises no freshness."""
        parameters = {"ticker": _ticker(ticker), "use_default_only": use_default_only}
        return await self._client.get("prediction/latest", parameters, CallClass.STANDARD)

    async def get_predictions_async(
        self, ticker: str, *, limit: int = 100, start_date: Day = None, end_date: Day = None, use_default_only: bool = False
    ) -> dict[str, Any]:
        """{ticker, count, predictions, model_info}, in no promised order; count == limit means the window may be cut."""
        parameters = {
            "ticker": _ticker(ticker),
            "limit": limit,
            "start_date": start_date,
            "end_date": end_date,
            "use_default_only": use_default_only,
        }
        return await self._client.get("predictions", parameters, CallClass.HEAVY)


class _Rows(_Endpoint):
    """Trades and minute data share their parameters."""

    async def _rows(
        self, path: str, ticker: str, limit: int, recent: bool | None, days: tuple[Day, Day], times: tuple[str | None, str | None]
    ) -> dict[str, Any]:
        parameters = {"ticker": _ticker(ticker), "limit": limit, "recent": recent}
        parameters |= {"start_date": days[0], "end_date": days[1], "start_time": times[0], "end_time": times[1]}
        return await self._client.get(path, parameters, CallClass.HEAVY)


class TradesEndpoint(_Rows):
    async def get_trades_async(
        self,
        ticker: str,
        *,
        limit: int = 100,
        recent: bool | None = None,
        start_date: Day = None,
        end_date: Day = None,
        start_time: str | None = None,
        end_time: str | None = None,
    ) -> dict[str, Any]:
        """{ticker, count, trades}: option prints. `recent` = the newest `limit` rows, dates ignored."""
        return await self._rows("trades", ticker, limit, recent, (start_date, end_date), (start_time, end_time))


class MinuteDataEndpoint(_Rows):
    async def get_minute_data_async(
        self,
        ticker: str,
        *,
        limit: int = 100,
        recent: bool | None = None,
        start_date: Day = None,
        end_date: Day = None,
        start_time: str | None = None,
        end_time: str | None = None,
    ) -> dict[str, Any]:
        """{ticker, count, minute_data}: one-minute bars of the underlying."""
        return await self._rows("minute-data", ticker, limit, recent, (start_date, end_date), (start_time, end_time))


class DivergenceEndpoint(_Endpoint):
    async def get_divergence_async(
        self,
        ticker: str,
        *,
        days: int | None = 1,
        limit: int | None = None,
        start_date: Day = None,
        end_date: Day = None,
        start_time: str | None = None,
        end_time: str | None = None,
    ) -> dict[str, Any]:
        """{ticker, count, divergence_data}: the delta divergence series. `days` is ignored when dates are given."""
        parameters = {"ticker": _ticker(ticker), "days": days, "limit": limit, "start_date": start_date, "end_date": end_date}
        return await self._client.get("divergence", parameters | {"start_time": start_time, "end_time": end_time}, CallClass.HEAVY)


class DataRangeEndpoint(_Endpoint):
    async def get_data_range_async(
        self,
        ticker: str,
        start_date: Day,
        end_date: Day,
        *,
        lookback_hours: float = 8,
        lambda_short: float = 0.45,
        lambda_long: float = 0.9,
        **filters: float,
    ) -> dict[str, Any]:
        """{ticker, parameters, data_info, divergence_data}, recomputed: slow, ask for one day at a time.
        `filters`: min_value, max_value (USD), min_size, max_size (contracts), min_delta, max_delta."""
        if unknown := set(filters) - {f"{edge}_{name}" for edge in ("min", "max") for name in ("value", "size", "delta")}:
            raise FlowBadRequest(400, f"no such filter: {', '.join(sorted(unknown))}")
        parameters = {"ticker": _ticker(ticker), "start_date": start_date, "end_date": end_date, "lookback_hours": lookback_hours}
        parameters |= {"lambda_short": lambda_short, "lambda_long": lambda_long}
        return await self._client.get("data-range", parameters | filters, CallClass.HEAVY, slow=True)
