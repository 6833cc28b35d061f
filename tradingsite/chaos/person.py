"""A person at a web page, as a process of its own: makes a signal, approves it, files wishes. JSON lines in, JSON lines out.

It calls what the pages call (`signals.approval.approve`, `file_command`), so it can be killed in the middle of an approval.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

# Stories lose money by the dozen, which is not what they are about.
WIDE: dict[str, int] = {
    "max_open_positions": 1000, "max_open_risk": 10_000_000, "max_symbol_risk": 10_000_000, "max_order_quantity": 100_000,
    "max_position_notional": 10_000_000, "max_day_entries": 100_000, "max_day_notional": 1_000_000_000,
    "max_symbol_repeats": 100_000, "max_source_repeats": 100_000, "losing_streak": 0, "symbol_losing_streak": 0,
    "daily_loss_limit": 10_000_000, "weekly_loss_limit": 10_000_000,
}  # fmt: skip
SECONDS = 25.0  # how long a signal waits for a quote and a ready worker


def main() -> None:
    import django

    django.setup()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = VERBS[request.pop("do")](**request)
        except Exception as error:  # the answer says so; whoever asked decides what it means
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def prepare(symbols: list[str]) -> dict[str, Any]:
    """A watch list, a trader, and limits wide enough for hundreds of orders."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    from positions.models import RiskLimits, TradingState
    from signals.models import SignalSettings, WatchListEntry

    for symbol in symbols:
        WatchListEntry.objects.get_or_create(symbol=symbol)
    WatchListEntry.objects.exclude(symbol__in=symbols).delete()
    limits, _ = RiskLimits.objects.get_or_create(pk=1)
    for name, value in WIDE.items():
        RiskLimits._meta.get_field(name)  # a limit that was renamed is an error: it would refuse stories without a word
        setattr(limits, name, value)
    limits.save()
    TradingState.objects.update_or_create(pk=1, defaults={"state": "active"})
    SignalSettings.objects.get_or_create(pk=1)
    user, _ = get_user_model().objects.get_or_create(username="trader")
    user.groups.add(Group.objects.get(name="trader"))
    return {"ok": True}


def approve(
    symbol: str, quantity: float, through: float = 0.005, direction: int = 1, seconds: float = SECONDS, risk: float = 0.03
) -> dict[str, Any]:
    """A signal in `symbol`, approved a little through the market; waits `seconds` at most until the page would let it.

    The stop is `risk` (a fraction of the price) away.
    """
    from django.contrib.auth import get_user_model

    from events.clock import utc_now
    from positions.accounts import traded_account
    from signals.approval import Decision, Refusal
    from signals.approval import approve as decide
    from signals.facts import gather
    from signals.proposal import Ticket

    decision = Decision(user=get_user_model().objects.get(username="trader"), account=traded_account(), key=uuid.uuid4().hex, version=1)
    answer: Any = None
    for _ in _attempts(seconds):
        quote = gather({symbol}, now=utc_now()).quotes.get(symbol)
        if quote is None or not quote.live or quote.age > 3:
            answer = answer or {"refused": "no_quote"}
            continue
        last = quote.last
        entry, stop, target = (round(last * (1 + direction * way), 2) for way in (through, -risk, 0.06))
        ticket = Ticket(quantity=quantity, entry=entry, stop=stop, target=target)
        signal = _signal(symbol, last, direction)
        decided = decide(signal, decision, ticket, edited=[])
        if not isinstance(decided, Refusal):
            return {"command": decided.pk, "signal": signal}
        answer = {"refused": decided.code, "message": decided.message}
    return dict(answer)


def _attempts(seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield None
        time.sleep(0.3)


def _signal(symbol: str, price: float, direction: int) -> str:
    from events.clock import utc_now
    from signals.models import PredictionRecord, SignalRecord

    now, signal_id = utc_now(), str(uuid.uuid4())
    said = {"confidence": 0.9, "data_time": now}
    prediction = PredictionRecord.objects.create(
        source="chaos", ticker=symbol, timestamp=time.time_ns() // 1000, word="BUY" if direction > 0 else "SELL", numeric=direction,
        received_at=now, prediction_time=now, verdict="signal", stock_price=price, signal_id=signal_id, **said,
    )  # fmt: skip
    SignalRecord.objects.filter(symbol=symbol, state="pending").update(state="superseded")  # one at a time, as the monitor has it
    SignalRecord.objects.create(
        signal_id=signal_id, prediction=prediction, symbol=symbol, direction=direction,
        action="open_long" if direction > 0 else "open_short", price=price, created_at=now,
        expires_at=now + timedelta(seconds=120), model="chaos", **said,
    )  # fmt: skip
    return signal_id


def wish(name: str, seconds: float = 60, **fields: Any) -> dict[str, Any]:
    """File any command."""
    from events.commands import parse_command
    from events.inbox import file_command
    from positions.accounts import traded_account

    record, _ = file_command(parse_command(name, fields), account=traded_account(), user=None, key=uuid.uuid4().hex, expires_in=seconds)
    return {"command": record.pk}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {"prepare": prepare, "approve": approve, "wish": wish}

if __name__ == "__main__":
    main()
