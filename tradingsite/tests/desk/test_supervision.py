"""Supervision with small programs in the place of the desk's own."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from tradingsite.desk import child as child_module
from tradingsite.desk import supervisor as supervisor_module
from tradingsite.desk.child import Child, ChildState, Service
from tradingsite.desk.output import Output
from tradingsite.desk.services import Plan
from tradingsite.desk.supervisor import Supervisor
from tradingsite.testing.patience import PATIENCE, eventually_async
from tradingsite.testing.processes import ROOT

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
DIES = "print('up', flush=True); raise SystemExit(3)"
IGNORES_TERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
NOTES_TERM = (  # what it is told goes to the file that it is given
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: print('told', flush=True, file=open({file!r}, 'w'))); "
    "print('up', flush=True)\nwhile True: time.sleep(600)"
)
HAS_A_CHILD_THAT_IGNORES_TERM = (
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', "
    "'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'], stdout=subprocess.DEVNULL); "
    "print(p.pid, flush=True); time.sleep(600)"
)

SUPERVISES = """
import asyncio, signal, sys
from tradingsite.desk.child import Child, Service
service = Service(name="celery", command=(sys.executable, "-c", sys.argv[1]), orphaned=signal.Signals(int(sys.argv[2])))
one = Child(service, say=lambda name, line: print(name, line, one.pid, flush=True), on_change=lambda _: None)
asyncio.run(one.run())
"""


def service(name: str, program: str) -> Service:
    return Service(name=name, command=(sys.executable, "-c", program))


class Lines:
    """Keeps what processes said."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def say(self, name: str, line: str) -> None:
        self.all.append((name, line))

    def of(self, name: str) -> list[str]:
        return [line for who, line in self.all if who == name]


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def supervise(lines: Lines) -> Callable[[Service], Child]:
    return lambda one: Child(one, say=lines.say, on_change=lambda _: None)


