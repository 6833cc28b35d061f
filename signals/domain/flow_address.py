"""Which address we are willing to send our key to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import httpx

from signals.domain.flow_errors import FlowConfigError

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def normal_base_url(base_url: str, *, private_network: bool = False) -> str:
    """The base URL without a trailing slash. https, or http to this very machine (or within a network declared private)."""
    try:
        url = httpx.URL(base_url.strip())
    except (httpx.InvalidURL, TypeError) as error:
        raise FlowConfigError(f"FLOW_API_URL is not an address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise FlowConfigError("FLOW_API_URL must be an http(s) address")
    if url.userinfo or url.query or url.fragment:
        raise FlowConfigError("FLOW_API_URL must hold no user, query or fragment; the key goes into FLOW_API_KEY")
    if url.scheme == "http" and url.host not in _LOOPBACK_NAMES and not private_network:
        raise FlowConfigError("FLOW_API_URL must use https, except for a server on this machine")
    return str(url).rstrip("/")


async def check_resolved(base_url: str, *, private_network: bool = False) -> None:
    """Raise FlowConfigError when the host's name leads inside our own network (or to a cloud's metadata service)."""
    url = httpx.URL(base_url)
    if url.host in _LOOPBACK_NAMES:
        return
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM)
    for entry in found:
        address = ipaddress.ip_address(str(entry[4][0]).partition("%")[0])
        if address.is_global or (private_network and address.is_private and not address.is_link_local):
            continue
        raise FlowConfigError(f"FLOW_API_URL leads to {address}, which is not a public address")
