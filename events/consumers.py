"""The one WebSocket of a page. The browser says which topics it wants; everything else it does by POST.

    browser → {"join": ["positions", "health"]}
    server  → {"kind": "joined", "topics": [...]} and then frames as the hub hands them out

Closed with 4401 for who is not, or no longer, signed in; 4400 for text that is not a join;
4003 for a binary frame; 4009 for a message too long. (Not 1003 and 1009, which say the same: the WebSocket library of the web
server refuses to send codes below 3000 for an application, and the socket would stay open, deaf.)
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.utils.module_loading import import_string

from events.hub import CLOSE_SIGNED_OUT, Socket, the_hub
from events.live import TOPICS
from events.roles import can

MESSAGE_LIMIT = 2_000  # characters; a join of all topics is 100
CLOSE_BINARY = 4003
CLOSE_TOO_BIG = 4009
CLOSE_BAD_MESSAGE = 4400


class DeskConsumer(AsyncConsumer):
    """Lets a signed-in user join topics. It has no channel of its own: the hub holds one subscription for all sockets."""

    channel_layer_alias = "none: the hub subscribes once for the whole process"
    _socket: Socket | None = None

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        user = self.scope.get("user")
        # Accept first: a browser learns a close code only from a socket that was opened.
        await self.send({"type": "websocket.accept"})
        if user is None or not user.is_authenticated:
            await self._close(CLOSE_SIGNED_OUT)
            raise StopConsumer
        self._socket = Socket(self._send_text, self._close, user_id=user.pk, still_allowed=self._still_allowed)
        the_hub().add(self._socket)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        text = message.get("text")
        if text is None:
            self._socket.close(CLOSE_BINARY)
        elif len(text) > MESSAGE_LIMIT:
            self._socket.close(CLOSE_TOO_BIG)
        elif (topics := topics_in(text)) is None:
            self._socket.close(CLOSE_BAD_MESSAGE)
        else:
            the_hub().join(self._socket, topics)
            self._socket.offer(orjson.dumps({"kind": "joined", "topics": sorted(topics)}).decode())

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            the_hub().remove(self._socket)
        raise StopConsumer

    async def _send_text(self, text: str) -> None:
        await self.send({"type": "websocket.send", "text": text})

    async def _close(self, code: int) -> None:
        await self.send({"type": "websocket.close", "code": code})

    async def _still_allowed(self) -> bool:
        session = self.scope.get("session")
        return await database_sync_to_async(session_may_watch)(session.session_key if session is not None else None)


def topics_in(text: str) -> frozenset[str] | None:
    """The topics of a join, or None if `text` is anything else."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict) or set(message) != {"join"} or not isinstance(message["join"], list):
        return None
    topics = message["join"]
    if not all(isinstance(topic, str) and topic in TOPICS for topic in topics):
        return None
    return frozenset(topics)


def session_may_watch(session_key: str | None) -> bool:
    """Is there still such a session, of an active user whose password has not changed since?"""
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    return can(get_user(SimpleNamespace(session=store(session_key))), "view")  # type: ignore[arg-type]