def is_alive(pid: int) -> bool:
    """A killed process that nobody has reaped yet is not alive."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_killed_process_is_started_again_and_it_is_said(supervise: Callable[[Service], Child], lines: Lines) -> None:
    one = supervise(service("web", SLEEPS))
    task = asyncio.create_task(one.run())
    await eventually_async(lambda: one.state is ChildState.RUNNING)
    first = one.pid
    assert first
    os.kill(first, signal.SIGKILL)
    await eventually_async(lambda: one.restarts == 1 and one.state is ChildState.RUNNING and one.pid != first)
    assert any("web ended (killed by SIGKILL); restart 1 in 0.5 s" in line for line in lines.of("desk"))
    await one.stop(patience=PATIENCE)
    await task
    assert one.state is ChildState.STOPPED
    assert one.pid is None


async def test_a_process_that_served_and_hangs_is_killed_and_started_again(
    supervise: Callable[[Service], Child], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "CHECK_EVERY", 0.01)
    answers = iter([False, True, *[False] * 5, True, *[False] * 6])  # not yet, up, busy, back, silent

    async def ready() -> bool:
        return next(answers, True)

    one = supervise(replace(service("web", SLEEPS), ready=ready))
    task = asyncio.create_task(one.run())
    await eventually_async(lambda: one.state is ChildState.RUNNING)
    first = one.pid
    await eventually_async(lambda: one.restarts == 1 and one.state is ChildState.RUNNING)
    assert one.pid != first
    assert next(answers, None) is None
    assert [line for line in lines.of("desk") if "not answered" in line] == ["web has not answered for 0.06 s; killed"]
    await one.stop(patience=PATIENCE)
    await task


async def test_a_process_that_keeps_dying_is_tried_ever_more_rarely(
    supervise: Callable[[Service], Child], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(child_module, "LONGEST_DELAY", 0.04)
    one = supervise(service("beat", DIES))
    task = asyncio.create_task(one.run())
    await eventually_async(lambda: one.restarts >= 4)
    await one.stop(patience=PATIENCE)
    await task
    delays = [line.rpartition(" in ")[2] for line in lines.of("desk")][:4]
    assert delays == ["0.01 s", "0.02 s", "0.04 s", "0.04 s"]


async def test_a_service_may_ask_to_be_back_sooner(
    supervise: Callable[[Service], Child], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "FIRST_DELAY", 0.01)
    one = supervise(replace(service("ibworker", DIES), longest_delay=0.02))
    task = asyncio.create_task(one.run())
    await eventually_async(lambda: one.restarts >= 3)
    await one.stop(patience=PATIENCE)
    await task
    assert [line.rpartition(" in ")[2] for line in lines.of("desk")][:3] == ["0.01 s", "0.02 s", "0.02 s"]


async def test_a_stop_during_the_back_off_ends_at_once(supervise: Callable[[Service], Child], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "FIRST_DELAY", 10 * PATIENCE)
    one = supervise(service("beat", DIES))
    task = asyncio.create_task(one.run())
    await eventually_async(lambda: one.state is ChildState.RESTARTING)
    await one.stop(patience=PATIENCE)
    await asyncio.wait_for(task, PATIENCE)


async def test_a_process_that_ignores_sigterm_is_killed_after_our_patience(supervise: Callable[[Service], Child], lines: Lines) -> None:
    one = supervise(service("celery", IGNORES_TERM))
    task = asyncio.create_task(one.run())
    await eventually_async(lambda: "up" in lines.of("celery"))
    pid = one.pid
    assert pid
    await one.stop(patience=0.2)
    await task
    assert not is_alive(pid)


async def test_what_a_process_started_ends_with_it(supervise: Callable[[Service], Child], lines: Lines) -> None:
    one = supervise(service("celery", HAS_A_CHILD_THAT_IGNORES_TERM))
    task = asyncio.create_task(one.run())
    await eventually_async(lambda: lines.of("celery"))
    grandchild = int(lines.of("celery")[0])
    await one.stop(patience=PATIENCE)
    await task
    await eventually_async(lambda: not is_alive(grandchild))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
@pytest.mark.parametrize(("number", "goes"), [(signal.SIGKILL, True), (signal.SIGTERM, False)])
async def test_a_process_is_told_its_own_word_when_the_desk_is_killed(number: signal.Signals, goes: bool, tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = NOTES_TERM.format(file=str(told))
    desk = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISES, program, str(int(number)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert desk.stdout
    pid = int((await desk.stdout.readline()).split()[-1])
    desk.kill()
    await desk.wait()
    await eventually_async(lambda: told.exists() or not is_alive(pid), what="it is told")
    assert (told.exists(), is_alive(pid)) == (not goes, not goes)
    if not goes:
        os.kill(pid, signal.SIGKILL)


async def test_a_line_longer_than_any_buffer_passes_whole(supervise: Callable[[Service], Child], lines: Lines) -> None:
    one = supervise(service("web", "print('x' * 300_000, flush=True); import time; time.sleep(600)"))
    task = asyncio.create_task(one.run())
    await eventually_async(lambda: lines.of("web"))
    await one.stop(patience=PATIENCE)
    await task
    assert lines.of("web") == ["x" * 300_000]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    order = tmp_path / "order"
    says_when_it_ends = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(order)!r}, 'a').write(sys.argv[1] + ' ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(order)!r}, 'a').write('+' + sys.argv[1] + ' ')\n"
        "time.sleep(600)\n"
    )

    def one(name: str) -> Service:
        async def ready() -> bool:
            return f"+{name} " in (order.read_text() if order.exists() else "")

        return Service(name=name, command=(sys.executable, "-c", says_when_it_ends, name), ready=ready)

    return Plan(
        redis=one("redis"),
        others=(one("worker"), one("web")),
        environment={},
        own_gateway=True,
        gateway_state=tmp_path / "gateway",
        web_url="http://127.0.0.1:1",
        data_dir=tmp_path,
    )


async def test_redis_is_up_first_and_down_last_and_the_address_is_printed_when_the_web_serves(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATIENCE", "FOUNDATION_PATIENCE", "REDIS_PATIENCE"):
        monkeypatch.setattr(supervisor_module, name, PATIENCE)
    terminal = io.StringIO()
    output = Output(tmp_path / "logs", stream=terminal)
    run = asyncio.create_task(Supervisor(plan, output, login_line="Log in at X").run())
    await eventually_async(lambda: "Log in at X" in terminal.getvalue())
    rows = {row["name"]: row for row in orjson.loads((tmp_path / "status.json").read_bytes())}
    assert rows["redis"]["state"] == "running"
    assert rows["web"]["pid"] > 0
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(run, PATIENCE)
    output.close()
    words = (tmp_path / "order").read_text().split()
    assert words[0] == "+redis"
    assert words[-1] == "redis"
    assert sorted(words) == sorted(["+redis", "+worker", "+web", "worker", "web", "redis"])
    assert "restarts 0" in terminal.getvalue()
    assert all(row["state"] == "stopped" for row in orjson.loads((tmp_path / "status.json").read_bytes()))


def test_lines_carry_their_process_name_reach_its_log_file_and_hide_secrets(tmp_path: Path) -> None:
    terminal = io.StringIO()
    output = Output(tmp_path / "logs", stream=terminal, secrets=["very-secret-key"])
    output.say("web", "GET /?key=very-secret-key")
    output.announce("password 123")
    output.close()
    assert "web       | GET /?key=[hidden]" in terminal.getvalue()
    assert (tmp_path / "logs" / "web.log").read_text() == "GET /?key=[hidden]\n"
    assert "password 123" in terminal.getvalue()
    assert not (tmp_path / "logs" / "desk.log").exists()
