"""What can be done to a desk's processes and links: kill, stop, restart, the faults of its gateway, its flow API and its Redis.

Children are found by the pids in DATA_DIR/status.json. A child that was stopped (SIGSTOP) goes on by itself after its time.
`outages` keeps when a child was away, in seconds since the epoch: from the signal until SIGCONT, or for the web until it
answers again.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis

from tradingsite.testing.network import LOOPBACK

RETURN_SECONDS = 40.0  # a web process that does not answer by then is not waited for
LINK_MODES = ("trickle", "half_open", "split", "merge")  # of the gateway's half of the socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A child that was away from `began` to `ended`, seconds since the epoch; `stood`: by SIGSTOP, so it kept its sockets."""

    child: str
    began: float
    ended: float
    stood: bool = True


@dataclass(slots=True)
class Breaker:
    """Breaks the desk whose DATA_DIR and address these are."""

    data_dir: Path
    url: str
    outages: list[Outage] = field(default_factory=list)
    _watching: dict[int, threading.Thread] = field(default_factory=dict, init=False)  # pid → who waits for its return
    _wake: threading.Event = field(default_factory=threading.Event, init=False)

    # --- processes ---

    def children(self) -> dict[str, dict[str, Any]]:
        """name → {name, pid, state, restarts}; empty before the first start."""
        try:
            return {row["name"]: row for row in json.loads((self.data_dir / "status.json").read_text())}
        except (FileNotFoundError, ValueError):
            return {}

    def pid_of(self, child: str) -> int | None:
        pid = self.children().get(child, {}).get("pid")
        return pid if isinstance(pid, int) else None

    def kill(self, child: str) -> int | None:
        """kill -9; the pid that died, None when it is dead already."""
        return self._end(child, signal.SIGKILL)

    def restart(self, child: str) -> int | None:
        """SIGTERM, as a deployment does; the supervisor starts it again."""
        return self._end(child, signal.SIGTERM)

    def _end(self, child: str, number: signal.Signals) -> int | None:
        pid, began = self.pid_of(child), time.time()
        if pid is None or not _signal(pid, number):
            return None
        if child == "web":
            self._watch(pid, threading.Thread(target=self._until_it_answers, args=(pid, began), daemon=True))
        return pid

    def _until_it_answers(self, pid: int, began: float) -> None:
        deadline = time.monotonic() + RETURN_SECONDS
        while time.monotonic() < deadline and (self.pid_of("web") in (None, pid) or not self._web_answers()):
            time.sleep(0.1)
        self.outages.append(Outage(child="web", began=began, ended=time.time(), stood=False))
        self._watching.pop(-pid, None)

    def _web_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def pause(self, child: str, seconds: float) -> bool:
        """SIGSTOP now, SIGCONT by itself after `seconds` or at `wake_all`. False when it is dead or stands already."""
        pid = self.pid_of(child)
        if pid is None or pid in self._watching or not _signal(pid, signal.SIGSTOP):
            return False
        self._wake.clear()
        waker = threading.Thread(target=self._let_go_on, args=(child, pid, time.time(), seconds), daemon=True)
        self._watching[pid] = waker
        waker.start()
        return True

    def _let_go_on(self, child: str, pid: int, began: float, seconds: float) -> None:
        """Its outage ends with its life, if something else kills it first."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and _signal(pid, 0) and not self._wake.wait(0.05):
            pass
        self.outages.append(Outage(child=child, began=began, ended=time.time()))
        _signal(pid, signal.SIGCONT)
        self._watching.pop(pid, None)

    def _watch(self, pid: int, watcher: threading.Thread) -> None:
        """Under the negative pid: the same process may be stopped as well."""
        self._watching[-pid] = watcher
        watcher.start()

    def busy(self) -> bool:
        """Whether any child stands still, or the web is awaited."""
        return bool(self._watching)

    def wake_all(self) -> None:
        self._wake.set()
        for pid, waker in list(self._watching.items()):
            if pid > 0:
                waker.join(5)

    # --- links ---

    def gateway(self, **command: Any) -> dict[str, Any]:
        """One command to the gateway's control channel; {"ok": False} when it is not there."""
        try:
            port = int((self.data_dir / "gateway" / "control_port").read_text())
            with socket.create_connection((LOOPBACK, port), timeout=5) as link:
                link.sendall(json.dumps(command).encode() + b"\n")
                return dict(json.loads(link.makefile().readline()))
        except (OSError, ValueError) as error:
            return {"ok": False, "error": str(error)}

    def flow(self, name: str, value: Any = True, *, count: int | None = None) -> dict[str, Any]:
        """Switch a fault of the demo flow API on."""
        return self._tell_flow("POST", {"name": name, "value": value, "count": count})

    def mend(self) -> None:
        """Disarm what gateway and flow API were told to do wrong."""
        self.gateway(clear_faults=True)
        self._tell_flow("DELETE", {})

    def _tell_flow(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        folder = self.data_dir / "flowapi"
        address = (folder / "url").read_text().strip().partition("/api/")[0] + "/control/faults"
        try:
            key = {"X-API-Key": (folder / "key").read_text().strip()}
            answer = httpx.request(method, address, json=body, headers=key, timeout=5, trust_env=False)
        except httpx.HTTPError as error:
            return {"ok": False, "error": type(error).__name__}
        return {"ok": answer.status_code == httpx.codes.OK}

    def empty_redis(self) -> bool:
        """All that Redis remembers is gone: queued tasks, rate limits, caches."""
        url = (self.data_dir / "redis" / "url").read_text().strip()
        try:
            with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
                return bool(client.flushall())
        except (redis.RedisError, OSError):
            return False


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
