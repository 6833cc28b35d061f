"""One desk per DATA_DIR, by a file lock that the kernel frees when the process dies."""

import fcntl
import os
from pathlib import Path


class AlreadyRunning(RuntimeError):
    """Another desk works in this folder."""


class DeskLock:
    """Held from `take` until the process ends or `release`."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "desk.lock"
        self._handle = -1

    def take(self) -> None:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._handle, 20).decode(errors="replace").strip()
            os.close(self._handle)
            raise AlreadyRunning(f"A desk already runs in {self._path.parent} (process {holder or 'unknown'}).") from error
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
