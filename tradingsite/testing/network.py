"""Ports of throwaway servers: free ones, and waiting until something listens."""

import socket

from tradingsite.desk.ports import LOOPBACK, free_port
from tradingsite.testing.patience import PATIENCE, eventually

__all__ = ["LOOPBACK", "accepts", "free_port", "wait_until_accepting"]


def accepts(port: int, host: str = LOOPBACK) -> bool:
    """True when something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=PATIENCE):
            return True
    except OSError:
        return False


def wait_until_accepting(port: int) -> None:
    eventually(lambda: accepts(port), every=0.02, what=f"something listens on {LOOPBACK}:{port}")
