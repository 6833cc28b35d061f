"""Rows of made-up years that belong to no story: equity, bars, idle predictions, wishes, and the books people rarely open."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models

from events.accounts import SIMULATED_ACCOUNT
from events.commands import ApproveSignal, CancelOrder, ChangeStop, ClosePosition, Command
from events.models import CommandRecord, WorkerEnd
from positions.models import (
    AlarmRecord,
    BrokerAcknowledgement,
    BrokerCheck,
    BrokerHolding,
    ErrorTrade,
    LimitChange,
    MarginAnswer,
    MinuteBar,
    OperatorTask,
    RiskLock,
    StatementCheck,
)
from signals.demo.history import Session
from signals.models import FlowPoint, SourceHealth
from tradingsite.bench.bulk import Table
from tradingsite.bench.stories import timed_id

WHO = ("anna", "ben", "chris")
REASONS = {
    "expired": "nobody decided in time",
    "filtered": "short not allowed",
    "rejected": "spread too wide",
    "superseded": "the direction changed",
}
WRITTEN: list[type[models.Model]] = [
    AlarmRecord, BrokerAcknowledgement, BrokerCheck, BrokerHolding, ErrorTrade, LimitChange, MarginAnswer, OperatorTask, RiskLock,
    StatementCheck, FlowPoint, SourceHealth, WorkerEnd,
]  # fmt: skip
MINUTES = 390  # of a session

Made = Callable[[int, str, datetime, random.Random], dict[str, Any]]


def worth(equity: float, began: float, at: datetime) -> dict[str, Any]:
    """An equity point; `began` is the day's first."""
    cash = round(equity * 0.6, 2)
    numbers = {"equity": equity, "cash": cash, "unrealized_pnl": round((equity - began) / 3, 2), "realized_pnl": round(equity - 250_000, 2)}
    return {"account": SIMULATED_ACCOUNT, "at": at, **numbers, "day_pnl": round(equity - began, 2), "open_risk": 2400.0}


def worth_event(point: dict[str, Any], event_id: str, at: datetime) -> dict[str, Any]:
    """The journal's row of an equity point."""
    return _event("EquityEvent", "system", event_id, at.isoformat(), {}, {name: value for name, value in point.items() if name != "at"})


def signal_end(signal: dict[str, Any], start: datetime, chance: random.Random) -> dict[str, Any]:
    """How a signal that nothing came of ended, in the journal."""
    at = start + timedelta(seconds=120)
    kind = "SignalDecisionEvent" if signal["state"] == "rejected" else "SignalClosedEvent"
    told = {"symbol": signal["symbol"], "state": signal["state"], "reason": signal["reason"]}
    if kind == "SignalDecisionEvent":
        told |= {"decided_by": signal["decided_by"], "decided_at": at.isoformat(), "direction": signal["direction"]}
    event_id = timed_id(int(at.timestamp() * 1000), chance)
    return _event(kind, "signals", event_id, at.isoformat(), {"signal_id": signal["signal_id"]}, told) | {"symbol": signal["symbol"]}


def _event(kind: str, source: str, event_id: str, at: str, ids: dict[str, str], told: dict[str, Any]) -> dict[str, Any]:
    named = {"signal_id": "", "order_id": "", "position_id": "", "cause": ""} | ids
    data = {"event_type": kind, "event_id": event_id, "timestamp": at, "source": source, "metadata": {}, **named, **told}
    return {"event_id": event_id, "event_type": kind, "source": source, "timestamp": at, "data": data, **named}


