"""One worker only. A lock held for life says who may act; an epoch written with every money row says who may still write.

SQLite: flock on a file beside the database, freed by the kernel at death and kept while stopped. PostgreSQL: a session
advisory lock on a connection of its own, which no pooler may share out. No clock decides safety. The IB client id is the
third fence, at the gateway.
"""

from __future__ import annotations

import fcntl
import os
import socket
import zlib
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.utils import ConnectionHandler

from events.clock import utc_now
from events.journal import Fenced
from events.models import WorkerLease

LEASE = "worker"


class LeaseBusy(Exception):
    """Another worker holds the lock; the message names it."""


class LockUnsafe(Exception):
    """The lock would not keep a second worker out; the message says what to set."""


class WorkerLock(Protocol):
    """A lock that ends with its holder."""

    def acquire(self) -> None: ...
    def held(self) -> bool: ...
    def release(self) -> None: ...


def worker_lock() -> WorkerLock:
    """The right lock for the database in use."""
    if connection.vendor == "postgresql":
        return AdvisoryLock(LEASE, direct=_direct_connection())
    name = str(connection.settings_dict["NAME"])
    beside = Path(name) if os.path.isabs(name) else Path(settings.DATA_DIR) / "desk.sqlite3"
    return FileLock(beside.with_name(beside.name + ".worker.lock"))


class FileLock:
    """flock on a local file. A network file system would not free it at death: keep the database on a local disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise LeaseBusy(f"another worker is running for this database{_holder()}") from None
        self._fd = fd

    def held(self) -> bool:
        return self._fd is not None

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class AdvisoryLock:
    """A session advisory lock; the connection is used for nothing else and its loss is the loss of the lock.

    `direct` is where the lock is taken, if not where `source`, the desk's own connection, leads."""

    def __init__(self, name: str, source: Any = connection, *, direct: Any = None) -> None:
        self._source = source
        self._direct = direct
        self._key = zlib.crc32(f"trading desk {name}".encode())
        self._session: Any = None

    def acquire(self) -> None:
        """Raises LeaseBusy while another holds it, LockUnsafe when it would protect nothing."""
        session = (self._direct or self._source).copy()
        session.inc_thread_sharing()  # asked from the thread that watches it
        session.connect()
        try:
            self._take(session)
        except BaseException:
            session.close()
            raise
        self._session = session

    def _take(self, session: Any) -> None:
        # First of all: a lock taken through such a pooler would stay with the pooler's connection.
        if _is_shared_out(session, self._source):
            raise LockUnsafe(_SHARED_OUT)
        if not _ask(session, "SELECT pg_try_advisory_lock(%s)", self._key):
            raise LeaseBusy(f"another worker is running for this database{_holder()}")
        if self._direct is not None and not _ask(self._source, _LOCK_IS_SEEN, self._key, _ask(session, _PROCESS)):
            raise LockUnsafe("LOCK_DATABASE_URL does not lead to the database of DATABASE_URL, so its lock would keep nobody out")

    def held(self) -> bool:
        if self._session is None:
            return False
        try:
            with self._session.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError:
            return False
        return True

    def release(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


_PROCESS = "SELECT pg_backend_pid()"
_LOCK_IS_SEEN = """SELECT EXISTS (
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE datname = current_database() AND locktype = 'advisory' AND objid::bigint = %s AND pid = %s AND granted)"""
_SHARED_OUT = (
    "the database is reached through a connection pooler that gives each transaction another connection (PgBouncer in transaction "
    "mode), and the lock that keeps a second worker out needs one of its own: set LOCK_DATABASE_URL to PostgreSQL's own address"
)
_LOOKS = 10  # other users of the pool may hide the sharing from one look


def _ask(link: Any, question: str, *values: object) -> Any:
    with link.cursor() as cursor:
        cursor.execute(question, values or None)
        return cursor.fetchone()[0]


def _is_shared_out(session: Any, other: Any) -> bool:
    """Whether a pooler serves the session's transactions by changing connections.

    PostgreSQL names its process when a session begins; a pooler's greeting names none. Behind one the process is the
    session's own only if it stays the same while the desk's other connection gets another.
    """
    if session.connection.info.backend_pid == _ask(session, _PROCESS):
        return False
    for _ in range(_LOOKS):
        process = _ask(session, _PROCESS)
        if _ask(other, _PROCESS) == process or _ask(session, _PROCESS) != process:
            return True
    return False


def _direct_connection() -> Any:
    """The connection of LOCK_DATABASE_URL, or None where DATABASE_URL is PostgreSQL's own."""
    return ConnectionHandler({"default": settings.LOCK_DATABASE})["default"] if settings.LOCK_DATABASE else None


def _holder() -> str:
    row = WorkerLease.objects.filter(name=LEASE).first()
    return f" (process {row.pid} on {row.host})" if row and row.pid else ""


def take_epoch() -> int:
    """A new epoch for the holder of the lock; every older one can no longer write."""
    now = utc_now()
    mine = {"pid": os.getpid(), "host": socket.gethostname()[:255], "state": "starting", "started_at": now, "heartbeat_at": now}
    with transaction.atomic():
        WorkerLease.objects.get_or_create(name=LEASE)
        WorkerLease.objects.filter(name=LEASE).update(epoch=F("epoch") + 1, **mine)
        return WorkerLease.objects.get(name=LEASE).epoch


def check_epoch(epoch: int) -> None:
    """Raises Fenced unless `epoch` is still the newest. The journal runs it in the transaction of every money write."""
    if not WorkerLease.objects.filter(name=LEASE, epoch=epoch).exists():
        raise Fenced(f"a newer worker has taken over from epoch {epoch}")


def write_health(epoch: int, state: str, health: dict[str, Any]) -> None:
    """The heartbeat row that pages read; raises Fenced when it is no longer ours."""
    changed = WorkerLease.objects.filter(name=LEASE, epoch=epoch).update(state=state, heartbeat_at=utc_now(), health=health)
    if changed != 1:
        raise Fenced(f"a newer worker has taken over from epoch {epoch}")
