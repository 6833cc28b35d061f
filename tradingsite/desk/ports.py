"""Loopback ports for the private services: chosen once, kept in DATA_DIR, so that addresses survive a restart."""

import socket
from pathlib import Path

from tradingsite.environment import kept_text, write_private

LOOPBACK = "127.0.0.1"


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
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
    write_private(path, str(port))
    return port


async def accepts(port: int) -> bool:
    """True when something accepts connections there."""
    import asyncio

    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, port), timeout=1)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
