"""Settings from the environment: a broken one is named in one sentence."""

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from tradingsite.environment import Environment, check_live_surroundings, check_trading, kept_secret
from tradingsite.logs import JsonFormatter, PlainFormatter
from tradingsite.testing.processes import ROOT, clean_environment

LIVE = {"account": "U1234567", "confirmed": "U1234567", "flow_given": True, "ib_given": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("IB_PORT", "40.5"),
        ("IB_CLIENT_ID", "one"),
        ("IB_TIME_ZONE", "Mars/Olympus"),
        ("TRADING_MODE", "real"),
        ("REDIS_URL", "localhost:6379"),
        ("DATABASE_URL", "mysql://somewhere/desk"),
        ("FLOW_API_URL", "file:///etc/passwd"),
        ("FLOW_API_URL", "http://host:notaport/"),
        ("DATA_DIR", "/dev/null/var"),
        ("DEBUG", "maybe"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_broken_setting_gets_one_sentence_with_its_name(tmp_path: Path, name: str, value: str) -> None:
    environment = clean_environment({"DATA_DIR": str(tmp_path / "var")} | {name: value})
    done = subprocess.run([sys.executable, "manage.py", "desk"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert name in done.stderr


def test_a_url_with_a_password_is_never_repeated_in_the_complaint() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        Environment({"REDIS_URL": "memcached://:hunter22@host"}).url("REDIS_URL", "", ("redis",))
    assert "hunter22" not in str(caught.value)


def test_live_trading_with_both_switches_and_a_live_account_is_allowed() -> None:
    check_trading("live", **LIVE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"account": ""}, "IB_ACCOUNT"),
        ({"account": "DU123", "confirmed": "DU123"}, "IB_ACCOUNT"),
        ({"account": "dusim1", "confirmed": "dusim1"}, "IB_ACCOUNT"),
        ({"confirmed": ""}, "LIVE_TRADING_CONFIRMED"),
        ({"confirmed": "yes"}, "LIVE_TRADING_CONFIRMED"),
        ({"flow_given": False}, "FLOW_API_URL"),
        ({"ib_given": False}, "IB_PORT"),
    ],
)
def test_live_trading_is_refused_while_a_switch_is_missing(change: dict[str, object], named: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=named):
        check_trading("live", **(LIVE | change))  # type: ignore[arg-type]


SOUND = {
    "debug": False,
    "hosts": ["desk.example"],
    "secret_key": "k8Zq2vLx0pWm5tRb7nYc3dJf9hGs1aEu",
    "https": True,
    "redis_url": "redis://127.0.0.1:6379/0",
    "database_url": "sqlite:////srv/desk.sqlite3",
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"debug": True}, "DEBUG"),
        ({"hosts": ["*"]}, "ALLOWED_HOSTS"),
        ({"hosts": ["desk.example", ".example"]}, "ALLOWED_HOSTS"),
        ({"secret_key": "x"}, "SECRET_KEY"),
        ({"secret_key": "x" * 60}, "SECRET_KEY"),
        ({"https": False}, "HTTPS"),
        ({"redis_url": "redis://:secret@redis.example:6379/0"}, "REDIS_URL"),
        ({"database_url": "postgres://desk:secret@db.example/desk"}, "DATABASE_URL"),
        ({"database_url": "postgres://desk:secret@db.example/desk?sslmode=prefer"}, "DATABASE_URL"),
    ],
)
def test_live_trading_is_refused_behind_an_open_door_with_what_to_change(change: dict[str, object], named: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"^{named} must .*TRADING_MODE=live") as refusal:
        check_live_surroundings(**(SOUND | change))  # type: ignore[arg-type]
    assert "secret@" not in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"redis_url": "rediss://:secret@redis.example:6379/0"},
        {"database_url": "postgres://desk:secret@db.example/desk?sslmode=verify-full"},
        {"database_url": "postgres://desk:secret@127.0.0.1/desk"},
        {"database_url": "postgres://desk@%2Fvar%2Frun%2Fpostgresql/desk"},
    ],
)
def test_live_trading_behind_a_closed_door_is_allowed(change: dict[str, object]) -> None:
    check_live_surroundings(**(SOUND | change))  # type: ignore[arg-type]


def test_a_live_start_with_the_door_open_ends_with_the_sentence(tmp_path: Path) -> None:
    live = {"TRADING_MODE": "live", "IB_ACCOUNT": "U1", "LIVE_TRADING_CONFIRMED": "U1", "IB_PORT": "4001", "DATA_DIR": str(tmp_path)}
    environment = clean_environment(live | {"FLOW_API_URL": "https://flow.example/api/v1"})
    done = subprocess.run([sys.executable, "manage.py", "desk"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("Broken setting: HTTPS must be true when TRADING_MODE=live")


def test_a_data_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    assert Environment({"DATA_DIR": str(folder)}).private_folder("DATA_DIR", tmp_path) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_data_folder_that_everybody_uses_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(ImproperlyConfigured, match=r"^DATA_DIR: .*of its own"):
        Environment({"DATA_DIR": str(folder)}).private_folder("DATA_DIR", tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777


def test_the_database_is_for_its_owner_alone_whatever_the_umask_was(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir(mode=0o755)
    environment = clean_environment({"DATA_DIR": str(folder)})
    command = f"umask 000; exec {sys.executable} manage.py migrate --verbosity 0"
    subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, check=True)
    made = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "desk.sqlite3" in made
    assert {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made} == {path.name: 0 for path in made}


def test_a_live_account_is_refused_in_paper_mode() -> None:
    with pytest.raises(ImproperlyConfigured, match="IB_ACCOUNT"):
        check_trading("paper", account="U1234567", confirmed="", flow_given=True, ib_given=True)


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    first = kept_secret(path)
    assert kept_secret(path) == first
    assert len(first) >= 50
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_an_empty_secret_file_from_a_start_cut_short_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch()
    secret = kept_secret(path)
    assert len(secret) >= 50
    assert kept_secret(path) == secret


@pytest.mark.parametrize("formatter", [PlainFormatter, JsonFormatter])
def test_no_log_line_carries_a_secret_not_even_in_a_traceback(formatter: type[PlainFormatter]) -> None:
    try:
        raise ValueError("key canary-secret refused")
    except ValueError:
        record = logging.LogRecord("desk", logging.ERROR, __file__, 1, "sent %s", ("canary-secret",), sys.exc_info())
    line = formatter(["canary-secret"]).format(record)
    assert "canary-secret" not in line
    assert "ValueError" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shell", "-v0", "-c", "import sys; print('twisted' in sys.modules)"], "False"),
        (["runserver", "--help"], "--noasgi"),
    ],
    ids=["no other process carries the web server", "runserver still speaks ASGI"],
)
def test_the_web_server_is_loaded_where_it_is_needed(tmp_path: Path, words: list[str], said: str) -> None:
    environment = clean_environment({"DATA_DIR": str(tmp_path / "var")})
    done = subprocess.run([sys.executable, "manage.py", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert said in done.stdout
