"""No test waits with a patience of its own: a machine that is busy with other things would turn it red."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tradingsite.testing import starvation
from tradingsite.testing.patience import PATIENCE
from tradingsite.testing.processes import ROOT
from tradingsite.testing.starvation import Starvation

# Calls that wait, and which of their positional arguments says how long at most.
WAITS = {"wait_for": 1, "timeout": 0, "result": 0, "join": 0, "wait": 0, "sleep": 0, "wait_for_timeout": 0}
ASKS = {"Client", "AsyncClient", "get", "post", "request"}
# file → what it may wait for, each with its reason
ALLOWED = {
    "events/tests/test_hub.py": {"asyncio.sleep(0.0005)": "rows come one by one, faster than the feed sends"},
    "signals/tests/pages/conftest.py": {"self._stop.wait(0.5)": "the pace of the heartbeats that stand in for the worker's"},
    "signals/tests/test_rate_limit.py": {"asyncio.sleep(0.001)": "the loop of the virtual clock, which has its own end"},
    "tradingsite/tests/redelivery.py": {"_never.wait(0.05)": "a task that lasts until its test makes a file"},
    "tradingsite/tests/test_fixtures.py": {"time.sleep(0.05)": "makes room for a race that the test forbids"},
    "tradingsite/tests/page_pulse.py": {"self._stop.wait(0.5)": "the pace of the heartbeats that stand in for the worker's"},
}


def own_patience(source: str) -> Iterator[tuple[int, str]]:
    """(line, call) of every wait that is limited by a number below the patience of all tests."""
    tree = ast.parse(source)
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ASKS and ast.unparse(node.func) == f"httpx.{name}" and not any(word.arg == "timeout" for word in node.keywords):
            yield node.lineno, ast.unparse(node)  # it has one of five seconds
        limited = {"timeout", "seconds"} if name.startswith(("eventually", "wait")) else {"timeout"}
        limits = [word.value for word in node.keywords if word.arg in limited]
        place = WAITS.get(name, len(node.args))
        virtual = name == "wait" and (id(node) in awaited or ast.unparse(node.func).endswith("desk.wait"))  # the clock of a desk in memory
        limits += [] if virtual else node.args[place : place + 1]
        if any(_below(limit, name) for limit in limits):
            yield node.lineno, ast.unparse(node)


def _below(limit: ast.expr, name: str) -> bool:
    if not isinstance(limit, ast.Constant) or not isinstance(limit.value, int | float) or isinstance(limit.value, bool):
        return False
    seconds = limit.value / 1000 if limit.value >= 1000 or name.startswith(("to_", "wait_for_")) else limit.value  # a browser's are ms
    return 0 < seconds < PATIENCE


def test_every_wait_has_the_one_patience() -> None:
    files = [*ROOT.glob("*/tests/**/*.py"), *ROOT.glob("tradingsite/testing/*.py"), ROOT / "conftest.py"]
    assert len(files) > 200
    found = {
        f"{path.relative_to(ROOT)}:{line}: {call}"
        for path in files
        for line, call in own_patience(path.read_text())
        if not any(allowed in call for allowed in ALLOWED.get(str(path.relative_to(ROOT)), {}))
    }
    assert not found, "wait with eventually(...), or with PATIENCE:\n" + "\n".join(sorted(found))


def test_what_is_allowed_is_still_there() -> None:
    for path, waits in ALLOWED.items():
        calls = [call for _, call in own_patience((ROOT / path).read_text())]
        for allowed in waits:
            assert any(allowed in call for call in calls), (path, allowed)


@pytest.mark.parametrize(
    "wait",
    [
        "eventually(check, seconds=10)", "await asyncio.wait_for(task, 2)", "process.wait(10)", "desk.process.wait(seconds=20)",
        "thread.join(timeout=5)",
        "page.locator('x').wait_for(timeout=20_000)", "expect(x).to_be_visible(timeout=500)", "page.wait_for_timeout(1500)",
        "time.sleep(0.5)", "httpx.get(url, timeout=2)", "httpx.get(url)", "future.result(5)",
    ],
)  # fmt: skip
def test_a_patience_of_ones_own_is_found(wait: str) -> None:
    source = f"async def test() -> None:\n    {wait}\n"
    assert len(list(own_patience(source))) == 1


@pytest.mark.parametrize("wait", ["eventually(check, every=0.5)", "await asyncio.sleep(0)", "await desk.wait(4)", "process.wait(PATIENCE)"])
def test_a_wait_with_the_common_patience_is_not(wait: str) -> None:
    assert not list(own_patience(f"async def test() -> None:\n    {wait}\n"))


def test_a_stopwatch_stands_still_while_its_process_is_kept_from_running_and_never_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = [100.0], [7.0]
    monkeypatch.setattr(starvation.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(starvation, "_waited", lambda file: waited[0])
    watch = starvation.Stopwatch()
    now[0] += 10
    assert watch.seconds == 10
    waited[0] += 4
    assert (watch.seconds, watch.starved) == (6, 4)
    waited[0] += 400
    assert watch.seconds == 1


def test_the_judge_does_not_count_what_a_process_waited_for_a_processor() -> None:
    waited = {1: 5.0, 2: 0.0}
    starved = Starvation(waited.__getitem__)
    starved.look(1)
    waited[1] = 7.5
    starved.look(1)
    waited[2] = 1.0  # born meanwhile: all its waiting was in our time
    starved.look(2)
    assert starved.seconds == 3.5
