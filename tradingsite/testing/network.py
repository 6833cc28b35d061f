"""Free loopback ports for throwaway servers."""

import random
import socket
import time

LOOPBACK = "127.0.0.1"
# Below the ports that systems give to outgoing connections: one of those may take a free port before its server does, and a
# client that knocks at such a port again and again can even be connected to itself.
_PORTS = range(20_000, 32_000)
_random = random.SystemRandom()  # whoever seeds the module's generator must not make two runs choose alike


def free_port() -> int:
    """A port nobody listens on now, chosen at random so that runs side by side hardly ever choose the same.
    Raises OSError when a hundred choices were all taken."""
    for _ in range(100):
        port = _random.choice(_PORTS)
        with socket.socket() as listener:
            try:
                listener.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {_PORTS.start} and {_PORTS.stop}")


def accepts(port: int, host: str = LOOPBACK) -> bool:
    """True when something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def wait_until_accepting(port: int, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not accepts(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on {LOOPBACK}:{port} after {seconds:g} s")
        time.sleep(0.02)
