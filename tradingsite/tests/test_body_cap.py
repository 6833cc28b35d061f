"""Bodies too long for any form, sent to a real daphne: refused while they arrive, with the memory as it was."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tradingsite.body_cap import FORM, most
from tradingsite.testing.patience import PATIENCE

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("transactional_db", "redis_server")]
MEGABYTE = b"x" * 1_000_000


def memory_of(pid: int) -> float:
    """Megabytes, the most there ever were."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1000


def answer_to(port: int, head: bytes, parts: Iterator[bytes]) -> bytes:
    """What the server says to a request that goes on and on, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        line.sendall(head)
        try:
            for part in parts:
                line.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has stopped listening
        try:
            return line.recv(4000)
        except ConnectionResetError:
            return b""


def test_a_long_body_is_refused_while_it_comes_and_fills_no_memory(live_web: Any) -> None:
    httpx.get(f"{live_web.url}/login/", timeout=PATIENCE)
    before = memory_of(live_web.process.pid)
    head = b"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n"
    declared = answer_to(live_web.port, head % b"Content-Length: 300000000", iter(()))
    assert declared.startswith(b"HTTP/1.1 413 ")
    for _ in range(5):
        answer_to(live_web.port, head % b"Content-Length: 300000000", (MEGABYTE for _ in range(300)))
        chunked = (b"f4240\r\n" + MEGABYTE + b"\r\n" for _ in range(300))
        answer_to(live_web.port, head % b"Transfer-Encoding: chunked", chunked)
    assert memory_of(live_web.process.pid) - before < 15
    assert httpx.get(f"{live_web.url}/login/", timeout=PATIENCE).status_code == 200


def test_an_undeclared_body_is_refused_when_it_has_become_too_long(live_web: Any) -> None:
    head = b"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % (FORM + 1) + b"x" * (FORM + 1)
    assert answer_to(live_web.port, head, iter((chunk,))).startswith(b"HTTP/1.1 413 ")


def test_a_statement_of_ten_megabytes_is_let_through_and_other_forms_are_as_before(live_web: Any) -> None:
    statement = {"file": ("a.csv", MEGABYTE * 10)}
    assert httpx.post(f"{live_web.url}/broker/statements/", files=statement, timeout=PATIENCE).status_code in (302, 403)
    assert httpx.post(f"{live_web.url}/login/", data={"username": "a" * 100_000}, timeout=PATIENCE).status_code == 403
    assert most(b"/broker/statements/?x=1") == 11_000_000
    assert most(b"/broker/statements/../") == FORM
