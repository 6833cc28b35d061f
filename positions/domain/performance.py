"""Statistics of closed positions and of an equity curve: win rate, profit factor, expectancy, R, drawdown, Sharpe.

Pure arithmetic on values the caller read; every figure that pages print is computed here and nowhere else. Money is
Decimal in and Decimal out, so that sums agree to the cent with the ledger. A figure that the data cannot support is
None ("no losses yet"), never infinity and never a flattering zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise

from positions.domain.flow_adjusted import FlowAdjusted

TRADING_DAYS_PER_YEAR = 252
MIN_DAYS_FOR_SHARPE = 20  # below this the figure is mostly noise, so none is given
CENT = Decimal("0.01")
ZERO = Decimal(0)

# What the pages print beside each figure; kept next to the code that computes it.
FORMULAS: dict[str, str] = {
    "realized": "Gross result of the range's exit executions − fees of all its executions, each on the exchange day it was executed.",
    "net": "What the trades that closed in the range made over their whole life, after fees, whenever their parts were sold.",
    "win_rate": "Winning positions ÷ all closed positions. A position that ended at exactly zero counts as closed but not as won.",
    "profit_factor": "Sum of all wins ÷ sum of all losses. Above 1 makes money. No value while there is no loss.",
    "expectancy": "Net P&L of closed trades ÷ their number: what one trade earned on average.",
    "average_win": "Sum of all wins ÷ winning positions.",
    "average_loss": "Sum of all losses ÷ losing positions.",
    "payoff": "Average win ÷ average loss.",
    "average_r": "Mean of net P&L ÷ risk taken (of each entry, |fill − stop resting then| × shares). Those without a stop are left out.",
    "max_drawdown": (
        "Deepest fall of equity below its highest earlier value, in percent of that value, over every stored point of the range. "
        "Deposits and withdrawals are no rise and no fall."
    ),
    "deepest_fall": "Deepest fall in money, which may be another one: the same percent is more money when the account is larger.",
    "sharpe": (
        "Mean return of equity from session to session of the exchange ÷ its standard deviation × √252, risk-free rate 0. "
        f"Needs {MIN_DAYS_FOR_SHARPE} sessions; deposits and withdrawals are taken out (time-weighted)."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one closed position ended. `net` is realized P&L after commissions in account currency."""

    net: Decimal
    commission: Decimal = ZERO
    r_multiple: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums of a set of closed positions, as a database adds them up; sets that share nothing are added with +."""

    count: int = 0
    wins: int = 0
    losses: int = 0
    gross_profit: Decimal = ZERO
    gross_loss: Decimal = ZERO
    commission: Decimal = ZERO
    best: Decimal | None = None
    worst: Decimal | None = None
    r_sum: float = 0.0
    r_count: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            count=self.count + other.count,
            wins=self.wins + other.wins,
            losses=self.losses + other.losses,
            gross_profit=self.gross_profit + other.gross_profit,
            gross_loss=self.gross_loss + other.gross_loss,
            commission=self.commission + other.commission,
            best=max((net for net in (self.best, other.best) if net is not None), default=None),
            worst=min((net for net in (self.worst, other.worst) if net is not None), default=None),
            r_sum=self.r_sum + other.r_sum,
            r_count=self.r_count + other.r_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """The figures of a set of closed positions. Losses are negative money; ratios are plain fractions."""

    count: int
    wins: int
    losses: int
    net: Decimal
    gross_profit: Decimal
    gross_loss: Decimal
    commission: Decimal
    best: Decimal | None
    worst: Decimal | None
    win_rate: float | None
    profit_factor: float | None
    expectancy: Decimal | None
    average_win: Decimal | None
    average_loss: Decimal | None
    payoff: float | None
    average_r: float | None
    r_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """From a peak to a trough: `size` <= 0, a fraction of the peak or money; 0 where nothing fell."""

    size: float
    peak: datetime
    trough: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Falls:
    """The deepest fall in percent and the deepest in money, which need not be the same."""

    percent: Fall
    money: Fall


def totals_of(results: Iterable[Result]) -> Totals:
    """The sums of the results."""
    rows = list(results)
    nets = [row.net for row in rows]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    ratios = [row.r_multiple for row in rows if row.r_multiple is not None and math.isfinite(row.r_multiple)]
    return Totals(
        count=len(rows),
        wins=len(won),
        losses=len(lost),
        gross_profit=sum(won, ZERO),
        gross_loss=sum(lost, ZERO),
        commission=sum((row.commission for row in rows), ZERO),
        best=max(nets, default=None),
        worst=min(nets, default=None),
        r_sum=math.fsum(ratios),
        r_count=len(ratios),
    )


def figures(totals: Totals) -> Performance:
    """All figures that follow from the sums."""
    net = totals.gross_profit + totals.gross_loss
    average_win, average_loss = average(totals.gross_profit, totals.wins), average(totals.gross_loss, totals.losses)
    return Performance(
        count=totals.count,
        wins=totals.wins,
        losses=totals.losses,
        net=net,
        gross_profit=totals.gross_profit,
        gross_loss=totals.gross_loss,
        commission=totals.commission,
        best=totals.best,
        worst=totals.worst,
        win_rate=totals.wins / totals.count if totals.count else None,
        profit_factor=ratio(totals.gross_profit, -totals.gross_loss),
        expectancy=average(net, totals.count),
        average_win=average_win,
        average_loss=average_loss,
        payoff=ratio(average_win, -average_loss) if average_win is not None and average_loss is not None else None,
        average_r=totals.r_sum / totals.r_count if totals.r_count else None,
        r_count=totals.r_count,
    )


def average(total: Decimal, count: int) -> Decimal | None:
    """total / count to the cent, half to even; None for no items."""
    return (total / count).quantize(CENT, rounding=ROUND_HALF_EVEN) if count else None


def ratio(above: Decimal, below: Decimal) -> float | None:
    """above / below as a plain number; None when `below` is not positive."""
    return float(above / below) if below > 0 else None


def deepest_falls(points: Iterable[tuple[datetime, float]], adjusted: FlowAdjusted | None = None) -> Falls | None:
    """The deepest falls of a curve of (time, equity), oldest first; None without points. The percent one is empyrical's max_drawdown."""
    adjusted = adjusted or FlowAdjusted()
    percent, money = _Deepest(), _Deepest()
    for at, equity in points:
        index = adjusted.index(at, equity)
        if index > percent.top:
            percent.top, percent.top_at = index, at
        elif percent.top > 0:
            percent.fell(index / percent.top - 1.0, at)
        net = adjusted.net(at, equity)
        if net > money.top:
            money.top, money.top_at = net, at
        else:
            money.fell(net - money.top, at)
    if percent.top_at is None or money.top_at is None:
        return None
    return Falls(percent=percent.found(percent.top_at), money=money.found(money.top_at))


