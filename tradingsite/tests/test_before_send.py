"""What the worker asks between the pacer and the socket, each question by itself."""

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest

from events.failstop import Breakdown
from positions.domain.ports import LinkDown, Overtaken, SendRefused
from tradingsite.worker import worker as worker_module
from tradingsite.worker.trading import ACTIVE
from tradingsite.worker.worker import LEASE_SECONDS, Worker

ENTRY, EXIT = (SimpleNamespace(order_ref="TDA-E"),), (SimpleNamespace(order_ref="TDA-X"),)


@pytest.fixture
def worker() -> Worker:
    """With stand-ins for all it is made of: only its own questions are asked here."""
    parts: dict[str, Any] = {
        part.name: SimpleNamespace() for part in fields(Worker) if not part.name.startswith("_") and part.name != "code"
    }
    made = Worker(**parts)
    made.switch.state, made.switch.reason = ACTIVE, ""
    made.manager.look_again = lambda tickets: None
    made.journal.seal = lambda: None
    return made


def test_in_peace_everything_leaves(worker):
    worker.before_send(ENTRY)
    worker.before_send(EXIT)


def test_a_worker_that_slept_sends_nothing(worker, monkeypatch):
    now = worker_module.monotonic()
    monkeypatch.setattr(worker_module, "monotonic", lambda: now + LEASE_SECONDS + 1)
    with pytest.raises(LinkDown, match="has not confirmed its lease"):
        worker.before_send(EXIT)


@pytest.mark.parametrize("end", [
    lambda worker: worker.taken_over("another one holds it"),
    lambda worker: worker.fail_stop(Breakdown(section="drain", cause="execution 1", error="ValueError: x", content="")),
])  # fmt: skip
def test_one_that_is_ending_sends_nothing(worker, end):
    end(worker)
    with pytest.raises(LinkDown):
        worker.before_send(EXIT)


def test_a_halt_lets_exits_out_and_no_entry(worker):
    worker.switch.state, worker.switch.reason = "halted", "smoke"
    worker.before_send(EXIT)
    with pytest.raises(SendRefused, match="smoke"):
        worker.before_send(ENTRY)


def test_an_exit_is_looked_at_again_when_more_was_heard(worker):
    asked = []

    def look_again(tickets: object) -> None:
        asked.append(tickets)
        raise Overtaken("its stop filled")

    worker.manager.look_again = look_again
    with pytest.raises(Overtaken):
        worker.before_send(EXIT)
    assert asked == [EXIT]
