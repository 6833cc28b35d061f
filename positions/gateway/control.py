"""The control channel: one JSON object per line over loopback TCP, one JSON answer per line.

It injects faults, moves prices, and tells the gateway's own truth, so that a test can compare what a client
believes with what really happened. An answer is {"ok": true, ...} or {"ok": false, "error": "..."}.

Commands:
  {"fault": NAME, "match": {...}, "times": N, ...settings}   rules of faults.py, or an immediate fault of _NOW below
  {"query": "book"|"orders"|"executions"|"positions"|"sessions"|"received"|"account"|"faults"|"ledger"|"prices"|"statement"|"sockets", ...}
  {"set_price": SYMBOL, "price": 101.5, "hold": true}        hold: the stock stands still there; a list of symbols gaps at once
  {"shift": SYMBOL, "pct": -5, "seconds": 2}                 moves by per cent, over seconds
  {"release": SYMBOL}                                        a held stock ticks again
  {"fill": {"client_id": 1, "order_id": 7}, "quantity": 40, "price": 100.0}
  {"set_cash": 1000000}
  {"time_form": "met"}                                       how moments are written, one of times.py; "" as the client's version has it
  {"clear_faults": true}
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any, Protocol

from positions.gateway.contracts import NoContract
from positions.gateway.faults import RULE_KINDS
from positions.gateway.gateway import DataState, Gateway
from positions.gateway.hours import ZONE
from positions.gateway.orders import BookOrder, OrderRefused, OrderSpec
from positions.gateway.prices import Prices
from positions.gateway.statement import activity_statement, flex_statement
from positions.gateway.times import FORMS
from positions.gateway.transport import Mode

log = logging.getLogger(__name__)

Command = dict[str, Any]
Answer = dict[str, Any]


class Host(Protocol):
    """What the channel needs of the server."""

    async def restart(self, seconds: float) -> None: ...
    def mend_farms(self) -> None: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...


class Refused(ValueError):
    """The command can not be carried out; the text says why."""


class Control:
    """Carries out control commands."""

    def __init__(self, gateway: Gateway, host: Host) -> None:
        self._gateway = gateway
        self._host = host
        self._verbs: dict[str, Callable[[Command], Answer]] = {
            "fault": self._fault,
            "query": self._query,
            "set_price": self._set_price,
            "shift": self._shift,
            "release": self._release,
            "fill": self._fill,
            "set_cash": self._set_cash,
            "time_form": self._time_form,
            "clear_faults": self._clear,
        }
        self._now: dict[str, Callable[[Command], Answer]] = {
            "daily_restart": self._daily_restart,
            "upstream_lost": self._upstream_lost,
            "upstream_restored": self._upstream_restored,
            "farm_flap": self._farm_flap,
            "stuck_client_id": self._stuck_client_id,
            "data": self._data,
            "unsolicited_cancel": self._unsolicited_cancel,
            "lose_order": self._lose_order,
            "alter_order": self._alter_order,
            "late_fill": self._late_fill,
            "correction": self._revision,
            "bust": self._revision,
            "pacing": self._pacing,
            "line_limit": self._line_limit,
            "transport": self._transport,
            "drop_socket": self._drop_socket,
            "notice": self._system_notice,
            "repeat_executions": self._repeat_executions,
            "forget_day": self._forget_day,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One control connection."""
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.carry_out(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            log.info("control connection ended: %s", error)
        finally:
            writer.close()

    def carry_out(self, line: bytes) -> Answer:
        """One command; every failure is an answer."""
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise Refused("a command is a JSON object")
            for word, verb in self._verbs.items():
                if word in command:
                    return {"ok": True, **verb(command)}
            raise Refused(f"no command among {sorted(command)}; known: {sorted(self._verbs)}")
        except NoContract as error:
            return {"ok": False, "error": error.text}
        except (ValueError, KeyError, TypeError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    # Faults

    def _fault(self, command: Command) -> Answer:
        name = command["fault"]
        settings = {key: value for key, value in command.items() if key not in ("fault", "match", "times")}
        immediate = self._now.get(name)
        if immediate is not None and not (name in RULE_KINDS and "match" in command):
            answer = immediate(command)
            return {"sequence": self._gateway.faults.note(name, json.dumps(settings)).sequence, **answer}
        number = self._gateway.faults.arm(name, command.get("match", {}), int(command.get("times", 1)), settings)
        return {"rule": number}

    def _clear(self, _command: Command) -> Answer:
        """Disarms every rule and mends everything that a fault has broken."""
        gateway = self._gateway
        gateway.faults.clear()
        gateway.busy_ids.clear()
        for symbol in list(gateway.data_states):
            gateway.set_data_state(symbol, None)
        gateway.transport_mode = Mode.NORMAL
        for session in gateway.sessions.values():
            session.transport.mode = Mode.NORMAL
        return {}

    def _daily_restart(self, command: Command) -> Answer:
        self._host.spawn(self._host.restart(float(command.get("seconds", 2.0))))
        return {}

    def _upstream_lost(self, command: Command) -> Answer:
        self._gateway.lose_upstream(drop_requests=bool(command.get("drop_orders", False)))
        if "seconds" in command:
            restore = lambda: self._gateway.restore_upstream(data_kept=bool(command.get("data_kept", True)))  # noqa: E731
            asyncio.get_running_loop().call_later(float(command["seconds"]), restore)
        return {}

    def _upstream_restored(self, command: Command) -> Answer:
        self._gateway.restore_upstream(data_kept=bool(command.get("data_kept", True)))
        return {}

    def _farm_flap(self, command: Command) -> Answer:
        self._gateway.farms_broken = True
        for session in self._gateway.sessions.values():
            session.farms(broken=True)
        asyncio.get_running_loop().call_later(float(command.get("seconds", 1.0)), self._host.mend_farms)
        return {}

    def _stuck_client_id(self, command: Command) -> Answer:
        """Keeps a client id busy, as after an abort that the gateway has not noticed."""
        self._gateway.busy_ids[int(command["client_id"])] = time.monotonic() + float(command.get("seconds", 60.0))
        return {}

    def _data(self, command: Command) -> Answer:
        """Breaks a symbol's data (mode: a DataState, or ok to mend it)."""
        mode, symbol = command.get("mode", "stale"), str(command["symbol"])
        state = None if mode == "ok" else DataState(mode)
        self._gateway.set_data_state(symbol, state)
        if state is not None and "seconds" in command:
            mend = lambda: self._gateway.set_data_state(symbol, None)  # noqa: E731
            asyncio.get_running_loop().call_later(float(command["seconds"]), mend)
        return {}

    def _unsolicited_cancel(self, command: Command) -> Answer:
        orders = [order for order in self._gateway.broker.open_orders() if _fits(order.spec, command.get("match", {}))]
        if not orders:
            raise Refused("no open order fits")
        for order in orders:
            if order.live:
                self._gateway.deliver(self._gateway.broker.withdraw(order))
        return {"orders": [order.spec.order_id for order in orders]}

    def _lose_order(self, command: Command) -> Answer:
        """Open orders that fit end without a word to anybody; only lists that are asked for from now on tell."""
        orders = [order for order in self._gateway.broker.open_orders() if _fits(order.spec, command.get("match", {}))]
        if not orders:
            raise Refused("no open order fits")
        for order in orders:
            self._gateway.broker.withdraw(order)
        return {"orders": [order.spec.order_id for order in orders]}

    def _alter_order(self, command: Command) -> Answer:
        """Open orders that fit are changed (`changes`: quantity, stop_price, ...), as in TWS, and nobody is told."""
        orders = [order for order in self._gateway.broker.open_orders() if _fits(order.spec, command.get("match", {}))]
        if not orders:
            raise Refused("no open order fits")
        changes: dict[str, Any] = {name: _number(value) for name, value in command["changes"].items()}
        broker, refused = self._gateway.broker, []
        for order in orders:
            parent = 0 if broker.exchange.book.parent_done(order) else order.spec.parent_id
            reports = broker.place(replace(order.spec, parent_id=parent, **changes))
            refused += [report.text for report in reports if isinstance(report, OrderRefused)]
        if refused:
            raise Refused(refused[0])
        return {"orders": [order.spec.order_id for order in orders]}

    def _late_fill(self, command: Command) -> Answer:
        """An execution of an order that is cancelled already: the last one that fits `match`."""
        broker, match = self._gateway.broker, command.get("match", {})
        orders = [order for order in broker.completed_orders() if order.remaining > 0 and _fits(order.spec, match)]
        if not orders:
            raise Refused("no cancelled order fits")
        order = orders[-1]
        price = _number(command.get("price") or order.limit_price or broker.last(order.spec.symbol))
        self._gateway.deliver(broker.fill_late(order, _number(command.get("quantity", order.remaining)), price))
        return {"order_id": order.spec.order_id}

    def _revision(self, command: Command) -> Answer:
        """Corrects (price, quantity) or busts an execution: by exec_id, else the last that fits `match`."""
        broker, match = self._gateway.broker, command.get("match", {})
        found = [
            execution
            for execution in broker.executions
            if execution.exec_id == command.get("exec_id")
            or ("exec_id" not in command and all(getattr(execution, name) == value for name, value in match.items()))
        ]
        busted = {execution.exec_id.rpartition(".")[0] for execution in broker.executions if execution.liquidation}
        found = [execution for execution in found if execution.exec_id.rpartition(".")[0] not in busted]  # a bust is the last word
        if not found:
            raise Refused("no execution fits")
        price, quantity = command.get("price"), command.get("quantity")
        bust = command["fault"] == "bust"
        reports = broker.revise(found[-1], price=price, quantity=quantity, bust=bust)
        self._gateway.deliver(reports)
        return {"exec_id": broker.executions[-1].exec_id}

    def _pacing(self, command: Command) -> Answer:
        for session in self._chosen(command):
            session.error(-1, 100, "Max rate of messages per second has been exceeded")
            session.close()
        return {}

    def _line_limit(self, command: Command) -> Answer:
        self._gateway.line_limit = int(command["lines"])
        return {}

    def _transport(self, command: Command) -> Answer:
        """How the sockets of now behave, with `stay` also those that are opened later."""
        mode = Mode(command["mode"])
        if command.get("stay"):
            self._gateway.transport_mode = mode
        for session in self._chosen(command):
            session.transport.mode = mode
        return {}

    def _drop_socket(self, command: Command) -> Answer:
        for session in self._chosen(command):
            session.abort()
        return {}

    def _system_notice(self, command: Command) -> Answer:
        self._gateway.broadcast(int(command["code"]), str(command.get("text", "")))
        return {}

    def _repeat_executions(self, _command: Command) -> Answer:
        """All executions of the day are told once more, as some gateways do after a restart."""
        return {"executions": self._gateway.repeat_executions()}

    def _forget_day(self, _command: Command) -> Answer:
        """Midnight for the lists: what was executed or done until now is on none of them any more."""
        return {"executions": self._gateway.broker.forget_day()}

    def _chosen(self, command: Command) -> list[Any]:
        wanted = command.get("client_id")
        return [session for client_id, session in self._gateway.sessions.items() if wanted in (None, client_id)]

    # The market and the account

    def _set_price(self, command: Command) -> Answer:
        named, price = command["set_price"], _number(command["price"])
        if price <= 0:
            raise Refused("a price is positive")
        hold = bool(command.get("hold", False))
        symbols = [str(name) for name in named] if isinstance(named, list) else [str(named)]

        def gap(prices: Prices, at: float) -> None:
            for symbol in symbols:
                prices.set_price(symbol, price, at, hold=hold)

        return self._move(symbols, gap, command)

    def _shift(self, command: Command) -> Answer:
        symbol, fraction = str(command["shift"]), _number(command["pct"]) / 100
        if fraction <= -1:
            raise Refused("a stock can not lose more than everything")
        seconds = _number(command.get("seconds", 0.0)) * self._gateway.speed
        return self._move([symbol], lambda prices, at: prices.shift(symbol, fraction, seconds, at), command)

    def _release(self, command: Command) -> Answer:
        symbol = str(command["release"])
        return self._move([symbol], lambda prices, at: prices.release(symbol, at), command)

    def _move(self, symbols: list[str], change: Callable[[Prices, float], None], command: Command) -> Answer:
        broker = self._gateway.broker
        for symbol in symbols:
            broker.contracts.info(symbol)
        broker.now = self._gateway.now()
        broker.move_price(change, command)
        self._gateway.tick()
        return {"last": broker.last(symbols[0])} if symbols else {}

    def _fill(self, command: Command) -> Answer:
        broker, key = self._gateway.broker, command["fill"]
        order = broker.exchange.book.orders.get((int(key["client_id"]), int(key["order_id"])))
        if order is None or not order.live:
            raise Refused("no such live order")
        price = _number(command.get("price") or broker.last(order.spec.symbol))
        self._gateway.deliver(broker.fill(order, _number(command.get("quantity", order.remaining)), price))
        return {}

    def _time_form(self, command: Command) -> Answer:
        form = str(command["time_form"])
        if form and form not in FORMS:
            raise Refused(f"no time form {form!r}; known: {sorted(FORMS)}")
        self._gateway.time_form = form
        return {}

    def _set_cash(self, command: Command) -> Answer:
        self._gateway.broker.set_cash(_number(command["set_cash"]))
        return {}

    # The truth

    def _query(self, command: Command) -> Answer:
        broker = self._gateway.broker
        views: dict[str, Callable[[], Any]] = {
            "book": lambda: [_order_row(order) for order in broker.open_orders()],
            "orders": lambda: [_order_row(order) for order in broker.exchange.book.orders.values()],
            "executions": lambda: [asdict(execution) for execution in broker.executions],
            "positions": lambda: [asdict(holding) for holding in broker.account.holdings.values() if holding.quantity],
            "sessions": self._sessions,
            "sockets": lambda: {"open": self._gateway.sockets, "most": self._gateway.most_sockets},
            "received": lambda: [asdict(row) for row in self._gateway.received if row.sequence > int(command.get("after", 0))],
            "account": lambda: {"cash": broker.account.cash, **broker.account.values(broker.last)},
            "faults": lambda: [asdict(strike) for strike in self._gateway.faults.strikes],
            "ledger": lambda: broker.store.ledger(int(command.get("after", 0))),
            "statement": lambda: self._statement(command),
            "prices": lambda: asdict(broker.prices.quote(str(command["symbol"]), self._gateway.now())),
        }
        view = views.get(command["query"])
        if view is None:
            raise Refused(f"no view {command['query']!r}; known: {sorted(views)}")
        return {"rows": view()}

    def _statement(self, command: Command) -> str:
        """A day's statement (day: ISO date, today's without; format: flex or activity) from the ledger."""
        text = str(command.get("day") or datetime.fromtimestamp(self._gateway.now(), ZONE).date().isoformat())
        make = {"flex": flex_statement, "activity": activity_statement}[str(command.get("format", "flex"))]
        return make(self._gateway.broker.store.whole_ledger(), date.fromisoformat(text))

    def _sessions(self) -> list[Answer]:
        return [
            {"client_id": client_id, "version": session.version, "lines": len(session.streams.lines)}
            for client_id, session in self._gateway.sessions.items()
        ]


def _order_row(order: BookOrder) -> Answer:
    row = asdict(order)
    spec = row.pop("spec")
    del spec["wire"]
    return {**spec, **row, "remaining": order.remaining, "live": order.live}


def _fits(spec: OrderSpec, match: Command) -> bool:
    return all(getattr(spec, name) == value for name, value in match.items())


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise Refused("a number must be finite")
    return number
