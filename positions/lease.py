"""One worker only. A lock held for life says who may act; an epoch written with every money row says who may still write.

SQLite: flock on a file beside the database, freed by the kernel at death and kept while stopped. PostgreSQL: a session
advisory lock on a connection of its own. No clock decides safety. The IB client id is the third fence, at the gateway.
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

from events.clock import utc_now
from events.journal import Fenced
from events.models import WorkerLease

LEASE = "worker"


class LeaseBusy(Exception):
    """Another worker holds the lock; the message names it."""


class WorkerLock(Protocol):
    """A lock that ends with its holder."""

    def acquire(self) -> None: ...
    def held(self) -> bool: ...
    def release(self) -> None: ...


def worker_lock() -> WorkerLock:
    """The right lock for the database in use."""
    if connection.vendor == "postgresql":
        return AdvisoryLock(LEASE)
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
    """A session advisory lock; the connection is used for nothing else and its loss is the loss of the lock."""

    def __init__(self, name: str, source: Any = connection) -> None:
        self._source = source
        self._key = zlib.crc32(f"trading desk {name}".encode())
        self._session: Any = None

    def acquire(self) -> None:
        session = self._source.copy()
        session.inc_thread_sharing()  # asked from the thread that watches it
        session.connect()
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [self._key])
            if not cursor.fetchone()[0]:
                session.close()
                raise LeaseBusy(f"another worker is running for this database{_holder()}")
        self._session = session

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
