"""The WebSocket side of the ASGI application: one address, signed-in users, pages of our own origin only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.conf import settings
from django.http.request import validate_host
from django.urls import path

from events.consumers import DeskConsumer

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

SOCKETS = frozenset({"/ws/"})
websocket_urlpatterns = [path(address.removeprefix("/"), DeskConsumer.as_asgi()) for address in SOCKETS]
FOREIGN, NO_SUCH_SOCKET = 4403, 4404  # close codes


def own_origin_only(inner: Application) -> Application:
    """Refuse a handshake whose Origin is missing or is not exactly the scheme, host and port it came to, or a trusted origin.

    Channels' own AllowedHostsOriginValidator compares host names only, so any port of this machine would pass.
    """

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        if not is_own_origin(headers.get(b"origin", ""), headers.get(b"host", "")):
            code = FOREIGN
        elif scope.get("path") not in SOCKETS:
            code = NO_SUCH_SOCKET
        else:
            await inner(scope, receive, send)
            return
        await receive()  # the connect
        await send({"type": "websocket.close", "code": code})

    return guarded


def is_own_origin(origin: str, host: str) -> bool:
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme != ("https" if settings.HTTPS else "http") or not name or parts.path or parts.query or parts.fragment:
        return False
    allowed = settings.ALLOWED_HOSTS or (["localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
    bracketed = f"[{name}]" if ":" in name else name
    return parts.netloc.lower() == host.lower() and validate_host(bracketed, allowed)


# What tradingsite/asgi.py serves under "websocket".
websocket_application = own_origin_only(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))
