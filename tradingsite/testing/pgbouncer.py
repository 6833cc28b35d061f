"""A throwaway PgBouncer before a PostgreSQL of the tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tradingsite.testing.network import LOOPBACK, free_port, wait_until_accepting
from tradingsite.testing.patience import PATIENCE
from tradingsite.testing.postgres_server import other_account

CONFIG = """
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = {loopback}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = 10
ignore_startup_parameters = extra_float_digits,options
"""


class NoPgBouncer(RuntimeError):
    """PgBouncer is not installed on this machine."""


def binary() -> str:
    found = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if found is None:
        raise NoPgBouncer("no pgbouncer: install the package of that name")
    return found


@contextmanager
def pgbouncer(url: str, mode: str) -> Iterator[str]:
    """The same database by way of a pooler in `mode` ("transaction" or "session"): its URL. Raises NoPgBouncer."""
    program, target, port = binary(), urlsplit(url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="desk-pgbouncer-"))
    values = {"host": target.hostname, "server_port": target.port, "loopback": LOOPBACK, "port": port, "folder": folder, "mode": mode}
    (folder / "pgbouncer.ini").write_text(CONFIG.format(**values))
    (folder / "users").write_text(f'"{target.username}" "{target.password or ""}"\n')
    account = other_account()  # it does not run as root
    if account is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    process = subprocess.Popen(
        [program, "-q", str(folder / "pgbouncer.ini")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **identity,
    )  # type: ignore[call-overload]
    try:
        wait_until_accepting(port)
        login = f"{target.username}:{target.password}" if target.password else target.username
        yield urlunsplit((target.scheme, f"{login}@{LOOPBACK}:{port}", target.path, "", ""))
    finally:
        process.kill()
        process.wait(PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)
