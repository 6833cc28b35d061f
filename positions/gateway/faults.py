"""Scripted misbehaviour: rules that wait for an order, a cancel or a report, and are used up as they strike.

A rule matches on any of symbol, client_id, order_id, order_ref, side, kind, parent_id, and request (new or modify); all
given ones must agree. It strikes `times` times (0: for ever). Every strike is logged with a sequence number, so that a failed test can say
exactly what was done to it. `control.py` takes the rules; sessions and the gateway ask for them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from positions.gateway.brokerage import Executed, Report
from positions.gateway.orders import BookOrder, OrderSpec, OrderUpdated, QuoteLike, Status
from positions.gateway.reports import Note, NoteKind, placeholder, status_note

log = logging.getLogger(__name__)

ORDER_FAULTS = frozenset({"silent_drop", "ack_lost", "reject", "inactive", "locate", "notice"})
CANCEL_FAULTS = frozenset({"cancel_race", "cancel_ignored", "cancel_rejected"})
REPORT_FAULTS = frozenset({"disorder"})
SIZE_FAULTS = frozenset({"partials"})
CLIENT_FAULTS = frozenset({"client_busy"})
HISTORY_FAULTS = frozenset({"history"})
HELLO_FAULTS = frozenset({"no_greeting"})
OMISSIONS = frozenset({"omit"})  # one report of an execution in `every` is never sent; everything else goes on
RULE_KINDS = ORDER_FAULTS | CANCEL_FAULTS | REPORT_FAULTS | SIZE_FAULTS | CLIENT_FAULTS | HISTORY_FAULTS | HELLO_FAULTS | OMISSIONS
ORDER_FACTS = frozenset({"symbol", "client_id", "order_id", "order_ref", "side", "kind", "parent_id"})
MATCHABLE = ORDER_FACTS | {"request"}
DISORDERS = frozenset(
    {"status_first", "exec_only", "commission_first", "duplicate", "stale_submitted", "no_commission", "commission_placeholder"}
)


@dataclass(slots=True, kw_only=True)
class Rule:
    """One armed fault. `left` counts the strikes to come; -1 is for ever."""

    number: int
    fault: str
    match: Mapping[str, Any]
    left: int
    settings: Mapping[str, Any]
    seen: int = 0  # executions an `omit` rule has let pass or swallowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One use of a rule, or one immediate fault."""

    sequence: int
    fault: str
    detail: str


@dataclass(slots=True, kw_only=True)
class FillPlan:
    """Scripted fill sizes of one order: the next one not before `due`."""

    sizes: list[float]
    delay: float
    due: float = 0.0


