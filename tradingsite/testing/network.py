"""Free loopback ports for throwaway servers."""

import socket
import time

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on now. The kernel hands them out in turn, so a clash shortly after is very unlikely."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


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
