"""The private Redis: loopback only, a password of its own, its memory kept on disk, its address in DATA_DIR/redis/url."""

from collections.abc import Awaitable
from pathlib import Path
from typing import cast

from redis import asyncio as aioredis
from redis.exceptions import RedisError

from tradingsite.desk.child import Service
from tradingsite.desk.ports import LOOPBACK, kept_port
from tradingsite.desk.redis_binary import find_redis_binary
from tradingsite.environment import kept_secret, write_private

_FORBIDDEN = ("config", "module", "debug", "slaveof", "replicaof", "shutdown")  # nobody here needs them


def redis_service(data_dir: Path) -> tuple[Service, str]:
    """The service and its URL. Raises NoRedis when the machine has no server program."""
    folder = data_dir / "redis"
    password = kept_secret(folder / "password", length=32)
    port = kept_port(folder / "port")
    url = f"redis://:{password}@{LOOPBACK}:{port}/0"
    write_private(folder / "url", url)
    service = Service(
        name="redis",
        command=(str(find_redis_binary()), "-"),
        stdin=_configuration(folder, port=port, password=password).encode(),
        ready=lambda: _answers(url),
    )
    return service, url


def _configuration(folder: Path, *, port: int, password: str) -> str:
    """By stdin, so the password is in no process list."""
    lines = [
        f"bind {LOOPBACK}",
        f"port {port}",
        "protected-mode yes",
        f"user default on >{password} ~* &* +@all {' '.join(f'-{name}' for name in _FORBIDDEN)}",
        f'dir "{folder}"',
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory 128mb",
        "maxmemory-policy noeviction",
        "loglevel warning",
    ]
    return "\n".join(lines) + "\n"


async def _answers(url: str) -> bool:
    client = aioredis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)
    try:
        return bool(await cast(Awaitable[bool], client.ping()))
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()