@dataclass(slots=True)
class FaultBook:
    """All armed rules, oldest first, and the log of what has struck."""

    rules: list[Rule] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    plans: dict[tuple[int, int], FillPlan] = field(default_factory=dict)  # order key → its scripted fills
    _numbers: int = 0

    def arm(self, fault: str, match: Mapping[str, Any], times: int, settings: Mapping[str, Any]) -> int:
        """Adds a rule and returns its number. Raises ValueError for an unknown fault or match word."""
        unknown = set(match) - MATCHABLE
        if fault not in RULE_KINDS or unknown:
            raise ValueError(f"unknown fault {fault!r}" if fault not in RULE_KINDS else f"unknown match {sorted(unknown)}")
        if fault == "omit" and int(settings.get("every", 1)) < 1:
            raise ValueError("every must be 1 or more")
        if fault == "disorder" and settings.get("mode") not in DISORDERS:
            raise ValueError(f"disorder mode must be one of {sorted(DISORDERS)}")
        self._numbers += 1
        left = times if times > 0 else -1
        self.rules.append(Rule(number=self._numbers, fault=fault, match=match, left=left, settings=settings))
        return self._numbers

    def clear(self) -> None:
        self.rules.clear()
        self.plans.clear()

    def take(self, faults: frozenset[str], spec: OrderSpec, *, request: str = "") -> Rule | None:
        """The first rule of these kinds that fits the order, and what is asked about it; one strike of it is used up."""
        facts = {"request": request, **{name: getattr(spec, name) for name in ORDER_FACTS}}
        return self._take(faults, facts, f"order {spec.client_id}/{spec.order_id} {spec.symbol}")

    def take_client(self, client_id: int) -> Rule | None:
        return self._take(CLIENT_FAULTS, {"client_id": client_id}, f"client {client_id}")

    def take_history(self, symbol: str) -> Rule | None:
        return self._take(HISTORY_FAULTS, {"symbol": symbol}, f"history of {symbol}")

    def take_hello(self) -> Rule | None:
        """Whether somebody who has just connected is left without a greeting."""
        return self._take(HELLO_FAULTS, {}, "a new connection")

    def note(self, fault: str, detail: str) -> Strike:
        """Logs an immediate fault, or a strike."""
        strike = Strike(sequence=len(self.strikes) + 1, fault=fault, detail=detail)
        self.strikes.append(strike)
        log.warning("fault %d %s: %s", strike.sequence, fault, detail)
        return strike

    def fill_size(self, order: BookOrder, quote: QuoteLike) -> float | None:
        """Scripted size of the next fill: None without a script, 0 while it waits or when it has ended early."""
        plan = self.plans.get(order.key)
        if plan is None:
            rule = self.take(SIZE_FAULTS, order.spec)
            if rule is None:
                return None
            sizes = [float(size) for size in rule.settings.get("sizes", [])]
            plan = self.plans[order.key] = FillPlan(sizes=sizes, delay=float(rule.settings.get("delay", 0.0)))
        if quote.at < plan.due or not plan.sizes:
            return 0.0
        plan.due = quote.at + plan.delay
        return plan.sizes.pop(0)

    def disturb(self, notes: list[Note], reports: list[Report]) -> list[Note]:
        """Reorders, repeats or drops the messages about an execution when a rule says so."""
        notes = self._omit(notes, reports)
        if not any(rule.fault == "disorder" for rule in self.rules):
            return notes
        for order in _executed_orders(reports):
            rule = self.take(REPORT_FAULTS, order.spec)
            if rule is not None:
                notes = _disorder(str(rule.settings["mode"]), notes, order, reports)
        return notes

    def _omit(self, notes: list[Note], reports: list[Report]) -> list[Note]:
        """Without all that would tell of one execution in `every`: its own message, its commission, the order's statuses."""
        for rule in [rule for rule in self.rules if rule.fault in OMISSIONS]:
            for order in _executed_orders(reports):
                if any(getattr(order.spec, name, None) != value for name, value in rule.match.items()):
                    continue
                rule.seen += 1
                if rule.seen % int(rule.settings.get("every", 1)) == 0:
                    self._strike(rule, f"order {order.spec.client_id}/{order.spec.order_id} {order.spec.symbol}")
                    notes = [note for note in notes if (note.client_id, note.order_id) != order.key or note.kind is NoteKind.ERROR]
        return notes

    def _strike(self, rule: Rule, detail: str) -> None:
        rule.left -= 1
        if rule.left == 0:
            self.rules.remove(rule)
        self.note(rule.fault, detail)

    def _take(self, faults: frozenset[str], facts: Mapping[str, Any], detail: str) -> Rule | None:
        for rule in self.rules:
            if rule.fault in faults and all(facts.get(name) == value for name, value in rule.match.items()):
                self._strike(rule, detail)
                return rule
        return None


def _executed_orders(reports: list[Report]) -> list[BookOrder]:
    keys = {(report.execution.client_id, report.execution.order_id) for report in reports if isinstance(report, Executed)}
    orders = {report.order.key: report.order for report in reports if isinstance(report, OrderUpdated)}
    return [order for key, order in orders.items() if key in keys]


def _disorder(mode: str, notes: list[Note], order: BookOrder, reports: list[Report]) -> list[Note]:
    mine = [note for note in notes if (note.client_id, note.order_id) == order.key and note.kind is not NoteKind.ERROR]
    others = [note for note in notes if note not in mine]
    executions = [note for note in mine if note.kind is NoteKind.EXECUTION]
    commissions = [note for note in mine if note.kind is NoteKind.COMMISSION]
    rest = [note for note in mine if note.kind not in (NoteKind.EXECUTION, NoteKind.COMMISSION)]
    update = next(report for report in reversed(reports) if isinstance(report, OrderUpdated) and report.order is order)
    arranged = {
        "status_first": rest + executions + commissions,
        "exec_only": executions + commissions,
        "commission_first": commissions + executions + rest,
        "duplicate": executions * 2 + rest * 2 + commissions * 2,
        "stale_submitted": executions + rest + commissions + [status_note(update, status=Status.SUBMITTED)],
        "no_commission": executions + rest,
        "commission_placeholder": executions + rest + [placeholder(report) for report in reports if isinstance(report, Executed)],
    }
    return arranged[mode] + others
