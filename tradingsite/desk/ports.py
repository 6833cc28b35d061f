"""Loopback ports for the private services: chosen once, kept in DATA_DIR, so that addresses survive a restart."""

import random
import socket
from pathlib import Path

from tradingsite.environment import kept_text, write_private

LOOPBACK = "127.0.0.1"
# Below the ports that systems give to outgoing connections: one of those may take a free port before its server does, and a
# client that knocks at such a port again and again can even be connected to itself.
PORTS = range(20_000, 32_000)
_random = random.SystemRandom()  # whoever seeds the module's generator must not make two desks choose alike


def is_free(port: int) -> bool:
    """True when we could listen there. Without SO_REUSEADDR on purpose only on a live listener, not on old connections."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def kept_port(path: Path) -> int:
    """The port in that file, or a free one when there is none yet or another program has taken it meanwhile."""
    text = kept_text(path)
    if text.isdigit() and is_free(int(text)):
        return int(text)
    port = free_port()
    write_private(path, str(port))
    return port


def free_port() -> int:
    """A port nobody listens on now, chosen at random so that desks side by side hardly ever choose the same.
    Raises OSError when a hundred choices were all taken."""
    for _ in range(100):
        if is_free(port := _random.choice(PORTS)):
            return port
    raise OSError(f"no free port between {PORTS.start} and {PORTS.stop}")


async def accepts(port: int) -> bool:
    """True when something accepts connections there."""
    import asyncio

    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, port), timeout=1)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