class _Deepest:
    """The highest value so far, and the deepest fall so far."""

    __slots__ = ("peak", "size", "top", "top_at", "trough")

    def __init__(self) -> None:
        self.top = -math.inf
        self.top_at: datetime | None = None
        self.size = 0.0
        self.peak: datetime | None = None
        self.trough: datetime | None = None

    def fell(self, size: float, at: datetime) -> None:
        if size < self.size:
            self.size, self.peak, self.trough = size, self.top_at, at

    def found(self, anywhere: datetime) -> Fall:
        return Fall(size=self.size, peak=self.peak or anywhere, trough=self.trough or anywhere)


def sharpe(day_ends: Sequence[float]) -> float | None:
    """Annualised Sharpe ratio of a series of equity at the ends of sessions, oldest first; see FORMULAS.

    mean(r) / stdev(r) · √252 with r = e[i]/e[i−1] − 1 and the sample deviation (n − 1). None below
    MIN_DAYS_FOR_SHARPE returns, when a value is not positive, or when the returns do not vary.
    """
    if len(day_ends) <= MIN_DAYS_FOR_SHARPE or any(value <= 0 for value in day_ends):
        return None
    returns = [now / before - 1.0 for before, now in pairwise(day_ends)]
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1)
    deviation = math.sqrt(variance)
    return mean / deviation * math.sqrt(TRADING_DAYS_PER_YEAR) if deviation > 1e-12 else None
