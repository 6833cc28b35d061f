"""Celery's link to Redis: kombu's own, with one hole closed.

An acknowledgement that still waits when the link is lost reaches for the connection of its closed channel. kombu lets that end in an
AttributeError, which ends the whole worker; here it is what it means, a lost connection, and the worker connects again.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(kombu_redis.Channel):
    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("this channel's connection is over")
        parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # the stubs leave it out
        return parameters


class Transport(kombu_redis.Transport):
    Channel = Channel


def use() -> None:
    """Have every redis:// address go by way of it."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
