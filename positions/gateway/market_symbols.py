"""What the simulated market can price: the facts of a stock that do not change with time or seed. Who may be asked for is `listing.py`.

Thirty well-known names have their own sector, beta and price range; every other symbol gets believable facts from
a hash of its letters. Symbols starting with ZZUNKNOWN are not listed, so that callers can meet an unknown contract.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

SYMBOL_PATTERN = re.compile(r"[A-Z0-9][A-Z0-9. -]{0,20}")
UNLISTED_PREFIX = "ZZUNKNOWN"
SECTORS = ("technology", "communication", "consumer", "financial", "healthcare", "industrial", "energy", "materials", "utilities", "index")


class UnknownSymbol(ValueError):
    """The symbol is not listed on the simulated market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolInfo:
    """A listed stock. Volatility is the standard deviation of a day's own (idiosyncratic) log return."""

    symbol: str
    con_id: int
    name: str
    primary_exchange: str
    min_tick: float
    sector: str
    base_price: float  # USD, what the price wanders around
    beta: float
    sector_load: float
    volatility: float
    average_volume: int  # shares a day
    shares_outstanding: int
    is_fund: bool = False


# symbol: (name, exchange, sector, base price, beta, own daily volatility, shares a day in millions, shares outstanding in millions)
_KNOWN: dict[str, tuple[str, str, str, float, float, float, float, float]] = {
    "AAPL": ("APPLE INC", "NASDAQ", "technology", 212.0, 1.1, 0.009, 55, 15_100),
    "MSFT": ("MICROSOFT CORP", "NASDAQ", "technology", 424.0, 1.0, 0.008, 21, 7_430),
    "NVDA": ("NVIDIA CORP", "NASDAQ", "technology", 131.0, 1.7, 0.018, 240, 24_400),
    "AMD": ("ADVANCED MICRO DEVICES", "NASDAQ", "technology", 148.0, 1.7, 0.019, 45, 1_620),
    "INTC": ("INTEL CORP", "NASDAQ", "technology", 31.0, 1.1, 0.017, 60, 4_300),
    "AVGO": ("BROADCOM INC", "NASDAQ", "technology", 171.0, 1.4, 0.016, 25, 4_670),
    "PLTR": ("PALANTIR TECHNOLOGIES INC-A", "NASDAQ", "technology", 42.0, 1.9, 0.024, 60, 2_250),
    "META": ("META PLATFORMS INC-CLASS A", "NASDAQ", "communication", 512.0, 1.2, 0.013, 14, 2_190),
    "GOOGL": ("ALPHABET INC-CL A", "NASDAQ", "communication", 168.0, 1.1, 0.011, 27, 5_860),
    "GOOG": ("ALPHABET INC-CL C", "NASDAQ", "communication", 169.5, 1.1, 0.011, 18, 5_590),
    "NFLX": ("NETFLIX INC", "NASDAQ", "communication", 684.0, 1.2, 0.016, 4, 430),
    "AMZN": ("AMAZON.COM INC", "NASDAQ", "consumer", 186.0, 1.2, 0.012, 41, 10_500),
    "TSLA": ("TESLA INC", "NASDAQ", "consumer", 243.0, 1.9, 0.024, 95, 3_190),
    "CVNA": ("CARVANA CO", "NYSE", "consumer", 172.0, 2.0, 0.032, 4, 128),
    "JPM": ("JPMORGAN CHASE & CO", "NYSE", "financial", 214.0, 1.0, 0.008, 9, 2_840),
    "BAC": ("BANK OF AMERICA CORP", "NYSE", "financial", 39.5, 1.1, 0.010, 36, 7_760),
    "GS": ("GOLDMAN SACHS GROUP INC", "NYSE", "financial", 497.0, 1.2, 0.010, 2, 316),
    "BRK B": ("BERKSHIRE HATHAWAY INC-CL B", "NYSE", "financial", 452.0, 0.8, 0.006, 3, 1_320),
    "UNH": ("UNITEDHEALTH GROUP INC", "NYSE", "healthcare", 574.0, 0.6, 0.012, 3, 923),
    "LLY": ("ELI LILLY & CO", "NYSE", "healthcare", 905.0, 0.7, 0.015, 3, 950),
    "BA": ("BOEING CO/THE", "NYSE", "industrial", 161.0, 1.3, 0.015, 8, 617),
    "CAT": ("CATERPILLAR INC", "NYSE", "industrial", 352.0, 1.1, 0.010, 3, 485),
    "XOM": ("EXXON MOBIL CORP", "NYSE", "energy", 116.0, 0.7, 0.009, 15, 4_440),
    "CVX": ("CHEVRON CORP", "NYSE", "energy", 147.0, 0.8, 0.009, 8, 1_830),
    "SPY": ("SPDR S&P 500 ETF TRUST", "ARCA", "index", 563.0, 1.0, 0.0008, 52, 1_020),
    "QQQ": ("INVESCO QQQ TRUST SERIES 1", "NASDAQ", "index", 481.0, 1.2, 0.0015, 36, 620),
    "IWM": ("ISHARES RUSSELL 2000 ETF", "ARCA", "index", 218.0, 1.2, 0.004, 31, 310),
    "GLD": ("SPDR GOLD SHARES", "ARCA", "materials", 241.0, 0.1, 0.007, 7, 310),
    "SLV": ("ISHARES SILVER TRUST", "ARCA", "materials", 28.4, 0.3, 0.014, 17, 460),
    "TQQQ": ("PROSHARES ULTRAPRO QQQ", "NASDAQ", "index", 71.0, 3.5, 0.004, 60, 310),
    "SOXL": ("DIREXION DAILY SEMI BULL 3X", "ARCA", "technology", 38.0, 4.2, 0.025, 65, 260),
}


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def _spread(raw: int, low: float, high: float) -> float:
    """A number in [low, high] from one 16-bit word."""
    return low + (high - low) * raw / 65535


