"""Ports of throwaway servers: free ones, and waiting until something listens."""

import socket
import time

from tradingsite.desk.ports import LOOPBACK, free_port

__all__ = ["LOOPBACK", "accepts", "free_port", "wait_until_accepting"]


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
