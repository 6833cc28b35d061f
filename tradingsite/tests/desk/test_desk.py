"""`manage.py desk` for real: every process, its own Redis, gateway and API, in an empty DATA_DIR on free ports."""

import os
import signal
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tradingsite.testing.live_desk import CHILDREN, PASSWORD, Desks, LiveDesk
from tradingsite.testing.network import LOOPBACK
from tradingsite.testing.patience import PATIENCE, eventually
from tradingsite.testing.starvation import Stopwatch

pytestmark = pytest.mark.timed


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@dataclass(frozen=True)
class ById:
    """A child of the desk, for the stopwatch."""

    pid: int

    @property
    def running(self) -> bool:
        return not is_gone(self.pid)


def test_one_command_starts_everything_and_the_desk_becomes_fit_to_trade(live_desk: LiveDesk) -> None:
    assert set(live_desk.rows) == set(CHILDREN)
    assert f"Log in at {live_desk.url} as demo with password {PASSWORD}" in live_desk.process.output
    for name in CHILDREN:
        assert f"{name:<10} pid " in live_desk.process.output
    with httpx.Client(base_url=live_desk.url, follow_redirects=True, trust_env=False, timeout=PATIENCE) as browser:
        page = browser.get("/login/")
        assert page.status_code == 200
        token = browser.cookies["desk-csrf"]
        answer = browser.post(
            "/login/",
            data={"username": "demo", "password": PASSWORD, "csrfmiddlewaretoken": token},
            headers={"Referer": f"{live_desk.url}/login/"},
        )
        assert answer.status_code == 200
        assert "SIMULATED" in answer.text


def test_secrets_are_their_owners_alone_and_in_no_log(live_desk: LiveDesk) -> None:
    data_dir = live_desk.data_dir
    for name in ("secret_key", "redis/url", "redis/password", "flowapi/key"):
        assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600, name
    secrets = [(data_dir / name).read_text() for name in ("secret_key", "redis/password", "flowapi/key")] + [PASSWORD]
    for log in (data_dir / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not any(secret in text for secret in secrets), log.name


@pytest.mark.parametrize("child", CHILDREN)
def test_a_killed_child_comes_back_and_the_desk_is_fit_again(live_desk: LiveDesk, child: str) -> None:
    killed = live_desk.kill_child(child)
    eventually(lambda: live_desk.rows[child]["pid"] not in (None, killed), what=f"{child} runs again")
    eventually(lambda: f"{child} ended (killed by SIGKILL); restart " in live_desk.process.output)
    live_desk.wait_until_fit_to_trade()


def test_a_desk_ends_cleanly_starts_again_as_it_was_and_takes_its_children_along_when_killed(make_desk: Desks) -> None:
    desk = make_desk(DEMO_PASSWORD="")
    desk.start()
    first, pids = _kept(desk.data_dir), [desk.pid_of(name) for name in CHILDREN]
    watch = Stopwatch(desk.process, *map(ById, pids))
    desk.process.signal(signal.SIGTERM)
    assert watch.until(lambda: not desk.process.running, what="the desk ends") < 10
    assert desk.process.wait() == 0
    assert all(is_gone(pid) for pid in pids)

    desk.start()
    assert _kept(desk.data_dir) == first
    assert desk.process.output.count(f"as demo with password {first['demo_password']}\n") == 2
    assert "collecting static files" not in desk.process.output.partition("all processes ended")[2]

    pids = [desk.pid_of(name) for name in CHILDREN]
    desk.process.kill()
    eventually(lambda: all(is_gone(pid) for pid in pids), what="all children ended")


def _kept(data_dir: Path) -> dict[str, str]:
    names = ("secret_key", "demo_password", "redis/url", "gateway/port", "flowapi/url", "flowapi/key")
    return {name: (data_dir / name).read_text() for name in names}


def test_a_second_desk_in_the_same_folder_is_refused_in_one_sentence(live_desk: LiveDesk, make_desk: Desks) -> None:
    second = make_desk(DATA_DIR=str(live_desk.data_dir))
    second.process.start()
    assert second.process.wait() != 0
    assert second.process.output.splitlines() == [
        f"CommandError: A desk already runs in {live_desk.data_dir} (process {live_desk.process.pid})."
    ]


def test_a_taken_port_is_one_sentence(make_desk: Desks) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        desk = make_desk(PORT=str(port))
        desk.process.start()
        assert desk.process.wait() != 0
    assert desk.process.output.splitlines() == [f"CommandError: Port {port} is taken by another program; set PORT to a free one."]


def test_a_database_out_of_reach_is_one_sentence(make_desk: Desks) -> None:
    desk = make_desk(DATABASE_URL="postgres://nobody@127.0.0.1:1/desk")
    desk.process.start()
    assert desk.process.wait() != 0
    assert desk.process.output.splitlines()[-1].startswith("CommandError: The database does not work (DATABASE_URL):")
    assert "Traceback" not in desk.process.output
