"""Which processes make a desk here, with what commands: decided by the settings, once, at the start."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from tradingsite.desk import ports
from tradingsite.desk.child import Service
from tradingsite.desk.redis_service import redis_service
from tradingsite.environment import Environment, kept_secret, write_private

SEED = "20260101"  # of the simulated market; gateway and flow API must share it
GREETED = "SPY"  # the demo's first signal is about it
WEBSOCKET_BYTES = "65536"
WORKER_DELAY = 4.0  # seconds: positions are watched by nobody while it is away
# The warning about root is for pickle, which we refuse.
_CELERY = (sys.executable, "-W", "ignore:You're running the worker with superuser", "-m", "celery", "-q", "-A")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything to start. `redis` goes first and ends last; None = REDIS_URL points elsewhere."""

    redis: Service | None
    others: tuple[Service, ...]
    environment: Mapping[str, str]
    own_gateway: bool
    gateway_state: Path
    web_url: str
    data_dir: Path


def make_plan(*, base_dir: Path, data_dir: Path, mode: str, port: int, values: Mapping[str, str] | None = None) -> Plan:
    """Also writes the addresses of the private services into DATA_DIR, where settings find them. Raises NoRedis."""
    given = Environment(os.environ if values is None else values)
    shared: dict[str, str] = {"DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "tradingsite.settings"}
    redis, others = None, []
    if not given.given("REDIS_URL"):
        redis, shared["REDIS_URL"] = redis_service(data_dir)
    own_gateway = mode == "simulated" and not given.given("IB_PORT")
    if own_gateway:
        others.append(_gateway(base_dir, data_dir, shared))
    if not given.given("FLOW_API_URL"):
        others.append(_flow_api(base_dir, data_dir, given, shared))
    others += [_worker(base_dir), _celery_worker(), _celery_beat(data_dir), _web(port)]
    services = tuple(_with_environment(service, shared) for service in others)
    return Plan(
        redis=redis,
        others=services,
        environment=shared,
        own_gateway=own_gateway,
        gateway_state=data_dir / "gateway",
        web_url=f"http://{ports.LOOPBACK}:{port}",
        data_dir=data_dir,
    )


def _with_environment(service: Service, shared: Mapping[str, str]) -> Service:
    return replace(service, environment={**shared, **service.environment})


def _manage(base_dir: Path, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(base_dir / "manage.py"), *arguments)


def _gateway(base_dir: Path, data_dir: Path, shared: dict[str, str]) -> Service:
    folder = data_dir / "gateway"
    port, control = ports.kept_port(folder / "port"), ports.kept_port(folder / "control_port")
    shared |= {"IB_HOST": ports.LOOPBACK, "IB_PORT": str(port)}
    command = _manage(
        base_dir, "ibgateway", "--port", str(port), "--control-port", str(control), "--seed", SEED, "--state-dir", str(folder)
    )
    return Service(name="ibgateway", command=command, ready=lambda: ports.accepts(port), foundation=True)


def _flow_api(base_dir: Path, data_dir: Path, given: Environment, shared: dict[str, str]) -> Service:
    folder = data_dir / "flowapi"
    port = ports.kept_port(folder / "port")
    url = f"http://{ports.LOOPBACK}:{port}/api/v1"
    write_private(folder / "url", url)
    key = given.text("FLOW_API_KEY") or kept_secret(folder / "key", length=32)
    shared |= {"FLOW_API_URL": url, "FLOW_API_KEY": key}
    command = _manage(base_dir, "flowapi", "--port", str(port), "--seed", SEED, "--greet", GREETED)
    return Service(name="flowapi", command=command, ready=lambda: ports.accepts(port), foundation=True)


def _worker(base_dir: Path) -> Service:
    return Service(name="ibworker", command=_manage(base_dir, "ibworker"), longest_delay=WORKER_DELAY)


def _celery_worker() -> Service:
    options = ("-P", "threads", "-c", "4", "-l", "INFO", "--without-gossip", "--without-mingle", "--max-memory-per-child", "300000")
    # Without Redis its orderly end takes as long as its next try to connect; a task may be lost at any moment anyway.
    return Service(name="celery", command=(*_CELERY, "tradingsite", "worker", *options), orphaned=signal.SIGKILL)


def _celery_beat(data_dir: Path) -> Service:
    options = ("-l", "INFO", "--pidfile=", "-s", str(data_dir / "celerybeat-schedule"))
    return Service(name="beat", command=(*_CELERY, "tradingsite.beat", "beat", *options))


def _web(port: int) -> Service:
    options = ("-b", ports.LOOPBACK, "-p", str(port), "-v", "0", "--no-server-name", "--application-close-timeout", "3")
    limits = ("--websocket-max-message-size", WEBSOCKET_BYTES, "--websocket-max-frame-size", WEBSOCKET_BYTES)
    url = f"http://{ports.LOOPBACK}:{port}/healthz"
    command = (sys.executable, "-m", "daphne", *options, *limits, "tradingsite.asgi:application")
    return Service(name="web", command=command, ready=lambda: _is_alive(url))


async def _is_alive(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            return (await client.get(url, headers={"X-Forwarded-Proto": "https"})).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
