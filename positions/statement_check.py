"""A statement file compared with the stored fills of one day, and the result stored. The books themselves are never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Max

from events.clock import utc_now
from positions.analytics import day_start, exchange_date
from positions.models import EquityPoint, FillRecord, StatementCheck
from positions.statements.matching import OurFill, compare, with_realized
from positions.statements.reading import read_statement
from positions.statements.statement import BadStatement, Statement, StatementTrade


def check_statement(data: bytes, *, file_name: str, day: date | None = None, user: Any = None) -> StatementCheck:
    """Read, compare and store. Raises BadStatement when the file is refused or it is not clear which day is meant."""
    ours = _our_accounts()
    statement = read_statement(data, ours[0] if ours else "")
    day = _day(statement, day)
    account = _account(statement, ours)
    history = with_realized(_fills_until(account, day))
    found = compare(statement, day, [fill for fill in history if fill.day == day])
    positions = _positions(statement, day, history)
    balance = _balance(statement, day, account)
    return StatementCheck.objects.create(
        account=account,
        day=day,
        source=statement.source,
        file_name=_plain_name(file_name),
        sha256=hashlib.sha256(data).hexdigest(),
        ok=found.ok and all(row["ok"] for row in positions) and (balance is None or balance["difference"] == 0),
        matched=found.count("match"),
        differs=found.count("differs"),
        missing_here=found.count("missing_here"),
        missing_there=found.count("missing_there"),
        data={
            "rows": found.rows,
            "totals": found.totals,
            "positions": positions,
            "balance": balance,
            "cash": [
                {"kind": c.kind, "text": c.text, "amount": float(c.amount), "currency": c.currency}
                for c in statement.cash
                if c.day in (day, None)
            ],
            "notes": _notes(statement),
        },
        created_by=user if user is not None and user.pk else None,
        created_at=utc_now(),
    )


def _day(statement: Statement, day: date | None) -> date:
    days = statement.days
    if day is None:
        if len(days) != 1:
            listed = ", ".join(str(d) for d in days[:6]) or "none"
            raise BadStatement(f"Say which day to compare; the file has {len(days)} ({listed}).")
        return days[0]
    inside = (statement.first is None or statement.first <= day) and (statement.last is None or day <= statement.last)
    if not inside:
        raise BadStatement(f"The file covers {statement.first} to {statement.last}, not {day}.")
    return day


def _our_accounts() -> list[str]:
    """The accounts our fills are of, the one traded last first."""
    rows = FillRecord.objects.exclude(account="").order_by().values("account").annotate(last=Max("fill_time"))
    return [row["account"] for row in rows.order_by("-last")]


def _account(statement: Statement, ours: list[str]) -> str:
    """The statement must be of an account our fills are of."""
    if statement.account and ours and statement.account not in ours:
        raise BadStatement("The statement is of another account than the one traded here.")
    return statement.account or (ours[0] if len(ours) == 1 else "")


def _fills_until(account: str, day: date) -> list[OurFill]:
    end = day_start(day + timedelta(days=1))
    records = FillRecord.objects.filter(superseded=False, fill_time__lt=end).order_by("fill_time", "id")
    if account:
        records = records.filter(account__in=(account, ""))
    return [_ours(record) for record in records.iterator()]


def _ours(record: FillRecord) -> OurFill:
    return OurFill(
        exec_id=record.exec_id,
        order_id=record.order_id,
        symbol=record.symbol,
        at=record.fill_time,
        day=exchange_date(record.fill_time),
        quantity=record.quantity if record.side == "buy" else -record.quantity,
        price=record.price,
        commission=record.commission,
    )


def _positions(statement: Statement, day: date, history: Sequence[OurFill]) -> list[dict[str, Any]]:
    """What is held at the end of the day; only where the statement lists positions of that day."""
    listed = {p.symbol: p.quantity for p in statement.positions if p.day == day}
    if not listed:
        return []
    ours: dict[str, Decimal] = {}
    for fill in history:
        ours[fill.symbol] = ours.get(fill.symbol, Decimal(0)) + fill.quantity
    symbols = sorted(listed.keys() | {symbol for symbol, quantity in ours.items() if quantity})
    pairs = [(symbol, ours.get(symbol, Decimal(0)), listed.get(symbol, Decimal(0))) for symbol in symbols]
    return [{"symbol": symbol, "ours": float(here), "theirs": float(there), "ok": here == there} for symbol, here, there in pairs]


def _balance(statement: Statement, day: date, account: str) -> dict[str, Any] | None:
    """Cash at the end of the day; None where the statement or our own points do not say."""
    theirs = next((balance.amount for balance in statement.balances if balance.day == day), None)
    within = EquityPoint.objects.filter(at__gte=day_start(day), at__lt=day_start(day + timedelta(days=1)), account=account)
    ours = within.order_by("-at").values_list("cash", flat=True).first()
    if theirs is None or ours is None:
        return None
    here, there = round(ours, 2), round(theirs, 2)
    return {"ours": float(here), "theirs": float(there), "difference": float(there - here)}


def _notes(statement: Statement) -> list[str]:
    notes = list(statement.notes)
    notes += [_taken_back(cancel, statement) for cancel in statement.cancels]
    if statement.skipped:
        notes.append(f"{statement.skipped} trades that are not US-dollar stocks were left out.")
    if statement.source == "activity":
        notes.append("An activity statement has no execution ids: its lines were matched by symbol, side, size, price and time.")
    if any(trade.commission is None for trade in statement.trades):
        notes.append("Commissions were charged in another currency than the trades: they were not compared.")
    return notes


def _taken_back(cancel: StatementTrade, statement: Statement) -> str:
    return (
        f"IB took back {abs(cancel.quantity).normalize():f} {cancel.symbol} of {cancel.day} (said on {statement.reported_on(cancel)}): "
        "see that our books of that day no longer count it."
    )


def _plain_name(name: str) -> str:
    """The last part of the name, printable, for showing only."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:120] or "statement"
