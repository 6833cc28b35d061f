"""A statement file compared with the stored fills of one day, and the result stored. The books themselves are never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Max

from events.clock import utc_now
from events.exchange_time import day_start, exchange_date
from events.symbols import canonical_symbol
from positions.domain.ledger import split_exec_id
from positions.models import EquityPoint, FillRecord, StatementCheck
from positions.statements import explaining
from positions.statements.account_of_rows import account_for
from positions.statements.matching import OurFill, compare, with_realized
from positions.statements.reading import read_statement
from positions.statements.statement import BadStatement, Statement, trade_date


def check_statement(data: bytes, *, file_name: str, day: date | None = None, user: Any = None) -> StatementCheck:
    """Read, compare and store. Raises BadStatement when the file is refused or it is not clear which day is meant."""
    ours = _our_accounts()
    statement = read_statement(data, ours[0] if ours else "")
    day = _day(statement, day)
    account = _account(statement, ours)
    history, busted = _fills_until(account, day, statement)
    positions = _positions(statement, day, history)
    balance = _balance(statement, day, account)
    found = compare(
        statement,
        day,
        [fill for fill in history if fill.day == day],
        elsewhere=[fill for fill in history if fill.day != day] + busted,
        held_elsewhere=frozenset(row["symbol"] for row in positions if not row["ok"]),
    )
    for row in found.rows:
        if row["state"] != "match":
            row["because"] = explaining.shares(statement, row["symbol"], day)
    differences = explaining.findings(found.rows, positions, balance)
    return StatementCheck.objects.create(
        account=account,
        day=day,
        source=statement.source,
        file_name=_plain_name(file_name),
        sha256=hashlib.sha256(data).hexdigest(),
        ok=not differences,
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
            "actions": explaining.all_shares_moved(statement, day),
            "notes": _notes(statement),
            "findings": differences,
            "file_rows": statement.rows,
            "row_groups": account_for(statement, day, found.lines, balance=balance is not None),
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
    if not statement.covers(day):
        raise BadStatement(f"The file covers the trade dates {statement.first} to {statement.last}, not {day}.")
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


def _fills_until(account: str, day: date, statement: Statement) -> tuple[list[OurFill], list[OurFill]]:
    """Our fills that stand, with their results, and those that were busted; `day` is the last exchange day of either."""
    end = day_start(day + timedelta(days=1))
    records = FillRecord.objects.filter(fill_time__lt=end, account__in=(account, "")).order_by("fill_time", "id")
    newest: dict[tuple[str, str], FillRecord] = {}
    for record in records.iterator():
        known = newest.get((record.account, record.exec_base))
        if known is None or record.revision > known.revision:
            newest[record.account, record.exec_base] = record
    # the trade date is the one that the statement says, else the one that IB would give it
    said = {split_exec_id(t.exec_id)[0]: t.day for t in (*statement.trades, *statement.cancelled) if t.exec_id}
    rule = trade_date if statement.evenings_are_next_day else exchange_date
    fills = [_ours(record, said.get(record.exec_base) or rule(record.fill_time)) for record in newest.values()]
    return with_realized([fill for fill in fills if not fill.busted]), [fill for fill in fills if fill.busted]


def _ours(record: FillRecord, day: date | None = None) -> OurFill:
    """`day` is its trade date where that is not the exchange day."""
    return OurFill(
        exec_id=record.exec_id,
        order_id=record.order_id,
        symbol=canonical_symbol(record.symbol),
        at=record.fill_time,
        day=day or exchange_date(record.fill_time),
        quantity=record.quantity if record.side == "buy" else -record.quantity,
        price=record.price,
        commission=record.commission,
        busted=record.superseded,  # its highest revision counts for nothing
    )


def _positions(statement: Statement, day: date, history: Sequence[OurFill]) -> list[dict[str, Any]]:
    """What is held at the end of the day; only where the statement lists positions of that day."""
    listed = {p.symbol: p.quantity for p in statement.positions if p.day == day}
    if day not in statement.position_days:
        return []
    ours: dict[str, Decimal] = {}
    for fill in history:
        if fill.day <= day:
            ours[fill.symbol] = ours.get(fill.symbol, Decimal(0)) + fill.quantity
    symbols = sorted(listed.keys() | {symbol for symbol, quantity in ours.items() if quantity})
    rows = []
    for symbol in symbols:
        here, there = ours.get(symbol, Decimal(0)), listed.get(symbol, Decimal(0))
        because = [] if here == there else explaining.shares(statement, symbol, day)
        rows.append({"symbol": symbol, "ours": float(here), "theirs": float(there), "ok": here == there, "because": because})
    return rows


def _balance(statement: Statement, day: date, account: str) -> dict[str, Any] | None:
    """Cash at the end of the day; None where the statement or our own points do not say."""
    theirs = next((balance.amount for balance in statement.balances if balance.day == day), None)
    within = EquityPoint.objects.filter(at__gte=day_start(day), at__lt=day_start(day + timedelta(days=1)), account=account)
    ours = within.order_by("-at").values_list("cash", flat=True).first()
    if theirs is None or ours is None:
        return None
    difference = round(theirs, 2) - round(ours, 2)
    because = {"because": explaining.cash(statement, day, difference)} if difference else {}
    return {"ours": float(round(ours, 2)), "theirs": float(round(theirs, 2)), "difference": float(difference), **because}


def _notes(statement: Statement) -> list[str]:
    notes = list(statement.notes)
    if statement.skipped:
        notes.append(f"{statement.skipped} trades that are not US-dollar stocks were left out.")
    if statement.source == "activity":
        notes.append("An activity statement has no execution ids: its lines were matched by symbol, side, size, price and time.")
    if any(trade.commission is None for trade in statement.trades):
        notes.append("Some commissions were charged in another currency, or stand on an earlier statement: they were not compared.")
    return notes


def _plain_name(name: str) -> str:
    """The last part of the name, printable, for showing only."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:120] or "statement"