@lru_cache(maxsize=4096)
def symbol_info(symbol: str) -> SymbolInfo:
    """The facts of `symbol`; raises UnknownSymbol for a malformed or unlisted one."""
    if not SYMBOL_PATTERN.fullmatch(symbol) or symbol.startswith(UNLISTED_PREFIX):
        raise UnknownSymbol(f"no security definition has been found for {symbol[:40]!r}")
    digest = _digest(symbol)
    con_id = 10_000_000 + int.from_bytes(digest[:4], "big") % 800_000_000
    if symbol in _KNOWN:
        name, exchange, sector, price, beta, volatility, volume, outstanding = _KNOWN[symbol]
        load = 0.25 if sector == "index" else 0.8
    else:
        words = [int.from_bytes(digest[i : i + 2], "big") for i in range(4, 16, 2)]
        name, exchange = f"{symbol} HOLDINGS INC", ("NASDAQ", "NYSE")[words[0] % 2]
        sector, price = SECTORS[words[1] % (len(SECTORS) - 1)], round(12.0 * 30.0 ** _spread(words[2], 0, 1), 2)
        beta, volatility, load = round(_spread(words[3], 0.5, 1.7), 2), _spread(words[4], 0.008, 0.024), 0.8
        volume = 10 ** _spread(words[5], -0.3, 1.5)
        outstanding = volume * 110
    return SymbolInfo(
        symbol=symbol,
        con_id=con_id,
        name=name,
        primary_exchange=exchange,
        min_tick=0.01,
        sector=sector,
        base_price=price,
        beta=beta,
        sector_load=load,
        volatility=volatility,
        average_volume=int(volume * 1_000_000),
        shares_outstanding=int(outstanding * 1_000_000),
        is_fund=sector == "index" or symbol in ("GLD", "SLV", "SOXL"),
    )
