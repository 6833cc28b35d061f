"""The simulated broker's statement of a day, made from its own append-only ledger: Flex XML or activity CSV, as IB writes them.

It reckons first in, first out, with code of its own, so that a comparison with the desk's books proves something.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from events.accounts import SIMULATED_ACCOUNT
from positions.gateway.hours import ZONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One execution at its last revision; signed shares, commission a cost, `realized` net of commissions."""

    exec_id: str
    order: tuple[int, int]
    perm_id: int
    order_ref: str
    symbol: str
    at: datetime
    shares: float
    price: float
    commission: float
    realized: float


def lines_of(ledger: Iterable[dict[str, Any]]) -> list[Line]:
    """Every execution the ledger ever held, oldest first, corrected and without the busted ones."""
    latest: dict[str, dict[str, Any]] = {}
    times: dict[str, float] = {}
    for entry in ledger:
        if entry["kind"] != "execution":
            continue
        row = entry["data"]
        base = row["exec_id"].rpartition(".")[0]
        times.setdefault(base, row["at"])  # a correction does not move the trade to another day
        latest[base] = row
    rows = [(times[base], row) for base, row in latest.items() if not row["liquidation"]]
    books: dict[str, list[list[float]]] = {}
    return [_line(at, row, books.setdefault(row["symbol"], [])) for at, row in sorted(rows, key=lambda pair: (pair[0], pair[1]["exec_id"]))]


def _line(at: float, row: dict[str, Any], lots: list[list[float]]) -> Line:
    shares = row["quantity"] if row["side"] == "BUY" else -row["quantity"]
    return Line(
        exec_id=row["exec_id"],
        order=(row["client_id"], row["order_id"]),
        perm_id=row["perm_id"],
        order_ref=row["order_ref"],
        symbol=row["symbol"],
        at=datetime.fromtimestamp(at, UTC).astimezone(ZONE),
        shares=shares,
        price=row["price"],
        commission=row["commission"],
        realized=_first_in_first_out(lots, shares, row["price"], row["commission"]),
    )


def _first_in_first_out(lots: list[list[float]], shares: float, price: float, commission: float) -> float:
    """The result net of both commissions; `lots` holds [signed shares, cost basis per share]."""
    sign = 1.0 if shares > 0 else -1.0
    basis = price + sign * commission / abs(shares)  # a fee makes a purchase dearer and a sale worth less
    gained, left = 0.0, abs(shares)
    while left > 1e-9 and lots and lots[0][0] * sign < 0:
        taken = min(left, abs(lots[0][0]))
        gained += taken * (basis - lots[0][1]) * -sign
        lots[0][0] += sign * taken
        left -= taken
        if abs(lots[0][0]) < 1e-9:
            lots.pop(0)
    if left > 1e-9:
        lots.append([sign * left, basis])
    return gained


def flex_statement(ledger: Iterable[dict[str, Any]], day: date) -> str:
    """A Flex Query response with Trades, CashTransactions and OpenPositions."""
    lines = lines_of(ledger)
    period = {"accountId": SIMULATED_ACCOUNT, "fromDate": f"{day:%Y%m%d}", "toDate": f"{day:%Y%m%d}", "period": "BusinessDay"}
    trades = "".join(f"<Trade{_attributes(_trade(line))}/>\n" for line in lines if line.at.date() == day)
    held = "".join(f"<OpenPosition{_attributes(_holding(*pair, day))}/>\n" for pair in held_at_end(lines, day).items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<FlexQueryResponse queryName="Desk" type="AF">\n<FlexStatements count="1">\n'
        f"<FlexStatement{_attributes(period)}>\n<Trades>\n{trades}</Trades>\n<CashTransactions/>\n"
        f"<OpenPositions>\n{held}</OpenPositions>\n</FlexStatement>\n</FlexStatements>\n</FlexQueryResponse>\n"
    )


def activity_statement(ledger: Iterable[dict[str, Any]], day: date) -> str:
    """An activity statement: one line for each order, in sections."""
    lines = lines_of(ledger)
    out = io.StringIO()
    write = csv.writer(out).writerow
    write(["Statement", "Header", "Field Name", "Field Value"])
    write(["Statement", "Data", "Title", "Activity Statement"])
    write(["Statement", "Data", "Period", f"{day:%B} {day.day}, {day.year}"])
    write(["Account Information", "Header", "Field Name", "Field Value"])
    write(["Account Information", "Data", "Account", SIMULATED_ACCOUNT])
    write(["Open Positions", "Header", "DataDiscriminator", "Asset Category", "Currency", "Symbol", "Quantity"])
    for symbol, shares in held_at_end(lines, day).items():
        write(["Open Positions", "Data", "Summary", "Stocks", "USD", symbol, f"{shares:g}"])
    columns = ["DataDiscriminator", "Asset Category", "Currency", "Symbol", "Date/Time", "Quantity", "T. Price", "C. Price"]
    write(["Trades", "Header", *columns, "Proceeds", "Comm/Fee", "Basis", "Realized P/L", "MTM P/L", "Code"])
    orders: dict[tuple[int, int], list[Line]] = {}
    for line in lines:
        if line.at.date() == day:
            orders.setdefault(line.order, []).append(line)
    for parts in orders.values():
        write(["Trades", "Data", *_order(parts)])
    return out.getvalue()


def held_at_end(lines: Iterable[Line], day: date) -> dict[str, float]:
    """symbol → signed shares at the end of the day."""
    held: dict[str, float] = {}
    for line in lines:
        if line.at.date() <= day:
            held[line.symbol] = round(held.get(line.symbol, 0.0) + line.shares, 6)
    return {symbol: shares for symbol, shares in sorted(held.items()) if shares}


def _trade(line: Line) -> dict[str, str]:
    return {
        "accountId": SIMULATED_ACCOUNT,
        "currency": "USD",
        "assetCategory": "STK",
        "symbol": line.symbol,
        "ibExecID": line.exec_id,
        "ibOrderID": str(line.perm_id),
        "orderReference": line.order_ref,
        "dateTime": f"{line.at:%Y%m%d;%H%M%S}",
        "tradeDate": f"{line.at:%Y%m%d}",
        "transactionType": "ExchTrade",
        "buySell": "BUY" if line.shares > 0 else "SELL",
        "quantity": f"{line.shares:g}",
        "tradePrice": f"{line.price:.10g}",
        "ibCommission": f"{-line.commission:.10g}",
        "ibCommissionCurrency": "USD",
        "fifoPnlRealized": f"{line.realized:.6f}",
        "levelOfDetail": "EXECUTION",
    }


def _holding(symbol: str, shares: float, day: date) -> dict[str, str]:
    return {"accountId": SIMULATED_ACCOUNT, "symbol": symbol, "position": f"{shares:g}", "reportDate": f"{day:%Y%m%d}"}


def _order(parts: list[Line]) -> list[str]:
    shares = sum(part.shares for part in parts)
    price = sum(part.shares * part.price for part in parts) / shares
    fee, realized = sum(part.commission for part in parts), sum(part.realized for part in parts)
    at = max(part.at for part in parts)
    numbers = [f"{shares:,g}", f"{price:.9f}", f"{price:.4f}", f"{-shares * price:.6f}", f"{-fee:.6f}", "0"]
    return ["Order", "Stocks", "USD", parts[0].symbol, f"{at:%Y-%m-%d, %H:%M:%S}", *numbers, f"{realized:.6f}", "0", "O"]


def _attributes(values: dict[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items())
