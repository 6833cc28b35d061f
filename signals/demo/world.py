"""What the demo provider knows: predictions, option prints, divergence and minute bars of the simulated market.

Everything is a pure function of (seed, ticker, minute), in step with the gateway's market of the same seed. Predictions come in
spells of a few minutes; a directional one looks 45 minutes ahead now and then, which gives a real but modest edge.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from events.symbols import broker_symbol
from positions.gateway.market import Market, market_time
from positions.gateway.market_symbols import UnknownSymbol, symbol_info

EASTERN = ZoneInfo("America/New_York")
TICKERS = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "META", "SPY", "QQQ", "GOOGL", "AMD", "GLD", "SLV", "CVNA", "SOXL", "TQQQ", "IWM")
READY_AFTER = 6.0  # seconds past the minute until its prediction can be fetched
HORIZON = 45 * 60
MODEL = "models/{}/directional_v3.pt"
DEFAULT_MODEL = "models/default/directional_v3.pt"

_SPELL_MINUTES = 4
_DIRECTIONAL = 0.45  # share of spells that are not neutral
_FORESIGHT = 0.14  # share of directional spells that know the future; the others toss a coin
_FIRST_MINUTE = 15_778_080  # 2000-01-01, so that print ids stay small


class World:
    """The provider's data. Times are wall epoch seconds; `speed` is how fast the market's clock runs."""

    def __init__(self, seed: int, *, speed: float = 1.0, market: Market | None = None) -> None:
        self.seed = seed
        self.speed = speed
        self.market = market or Market(seed)

    def knows(self, ticker: str) -> bool:
        try:
            symbol_info(broker_symbol(ticker))
        except UnknownSymbol:
            return False
        return True

    def price(self, ticker: str, at: float) -> float:
        return self.market.last(broker_symbol(ticker), market_time(at, self.speed))

    @staticmethod
    def newest_minute(now: float) -> int:
        """The minute whose prediction is ready."""
        return int((now - READY_AFTER) // 60)

    def prediction(self, ticker: str, minute: int, *, default_only: bool = False) -> dict[str, Any]:
        """The prediction object of one minute."""
        direction, confidence = self._view(ticker, minute, default_only)
        rest = 1 - confidence
        side = self._random("share", ticker, minute).uniform(0.2, 0.8) * rest
        shares = {
            0: [side, confidence, rest - side],
            1: [side / 2, rest - side / 2, confidence],
            -1: [confidence, rest - side / 2, side / 2],
        }
        at = minute * 60
        features = self.divergence_point(ticker, minute)
        return {
            "ticker": ticker,
            "signal": {1: "BUY", 0: "NEUTRAL", -1: "SELL"}[direction],
            "numeric": direction,
            "confidence": round(confidence, 4),
            "probabilities": [round(share, 4) for share in shares[direction]],
            "timestamp": at * 1000,
            "datetime": iso(at),
            "datetime_of_data": iso(at),
            "prediction_time": iso(at + 5),
            "stock_price": self.price(ticker, at),
            "feature_values": {name: features[name] for name in ("d_diff_short", "d_diff_long", "sum_pos", "sum_neg", "number_of_trades")},
        }

    def model_info(self, ticker: str, *, default_only: bool = False) -> dict[str, Any]:
        own = ticker in TICKERS and not default_only
        return {
            "model_path": MODEL.format(ticker) if own else DEFAULT_MODEL,
            "is_ticker_specific": own,
            "using_default_only": default_only,
        }

    def _view(self, ticker: str, minute: int, default_only: bool) -> tuple[int, float]:
        """(direction, confidence) of a minute: the spell's view with a little noise of its own."""
        model = "default" if default_only else "own"
        # Each ticker's spells begin at another minute, so that signals do not come all at once.
        spell = (minute + self._random("offset", ticker).randrange(_SPELL_MINUTES)) // _SPELL_MINUTES
        view, noise = self._random("spell", ticker, spell, model), self._random("noise", ticker, minute, model)
        if view.random() >= _DIRECTIONAL:
            return 0, min(0.99, max(0.5, view.uniform(0.90, 0.935) + noise.uniform(-0.004, 0.004)))
        direction = 1 if view.random() < 0.5 else -1
        if view.random() < _FORESIGHT:
            begin = market_time(spell * _SPELL_MINUTES * 60, self.speed)
            direction = 1 if self.market.drift(broker_symbol(ticker), begin, HORIZON * self.speed) > 0 else -1
        return direction, view.uniform(0.70, 0.93) + noise.uniform(-0.01, 0.01)

    def minute_bar(self, ticker: str, minute: int) -> dict[str, Any]:
        start = market_time(minute * 60, self.speed)
        bar = self.market.bar(broker_symbol(ticker), int(start), max(1, int(60 * self.speed)))
        return {
            "ticker": ticker,
            "timestamp": minute * 60_000,
            "datetime": iso(minute * 60),
            "open": bar.open,
            "high": bar.high,
            "low": bar.low,
            "close": bar.close,
            "volume": bar.volume,
            "date_added": iso(minute * 60 + 62),
        }

    def trades(self, ticker: str, minute: int) -> list[dict[str, Any]]:
        """The option prints of one minute, oldest first."""
        random = self._random("prints", ticker, minute)
        base = (self._random("id", ticker).randrange(90_000) + 10_000) * 10**10 + (minute - _FIRST_MINUTE) * 64
        seconds = sorted(random.uniform(0, 60) for _ in range(random.randrange(2, 11)))
        return [self._trade(ticker, base + k, minute * 60 + second, random) for k, second in enumerate(seconds)]

    def _trade(self, ticker: str, identity: int, at: float, random: Random) -> dict[str, Any]:
        price = self.price(ticker, at)
        call = random.random() < 0.56
        step = 1.0 if price < 200 else 2.5 if price < 400 else 5.0
        strike = max(step, round(price / step + random.gauss(0, 2)) * step)
        expiry = next_friday(datetime.fromtimestamp(at, EASTERN).date(), weeks=random.randrange(4))
        years = max(1, (expiry - datetime.fromtimestamp(at, EASTERN).date()).days + 1) / 365
        fair, delta = black_scholes(price, strike, years, call=call)
        half = max(0.01, round(fair * 0.02, 2))
        bid, ask = max(0.01, round(fair - half, 2)), round(fair + half, 2)
        place = random.choice((0.0, 0.25, 0.5, 0.75, 1.0))
        traded, size = round(bid + (ask - bid) * place, 2), max(1, int(random.lognormvariate(2.2, 1.1)))
        return {
            "id": identity,
            "ticker": ticker,
            "option_symbol": f"{ticker.replace(' ', '')}{expiry:%y%m%d}{'C' if call else 'P'}{round(strike * 1000):08d}",
            "trade_timestamp": int(at * 1000),
            "trade_datetime": iso(at),
            "date_added": iso(at + 1),
            "price": traded,
            "bid": bid,
            "ask": ask,
            "size": size,
            "trade_value": round(traded * size * 100, 2),
            "price_threshold": round((traded - bid) / (ask - bid), 4) if ask > bid else 0.5,
            "delta": round(delta, 4),
            "updated_delta": round(delta, 4),
            "underlying_price": price,
            "underlying_bid": round(price - 0.01, 2),
            "underlying_ask": round(price + 0.01, 2),
        }

    def divergence_point(self, ticker: str, minute: int) -> dict[str, Any]:
        random = self._random("divergence", ticker, minute)
        positive, negative = round(random.uniform(0.4, 6), 4), -round(random.uniform(0.4, 6), 4)
        point = {
            "ticker": ticker,
            "timestamp": minute * 60_000,
            "datetime": iso(minute * 60),
            "date_added": iso(minute * 60 + 62),
            "stock_price": self.price(ticker, minute * 60),
            "number_of_trades": random.randrange(2, 60),
            "sum_pos": positive,
            "sum_neg": negative,
            "lambda_short": 0.45,
            "lambda_long": 0.9,
        }
        for name, span in (("short", 5), ("long", 30)):
            now, before = (self._divergence(ticker, minute - back, span) for back in (0, 1))
            diff = round(now[0] + now[1], 6)
            point |= {f"d_pos_{name}": now[0], f"d_neg_{name}": now[1], f"d_diff_{name}": diff}
            point[f"d_diff_derivative_{name}"] = round(diff - round(before[0] + before[1], 6), 6)
        return point

    def _divergence(self, ticker: str, minute: int, span: int) -> tuple[float, float]:
        """(positive, negative) pull of the recent flow: the move over `span` minutes, blurred."""
        then, now = self.price(ticker, (minute - span) * 60), self.price(ticker, minute * 60)
        pull = math.tanh(math.log(now / then) * 300)
        random = self._random("pull", ticker, minute, span)
        return round(max(0.0, pull) + random.uniform(0, 0.1), 6), round(min(0.0, pull) - random.uniform(0, 0.1), 6)

    def _random(self, *parts: object) -> Random:
        return Random("|".join(map(str, (self.seed, *parts))))


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def next_friday(day: date, *, weeks: int) -> date:
    return day + timedelta(days=(4 - day.weekday()) % 7 + 7 * weeks)


def eastern_minute(day: date, clock: time) -> int:
    """The epoch minute of an Eastern wall time."""
    return int(datetime.combine(day, clock, EASTERN).timestamp() // 60)


def black_scholes(price: float, strike: float, years: float, *, call: bool, volatility: float = 0.35) -> tuple[float, float]:
    """(value, delta) of a European option without interest."""
    spread = volatility * math.sqrt(years)
    d1 = math.log(price / strike) / spread + spread / 2
    upper, lower = _normal(d1), _normal(d1 - spread)
    if call:
        return max(0.01, price * upper - strike * lower), upper
    return max(0.01, strike * (1 - lower) - price * (1 - upper)), upper - 1


def _normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))
