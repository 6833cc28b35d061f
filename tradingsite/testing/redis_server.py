"""A throwaway Redis for the tests: loopback, a password of its own, nothing on disk."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tradingsite.desk.redis_binary import find_redis_binary
from tradingsite.testing.network import LOOPBACK
from tradingsite.testing.patience import PATIENCE, eventually


@dataclass(slots=True)
class RedisServer:
    """Started, killed and started again on the same port, as a test likes."""

    port: int
    password: str
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        if self._process is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        config = f'bind {LOOPBACK}\nport {self.port}\nrequirepass "{self.password}"\nsave ""\nappendonly no\ndir "{self.folder}"\n'
        self._process = subprocess.Popen(
            [str(find_redis_binary()), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        assert self._process.stdin is not None
        self._process.stdin.write(config.encode())
        self._process.stdin.close()
        eventually(self.answers, what="Redis answers PING")

    def answers(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def flush(self) -> None:
        client = redis.Redis.from_url(self.url, socket_timeout=PATIENCE)
        client.flushall()
        client.close()

    def command(self, *words: object) -> None:
        """Any command of an operator's, as CONFIG SET or REPLICAOF."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            client.execute_command(*words)

    def kill(self) -> None:
        """As kill -9: everything it knew is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None
