"""Words for stories about the worker and the gateway: file a wish, ask the gateway for its own truth."""

from __future__ import annotations

import json
import socket
import uuid
from dataclasses import dataclass
from typing import Any

from events.accounts import SIMULATED_ACCOUNT
from events.commands import ApproveSignal, Command
from events.inbox import file_command
from events.models import CommandRecord, WorkerLease
from positions.models import PositionRecord
from tradingsite.testing.live import LiveGateway
from tradingsite.testing.patience import PATIENCE, eventually

FINAL = ("done", "refused", "expired")


@dataclass(slots=True)
class GatewayTruth:
    """The gateway's control channel: what really happened there, and faults."""

    gateway: LiveGateway

    def ask(self, **command: Any) -> dict[str, Any]:
        with socket.create_connection((self.gateway.host, self.gateway.control_port), timeout=PATIENCE) as link:
            link.sendall(json.dumps(command).encode() + b"\n")
            answer: dict[str, Any] = json.loads(link.makefile().readline())
        assert answer["ok"], answer
        return answer

    def orders(self) -> list[dict[str, Any]]:
        """Every order the gateway ever had, whatever became of it."""
        return list(self.ask(query="orders")["rows"])

    def executions(self) -> list[dict[str, Any]]:
        return list(self.ask(query="executions")["rows"])

    def positions(self) -> dict[str, float]:
        return {p["symbol"]: p["quantity"] for p in self.ask(query="positions")["rows"] if p["quantity"]}


def file_wish(command: Command, **options: Any) -> CommandRecord:
    return file_command(command, account=SIMULATED_ACCOUNT, user=None, key=options.pop("key", uuid.uuid4().hex), **options)[0]


def last_price(symbol: str) -> float:
    """The worker's newest quote, waited for."""

    def quote() -> float | None:
        lease = WorkerLease.objects.first()
        return (lease.health.get("quotes", {}).get(symbol) or {}).get("last") if lease else None

    return float(eventually(quote, what=f"the worker has a quote of {symbol}"))


def approval(
    symbol: str = "AAPL", *, quantity: float = 100, price: float | None = None, through: float = 0.005, **changes: Any
) -> ApproveSignal:
    """A long entry a little through the market, its stop 3 % below and its target 6 % above."""
    price = price or last_price(symbol)
    fields: dict[str, Any] = {
        "signal_id": uuid.uuid4().hex,
        "version": 1,
        "symbol": symbol,
        "direction": 1,
        "action": "open_long",
        "quantity": quantity,
        "limit_price": round(price * (1 + through), 2),
        "stop_loss": round(price * 0.97, 2),
        "take_profit": round(price * 1.06, 2),
        "reference_price": price,
        "decided_by": "a trader",
    }
    return ApproveSignal(**(fields | changes))


def outcome(record: CommandRecord) -> CommandRecord:
    """The command once the worker has answered it."""

    def answered() -> bool:
        record.refresh_from_db()
        return record.state in FINAL

    eventually(answered, what=f"{record} is answered")
    return record


def open_position(symbol: str = "AAPL", quantity: float = 100) -> PositionRecord:
    """Approve, and wait until it is held and its stop rests at the broker."""
    record = outcome(file_wish(approval(symbol, quantity=quantity)))
    assert record.state == "done", (record.code, record.reason)

    def protected() -> PositionRecord | None:
        found = PositionRecord.objects.filter(symbol=symbol, status="open", stop_state="resting").first()
        return found if found and abs(found.quantity) == quantity else None

    return eventually(protected, what=f"{symbol} is held and protected")