def idle_prediction(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    """A prediction that no signal came of."""
    confidence = round(chance.uniform(0.4, 0.75), 4)
    return {
        "id": number,
        "source": "options-flow",
        "ticker": symbol,
        "timestamp": int(at.timestamp() * 1000),
        "model_path": f"models/{symbol}/directional_v3.pt",
        "word": chance.choice(("BUY", "SELL", "NEUTRAL")),
        "numeric": chance.choice((1, -1, 0)),
        "confidence": confidence,
        "probabilities": {"sell": 0.2, "neutral": round(0.8 - confidence, 4), "buy": confidence},
        "feature_values": {"d_diff_short": -0.85, "d_diff_long": -1.0, "sum_pos": 0.58, "sum_neg": -4.7, "number_of_trades": 36},
        "stock_price": round(chance.uniform(20, 600), 2),
        "data_time": at - timedelta(seconds=40),
        "prediction_time": at - timedelta(seconds=35),
        "received_at": at,
        "verdict": "filtered",
        "reason": "below the threshold",
    }


def approval(signal: dict[str, Any], start: datetime, chance: random.Random) -> dict[str, Any]:
    """The wish that an approved signal left behind."""
    decided = signal["decision"]
    wish = ApproveSignal(
        signal_id=signal["signal_id"], version=1, symbol=signal["symbol"], direction=signal["direction"], action=signal["action"],
        quantity=decided["quantity"], limit_price=decided["limit_price"], stop_loss=decided["stop_loss"],
        take_profit=decided["take_profit"], reference_price=signal["price"], decided_by=signal["decided_by"],
    )  # fmt: skip
    return _filed(wish, start + timedelta(seconds=20), chance)


def command(at: datetime, chance: random.Random) -> dict[str, Any]:
    """Another wish of a person: a stop moved, a position closed, an order cancelled."""
    about = timed_id(int(at.timestamp() * 1000), chance)
    wishes: list[Command] = [ChangeStop(position_id=about, price=100.5), ClosePosition(position_id=about), CancelOrder(order_id=about)]
    return _filed(chance.choice(wishes), at, chance)


def _filed(wish: Command, at: datetime, chance: random.Random) -> dict[str, Any]:
    payload = wish.to_payload()
    refused = chance.random() < 0.03
    return {
        "key": f"made:{chance.getrandbits(96):024x}",
        "name": wish.name,
        "payload": payload,
        "state": CommandRecord.State.REFUSED.value if refused else CommandRecord.State.DONE.value,
        "code": "not_open" if refused else "",
        "reason": "the position is closed already" if refused else "sent",
        "signal_id": payload.get("signal_id", ""),
        "order_id": payload.get("order_id", ""),
        "position_id": payload.get("position_id", ""),
        "created_at": at,
        "finished_at": at + timedelta(seconds=1),
        "attempts": 1,
    }


def bars(count: int, symbols: Sequence[str], sessions: Sequence[Session], chance: random.Random) -> None:
    """`count` one-minute bars of the newest sessions, every symbol alike."""
    table = Table(MinuteBar)
    per_symbol = count // len(symbols)
    for symbol in symbols:
        price, left = chance.uniform(20, 600), per_symbol
        for session in reversed(sessions):
            for minute in range(min(MINUTES, left)):
                at = datetime.fromtimestamp(session.opens + 60 * minute, UTC)
                last, price = price, round(price * (1 + chance.gauss(0, 0.0004)), 2)
                row = {"open": last, "high": max(last, price) + 0.02, "low": min(last, price) - 0.02, "close": price}
                table.add({"symbol": symbol, "at": at, "volume": chance.randrange(100, 90_000), **row})
            left -= MINUTES
            if left <= 0:
                break
    table.flush()


def others(scale: float, symbols: Sequence[str], sessions: Sequence[Session], now: datetime, chance: random.Random) -> None:
    """Alarms, locks, edits, comparisons, statements and the rest, spread over the years; the newest of each is settled."""
    counts: dict[type[models.Model], tuple[int, Made]] = {
        AlarmRecord: (6_000, _alarm),
        RiskLock: (2_000, _lock),
        LimitChange: (3_000, _edit),
        OperatorTask: (1_000, _task),
        ErrorTrade: (500, _error),
        BrokerCheck: (1_000, _check),
        BrokerAcknowledgement: (500, _acknowledged),
        MarginAnswer: (2_000, _margin),
        FlowPoint: (300_000, _flow),
        WorkerEnd: (100, _end),
    }
    for model, (count, made) in counts.items():
        table = Table(model)
        moments = sorted(_some_time(sessions, chance) for _ in range(int(count * scale) + 20))
        for number, at in enumerate(moments):
            table.add(made(number, chance.choice(symbols), at, chance))
        table.flush()
    statements = Table(StatementCheck)
    for session in sessions:
        statements.add(_statement(datetime.fromtimestamp(session.closes, UTC)))
    statements.flush()
    BrokerHolding.objects.bulk_create(
        [BrokerHolding(account=SIMULATED_ACCOUNT, symbol=symbol, quantity=0, updated_at=now) for symbol in symbols]
    )
    polled = {"state": "ok", "last_attempt": now, "last_success": now}
    SourceHealth.objects.bulk_create([SourceHealth(ticker=symbol, **polled) for symbol in ("", *symbols)], ignore_conflicts=True)


def _some_time(sessions: Sequence[Session], chance: random.Random) -> datetime:
    session = chance.choice(sessions)
    return datetime.fromtimestamp(chance.uniform(session.opens, session.closes), UTC)


def _alarm(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    over = at + timedelta(minutes=chance.uniform(1, 90))
    row = {"kind": "stop", "about": f"{symbol} {number}", "text": f"The stop of {symbol} is missing.", "page": "/positions/"}
    return row | {"first_seen": at, "last_seen": over, "ended_at": over, "acknowledged_at": over, "acknowledged_by": chance.choice(WHO)}


def _lock(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    row = {"cause": f"repeat_limit symbol {symbol} {number}", "code": "repeat_limit", "scope": "symbol", "name": symbol, "values": {}}
    return row | {"reason": "21 entries in 15 minutes", "since": at, "cleared_at": at, "cleared_by": "anna", "clear_reason": "looked at it"}


def _edit(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    row = {"at": at, "changed_by": chance.choice(WHO), "limit": f"symbol {symbol}", "field": "max_order_quantity"}
    return row | {"old": str(number), "new": str(number + 1), "reason": "a quiet week"}


def _task(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    row = {"key": f"split {symbol} {number}", "kind": "split", "symbol": symbol, "title": f"{symbol} may have split", "opened_at": at}
    return row | {"state": "done", "done_at": at + timedelta(hours=1), "done_by": "ben", "note": "checked"}


def _error(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    row = {"position_id": timed_id(int(at.timestamp() * 1000), chance), "symbol": symbol, "note": "wrong side", "marked_at": at}
    return row | {"marked_by": "ben", "settled_at": at + timedelta(days=1), "settled_by": "anna", "outcome": "talked it over"}


def _check(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    data = {"rows": [], "at": at.isoformat(), "account": SIMULATED_ACCOUNT, "kind": "full", "reason": "", "blocked": ""}
    return {"first_at": at, "at": at, "account": SIMULATED_ACCOUNT, "kind": "full", "signature": f"{number:x}", "data": data}


def _acknowledged(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    return {"row": f"position:{symbol}", "ours": 100.0, "theirs": 0.0, "reason": "moved out", "by": chance.choice(WHO), "at": at}


def _margin(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    return {"signal_id": timed_id(int(at.timestamp() * 1000), chance), "asked_at": at, "error": "timed out"}


def _flow(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    data = {"strike": 100, "premium": chance.randrange(10_000, 900_000), "type": "call"}
    return {"kind": "trade", "ticker": symbol, "key": number, "at": at, "data": data}


def _end(number: int, symbol: str, at: datetime, chance: random.Random) -> dict[str, Any]:
    return {"at": at, "epoch": number, "section": "orders", "cause": f"report {number}", "error": "KeyError"}


def _statement(at: datetime) -> dict[str, Any]:
    day = at.date()
    row = {
        "account": SIMULATED_ACCOUNT,
        "day": day,
        "source": "flex",
        "file_name": f"{day}.xml",
        "sha256": "0" * 64,
        "ok": True,
        "matched": 32,
    }
    return row | {"created_at": at, "data": {"rows": []}}
